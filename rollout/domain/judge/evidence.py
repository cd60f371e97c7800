"""What a stream of evidence says at a watermark, as it is stored with a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from otacore.ids import MAX_INTEGER
from rollout.domain.judge.capital import ONE
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.restarting import SAFETY, Floats, restarted_together


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


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream over groups before its capital is known."""

    name: str
    claim: Claim
    logs: IntArray
    """[group, row] sums of log-factors."""
    parts: tuple[int, ...]
    """Weights of the rows."""
    shares: Floats
    """[group] of the capital, staked there."""
    threshold: int
    entered: IntArray
    """[group] entries, whether they count or not."""
    treated_bad: int
    treated_known: int
    controls_bad: int = 0
    controls_known: int = 0


def read_streams(streams: Sequence[Stream]) -> list[Evidence]:
    """What they say, in their order."""
    worth = restarted_together([(stream.logs, stream.parts, stream.shares) for stream in streams])
    return [_evidence(stream, capital) for stream, capital in zip(streams, worth, strict=True)]


def _evidence(stream: Stream, worth: Floats) -> Evidence:
    capital, at = stored_capital(worth, stream.threshold)
    return Evidence(
        stream=stream.name,
        claim=stream.claim,
        capital=capital,
        threshold=stream.threshold,
        read=int(stream.entered[:at].sum()),
        logs=(),
        blocks=stream.treated_known,
        treated_bad=stream.treated_bad,
        treated_known=stream.treated_known,
        controls_bad=stream.controls_bad,
        controls_known=stream.controls_known,
        pending=0,
    )


def stored_capital(worth: Floats, needed: int) -> tuple[int, int]:
    """Capital to be stored, and after how many groups: the first that decides, else the best; 0, 0 without any."""
    if not len(worth):
        return 0, 0
    crossed = np.flatnonzero(worth * ONE >= needed * SAFETY)
    at = int(crossed[0]) if len(crossed) else int(np.argmax(worth))
    whole = min(int(worth[at] * ONE / SAFETY), MAX_INTEGER)
    return (max(whole, needed) if len(crossed) else min(whole, needed - 1)), at + 1
