"""Chance from the operating system: the port `Entropy`."""

import secrets


class SystemEntropy:
    """Unpredictable bytes, for tokens, salts and draws."""

    def hex(self, byte_count: int) -> str:
        """That many bytes as lower-case hex."""
        return secrets.token_hex(byte_count)
