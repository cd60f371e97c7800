"""What the repository's adapters may use of the signer: online keys by URI, and bundles as they lie in a folder."""

from signer.adapters.bundle_files import read_bundle, target_file
from signer.adapters.key_files import Passphrase, open_signer
from signer.service.bundle import Bundle
from signer.service.signing import Review, require_complete, review

__all__ = ["Bundle", "Passphrase", "Review", "open_signer", "read_bundle", "require_complete", "review", "target_file"]
