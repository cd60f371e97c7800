"""Small ports of the rollout host, for a world: its clock, its chance, a permit key that signs nothing."""

from ops.simulation.engine import Engine
from otacore.wire.device_api import SignedMessage
from otacore.wire.permit import Permit

NO_KEY = "00" * 32


class WorldClock:
    """The world's time; the server's monotonic clock is the same."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def now_ms(self) -> int:
        """Unix time."""
        return self._engine.now_ms

    def monotonic_ms(self) -> int:
        """Milliseconds since the world began."""
        return self._engine.now_ms - self._engine.start_ms


class SeededEntropy:
    """Chance from the world's seed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def hex(self, byte_count: int) -> str:
        """That many bytes, as hex."""
        return f"{self._engine.random.getrandbits(8 * byte_count):0{2 * byte_count}x}"


class FakeSigner:
    """Signs nothing and forgets nothing: whether signatures hold is tested elsewhere."""

    def __init__(self) -> None:
        self._permits: dict[str, Permit] = {}

    def sign(self, permit: Permit) -> SignedMessage:
        """An envelope that only `opened` can open."""
        self._permits[permit.nonce] = permit
        return SignedMessage(payload=permit.nonce, payload_type="simulated", keyid=NO_KEY, sig="none")

    def opened(self, message: SignedMessage) -> Permit:
        """The permit that was put in."""
        return self._permits[message.payload]
