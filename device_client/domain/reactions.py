"""What a handler answers, and the few moves that all handlers share. The transitions stand in `machine`."""

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from device_client.domain.effects import Effect, Release, WriteBoot, WriteJournal
from device_client.domain.journal import Journal, Notice, with_notice
from device_client.domain.slots import SlotPair
from device_client.domain.state import AgentState
from otacore.wire.release import ReleaseKind

MAX_TOLD: Final = 64


class Outcome(StrEnum):
    """What an event amounted to in its stage, as a fact."""

    OFFERED = "offered"
    CALLED_BACK = "called back"
    ACCEPTED = "accepted"
    ALREADY_WRITTEN = "already written"
    REJECTED = "rejected"
    STRETCH_WRITTEN = "stretch written"
    ALL_WRITTEN = "all written"
    UNWANTED = "unwanted"
    FITS = "fits"
    MISFITS = "does not fit"
    READY = "ready and wanted"
    FREE = "no session in the way"
    HOLD_NEEDED = "sessions must be held off"
    BUSY = "busy"
    PERMITTED = "permitted"
    PERMIT_NAMES_NEWER = "permit names newer metadata"
    UNKNOWN_KEY = "unknown permit key"
    DENIED = "denied"
    IN_TIME = "flag set in time"
    TOO_LATE = "too late"
    NOT_STARTED = "did not start"
    APPLIED = "applied"
    PASSED = "passed"
    TAKEN_BACK = "passed on the old release"
    GIVEN_UP = "given up"
    CONTACTED = "in contact"
    SILENT = "no contact"
    WENT_BACK = "went back"
    WENT_ON = "went on"
    SURVEY_DUE = "survey due"
    REFILL_NEEDED = "refill needed"
    SETTLED = "settled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reaction:
    """The outcome (None: the stage stays), the state with all but its stage changed, and the effects."""

    outcome: Outcome | None
    state: AgentState
    effects: tuple[Effect, ...] = ()


def stay(state: AgentState, *effects: Effect) -> Reaction:
    """The stage stays."""
    return Reaction(None, state, effects)


def moved(outcome: Outcome, state: AgentState, *effects: Effect) -> Reaction:
    """The stage follows the table."""
    return Reaction(outcome, state, effects)


def with_pair(state: AgentState, kind: ReleaseKind, pair: SlotPair) -> tuple[AgentState, WriteBoot]:
    """The state with a changed slot pair, and the write that makes it so."""
    record = state.boot.with_pair(kind, pair)
    return replace(state, boot=record), WriteBoot(record)


def with_journal(state: AgentState, journal: Journal) -> tuple[AgentState, WriteJournal]:
    """The state with a changed journal, and the write that makes it so."""
    return replace(state, journal=journal), WriteJournal(journal)


def told_once(state: AgentState, journal: Journal, notice: Notice) -> tuple[AgentState, Journal]:
    """Add a notice unless this process has said the same of the same release already."""
    key = f"{notice.fact}/{notice.rollout_id}/{notice.release_digest}/{notice.failure}"
    if key in state.told:
        return state, journal
    told = frozenset({key}) if len(state.told) >= MAX_TOLD else state.told | {key}
    return replace(state, told=told), with_notice(journal, notice)


def deferred(state: AgentState, at_ms: int, *, digest: str, reason: str, cap_ms: int | None = None) -> AgentState:
    """Try this release again later: the wait doubles with every setback in a row, up to a cap, and is jittered."""
    timing = state.timing
    doubled = timing.backoff_first_ms << min(state.setbacks, 30)
    wait = min(doubled, timing.backoff_cap_ms if cap_ms is None else cap_ms)
    wait -= wait * share_of_256(state.charger.device_id, digest, str(state.setbacks)) // 1024
    return replace(state, setbacks=state.setbacks + 1, retry_at_ms=at_ms + wait, deferred_digest=digest, reason=reason)


def undelayed(state: AgentState) -> AgentState:
    """Progress was made: the next setback starts with the shortest wait."""
    return replace(state, setbacks=0, retry_at_ms=0, deferred_digest=None)


def must_wait(state: AgentState, at_ms: int, digest: str) -> bool:
    """True while this release's wait is not over; another release need not wait for it."""
    return state.deferred_digest == digest and at_ms < state.retry_at_ms


def share_of_256(*words: str) -> int:
    """An evenly spread number below 256, always the same for the same words: jitter without chance."""
    return hashlib.sha256("\n".join(words).encode()).digest()[0]


def released(state: AgentState) -> tuple[AgentState, tuple[Effect, ...]]:
    """Let sessions start again, if they were held off, and forget what the attempt had gathered."""
    made = replace(state, holding=False, nonce=None, permit=None, keys_refreshed=False)
    return made, (Release(),) if state.holding else ()
