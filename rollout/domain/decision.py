"""One decision about a rollout, written down: the rollout's next row, and the publication that must follow from it.

Pure. It applies what `machine.step` says; who may decide what is settled before it is called. The opening is computed
from the waves that are open, so no decision can shrink it, and holding never touches it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from otacore.cohort import name_hash
from otacore.errors import Misuse
from otacore.wire.campaign import CampaignAction, CampaignManifest, CampaignOrder
from rollout.domain.machine import Effect, Event, next_epoch, step
from rollout.domain.records import OutboxItem, PlannedCharger, Release, Rollout, State, Wave

_HELD = (State.PAUSED, State.HALTED)
_TAKEN_BACK = (State.ROLLING_BACK, State.ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class Decided:
    """The next row, and the publication that follows; None when nothing is to be published."""

    rollout: Rollout
    publication: OutboxItem | None


def decide(
    rollout: Rollout,
    event: Event,
    *,
    now_ms: int,
    release: Release,
    waves: Sequence[Wave],
    planned: Iterable[PlannedCharger],
    question: str | None = None,
) -> Decided:
    """Apply an event. `planned` holds the named chargers of the rollout.

    Raises: Misuse("rollout.no_such_transition" | "rollout.nothing_to_take_back" | "rollout.no_further_wave").
    """
    transition = step(rollout.state, event)
    if event is Event.ROLL_BACK and rollout.wave == 0:
        raise Misuse("rollout.nothing_to_take_back", "no wave was ever opened; there is nothing to roll back")
    effects = transition.effects
    changed = transition.state is not rollout.state
    # Who comes after an opening, or late to a completed rollout, is watched with fresh capital.
    begins = Effect.PUBLISH_INSTALL in effects or (changed and transition.state is State.COMPLETED)
    decided = replace(
        rollout,
        state=transition.state,
        state_since_ms=now_ms if changed else rollout.state_since_ms,
        resume_to=_resume_to(rollout, transition.state),
        question=question,
        revision=rollout.revision + 1,
        epoch=next_epoch(rollout.epoch, now_ms=now_ms) if Effect.RAISE_EPOCH in effects else rollout.epoch,
        wave=_next_wave(rollout, waves) if Effect.OPEN_NEXT_WAVE in effects else rollout.wave,
        held_since_ms=_held_since(rollout, effects, now_ms=now_ms),
        phase=rollout.phase + begins,
        phase_since_ms=now_ms if begins else rollout.phase_since_ms,
        cap_full_since_ms=None,
        sweep_after="",
    )
    publication = _publication(decided, effects, now_ms=now_ms, release=release, waves=waves, planned=planned)
    return Decided(decided, publication)


def opening_share(waves: Sequence[Wave], *, through: int) -> int:
    """Share that is open once wave `through` is; the largest of the waves so far, so it never falls."""
    return max((wave.share for wave in waves if wave.number <= through), default=0)


def published(rollout: Rollout, *, action: CampaignAction, pace_step: int, now_ms: int) -> Rollout:
    """The manifest of the rollout's present epoch stands published: from now on permits can fit it."""
    stands = replace(rollout, published_epoch=rollout.epoch, revision=rollout.revision + 1)
    if action is CampaignAction.HOLD:
        return stands
    if pace_step > rollout.pace_step or rollout.pace_since_ms is None:
        stands = replace(stands, pace_step=pace_step, pace_since_ms=now_ms, held_ms=0)
    elif rollout.held_since_ms is not None:
        stands = replace(stands, held_ms=rollout.held_ms + max(0, now_ms - rollout.held_since_ms))
    return replace(stands, held_since_ms=None, wait_from_ms=now_ms)


def _resume_to(rollout: Rollout, state: State) -> State | None:
    if state not in _HELD:
        return None
    return rollout.resume_to if rollout.state in _HELD else rollout.state


def _next_wave(rollout: Rollout, waves: Sequence[Wave]) -> int:
    if rollout.wave >= len(waves):
        raise Misuse("rollout.no_further_wave", "every planned wave is open already")
    return rollout.wave + 1


def _held_since(rollout: Rollout, effects: tuple[Effect, ...], *, now_ms: int) -> int | None:
    # A hold ends when the next opening stands published, not when it is decided: `published` clears it.
    if Effect.PUBLISH_HOLD in effects and rollout.held_since_ms is None:
        return now_ms
    return rollout.held_since_ms


def _publication(
    rollout: Rollout,
    effects: tuple[Effect, ...],
    *,
    now_ms: int,
    release: Release,
    waves: Sequence[Wave],
    planned: Iterable[PlannedCharger],
) -> OutboxItem | None:
    if rollout.wave == 0 or not {Effect.PUBLISH_INSTALL, Effect.PUBLISH_HOLD} & set(effects):
        return None
    names = {
        name_hash(rollout.salt, charger.device_id)
        for charger in planned
        if charger.is_named and charger.wave <= rollout.wave
    }
    manifest = CampaignManifest(
        rollout_id=rollout.rollout_id,
        epoch=rollout.epoch,
        action=CampaignAction.INSTALL if Effect.PUBLISH_INSTALL in effects else CampaignAction.HOLD,
        release_path=release.path,
        release_digest=release.digest,
        share=opening_share(waves, through=rollout.wave),
        salt=rollout.salt,
        named=tuple(sorted(names)),
        issued_at_ms=now_ms,
    )
    # Not only with the decision that stops it: a later publication may be the only one that gets through.
    stop = (release.digest,) if rollout.state in _TAKEN_BACK else ()
    order = CampaignOrder(manifest, stop)
    return OutboxItem(rollout.rollout_id, rollout.epoch, order, created_at_ms=now_ms)
