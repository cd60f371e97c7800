"""Decisions written down: the opening, the publication, holds and resumes."""

from dataclasses import replace

import pytest

from otacore.cohort import is_inside
from otacore.errors import Misuse
from otacore.ids import FULL_SHARE
from otacore.wire.campaign import CampaignAction
from rollout.domain.decision import Decided, decide, published
from rollout.domain.machine import Event
from rollout.domain.records import PlannedCharger, Rollout, State, Wave
from tests.fakes.rollout_rows import RELEASE, ROLLOUT, WAVE

NOW_MS = 1_800_000_000_000
WAVES = (
    replace(WAVE, number=1, share=0, opened_at_ms=None),
    replace(WAVE, number=2, share=FULL_SHARE // 2, opened_at_ms=None),
    replace(WAVE, number=3, share=FULL_SHARE, opened_at_ms=None),
)
NAMED = (
    PlannedCharger("r-1", "c-1", 1, is_named=True, is_judged=True),
    PlannedCharger("r-1", "c-2", 2, is_named=True, is_judged=False),
    PlannedCharger("r-1", "c-3", 1, is_named=False, is_judged=True),
)
PLANNED = replace(
    ROLLOUT, state=State.PLANNED, wave=0, epoch=0, published_epoch=0, held_since_ms=None, resume_to=None, unproven=False
)


def _decide(rollout: Rollout, event: Event, *, now_ms: int = NOW_MS, waves: tuple[Wave, ...] = WAVES) -> Decided:
    return decide(rollout, event, now_ms=now_ms, release=RELEASE, waves=waves, planned=NAMED)


def _published(decided: Decided) -> Rollout:
    publication = decided.publication
    assert publication is not None
    return published(decided.rollout, action=publication.order.manifest.action, pace_step=0, now_ms=NOW_MS)


def test_each_wave_opens_once_and_the_opening_never_shrinks() -> None:
    """A charger that was let in would be shut out again, or one wave would open twice."""
    rollout, before = PLANNED, None
    for event in (Event.START, Event.ADVANCE, Event.PAUSE, Event.RESUME, Event.ADVANCE, Event.HALT):
        decided = _decide(rollout, event)
        assert decided.publication is not None
        manifest = decided.publication.order.manifest
        if before is not None:
            assert manifest.share >= before.share
            assert set(manifest.named) >= set(before.named)
            assert manifest.epoch > before.epoch
        rollout, before = _published(decided), manifest
    assert (rollout.wave, rollout.state) == (3, State.HALTED)
    with pytest.raises(Misuse) as refused:
        _decide(replace(rollout, state=State.RUNNING), Event.ADVANCE)
    assert refused.value.code == "rollout.no_further_wave"


def test_a_wave_with_a_smaller_share_does_not_close_what_is_open() -> None:
    """A later wave that is opened by name alone has no share of its own."""
    waves = (replace(WAVES[1], number=1), replace(WAVES[0], number=2))
    decided = _decide(replace(PLANNED, state=State.RUNNING, wave=1, epoch=5), Event.ADVANCE, waves=waves)
    assert decided.publication is not None
    assert decided.publication.order.manifest.share == waves[0].share


def test_the_manifest_opens_to_exactly_the_named_chargers_of_the_open_waves() -> None:
    """A judged charger that is not named, or one of a later wave, would go too early."""
    decided = _decide(PLANNED, Event.START)
    assert decided.publication is not None
    manifest = decided.publication.order.manifest
    inside = {
        device_id
        for device_id in ("c-1", "c-2", "c-3", "c-4")
        if is_inside(
            release_digest=RELEASE.digest,
            device_id=device_id,
            share=manifest.share,
            salt=manifest.salt,
            named=manifest.named,
        )
    }
    assert inside == {"c-1"}
    assert manifest.action is CampaignAction.INSTALL
    assert decided.publication.order.stop == ()


def test_taking_back_stops_the_release_also_with_every_later_publication() -> None:
    """If only the first publication carried the stop, a halt right after it would lose it."""
    running = replace(PLANNED, state=State.RUNNING, wave=1, epoch=5)
    taken_back = _decide(running, Event.ROLL_BACK)
    halted = _decide(taken_back.rollout, Event.HALT)
    for decided in (taken_back, halted):
        assert decided.publication is not None
        assert decided.publication.order.stop == (RELEASE.digest,)
        assert decided.publication.order.manifest.action is CampaignAction.HOLD


def test_halting_what_was_never_opened_publishes_nothing() -> None:
    """There is no manifest to hold, and none must appear."""
    decided = _decide(PLANNED, Event.HALT)
    assert decided.publication is None
    assert decided.rollout.resume_to is State.PLANNED
    with pytest.raises(Misuse) as refused:
        _decide(decided.rollout, Event.ROLL_BACK)
    assert refused.value.code == "rollout.nothing_to_take_back"


def test_a_second_hold_keeps_where_the_first_one_came_from() -> None:
    """A completed rollout that was paused and then halted would else be run again."""
    completed = replace(PLANNED, state=State.COMPLETED, wave=3, epoch=5)
    halted = _decide(_decide(completed, Event.PAUSE).rollout, Event.HALT).rollout
    assert halted.resume_to is State.COMPLETED
    again = _decide(halted, Event.RESUME_COMPLETED).rollout
    assert (again.state, again.resume_to) == (State.COMPLETED, None)


def test_an_opening_takes_effect_when_its_manifest_stands_and_a_hold_at_once() -> None:
    """Permits need both epochs equal: nobody is let through before the world can read it."""
    started = _decide(PLANNED, Event.START)
    assert started.rollout.published_epoch < started.rollout.epoch
    standing = _published(started)
    assert standing.published_epoch == standing.epoch
    halted = _decide(standing, Event.HALT).rollout
    assert halted.published_epoch < halted.epoch


def test_held_time_is_counted_until_the_next_opening_stands_published() -> None:
    """The pace counts hours that an opening stood unheld; counting a hold would open too soon."""
    standing = published(
        _decide(PLANNED, Event.START).rollout, action=CampaignAction.INSTALL, pace_step=0, now_ms=1_000
    )
    held = _decide(standing, Event.PAUSE, now_ms=2_000).rollout
    again = _decide(held, Event.HALT, now_ms=3_000).rollout
    assert again.held_since_ms == 2_000
    resumed = _decide(again, Event.RESUME, now_ms=4_000).rollout
    assert resumed.held_since_ms == 2_000
    open_again = published(resumed, action=CampaignAction.INSTALL, pace_step=0, now_ms=7_000)
    assert (open_again.held_ms, open_again.held_since_ms, open_again.pace_since_ms) == (5_000, None, 1_000)


def test_every_decision_raises_the_revision_by_one() -> None:
    """The store compares it; a decision that kept it could be overwritten by a stale one."""
    decided = _decide(PLANNED, Event.START)
    assert decided.rollout.revision == PLANNED.revision + 1
    assert _published(decided).revision == PLANNED.revision + 2
