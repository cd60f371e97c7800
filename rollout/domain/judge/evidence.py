"""What a stream of evidence says at a watermark, as it is stored with a verdict."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from otacore.ids import MAX_INTEGER
from rollout.domain.judge.capital import ONE
from rollout.domain.judge.restarting import SAFETY, Floats


class Claim(StrEnum):
    """What a stream can show."""

    FAIL = "fail"
    GUARD = "guard"
    """More are bad than the declared ceiling allows; nothing was compared."""
    PASS = "pass"  # noqa: S105 - a verdict, no password


@dataclass(frozen=True, slots=True)
class Evidence:
    """One stream as read at a watermark: integers only, so that a stored verdict can be compared bit for bit."""

    stream: str
    """"start", "start:<stratum>", "guard:<metric>", "guard:<metric>:<stratum>", "soak:<metric>" or "pass:<metric>"."""
    claim: Claim
    capital: int
    """In units of 2^-24: at the first prefix that decides, else the best one; for soak, of everything read."""
    threshold: int
    read: int
    """PASS: length of that prefix in blocks. START and GUARD: in entries. SOAK: failures read."""
    logs: tuple[int, ...]
    """SOAK and PASS: logs of the mixture rows there, weights included, in units of 2^-32 bit."""
    blocks: int
    """Blocks that are not withdrawn; START and GUARD: chargers that count."""
    treated_bad: int
    treated_known: int
    controls_bad: int
    controls_known: int
    pending: int
    """Members whose outcome is still to come (PASS)."""

    @property
    def crossed(self) -> bool:
        """Whether the claim is shown."""
        return self.capital >= self.threshold


def stored_capital(worth: Floats, needed: int) -> tuple[int, int]:
    """Capital to be stored, and after how many groups: the first that decides, else the best; 0, 0 without any."""
    if not len(worth):
        return 0, 0
    crossed = np.flatnonzero(worth * ONE >= needed * SAFETY)
    at = int(crossed[0]) if len(crossed) else int(np.argmax(worth))
    whole = min(int(worth[at] * ONE / SAFETY), MAX_INTEGER)
    return (max(whole, needed) if len(crossed) else min(whole, needed - 1)), at + 1
