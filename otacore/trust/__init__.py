"""The one door to signed metadata: everything that reads the repository as a charger does goes through here."""

from otacore.trust.fetching import Fetch
from otacore.trust.repository import TrustedRepository, VerifiedTarget
from otacore.trust.timefloor import ISSUED_AT_FIELD

__all__ = ["ISSUED_AT_FIELD", "Fetch", "TrustedRepository", "VerifiedTarget"]
