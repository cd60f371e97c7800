"""The one door to signed metadata: everything that reads the repository as a charger does goes through here."""

from otacore.trust.fetching import Fetch
from otacore.trust.repository import TrustedRepository, VerifiedTarget

__all__ = ["Fetch", "TrustedRepository", "VerifiedTarget"]
