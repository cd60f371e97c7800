"""The predicates: each refuses what it is there for, with its word, and nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from otacore.ids import FULL_SHARE
from otacore.wire.release import ReleaseKind
from rollout.domain.fleet import Quarantine, Window
from rollout.domain.offer import (
    PREDICATES,
    Charger,
    Offering,
    Refusal,
    Work,
    explain,
    first_refusal,
    lasting_refusal,
)
from rollout.domain.people import Latch
from rollout.domain.records import Selector, Stage, State
from tests.fakes.rollout_rows import (
    DEVICE,
    DUTY,
    OTHER_DIGEST,
    PARTICIPATION,
    RELEASE,
    ROLLOUT,
    RUNNING,
    SITE,
    STATE,
    WAVE,
)

NOW_MS = 1_800_000_000_000
MEANT = replace(RELEASE, stopped_at_ms=None, from_versions=(), stepping_stones=())
OPEN = Offering(
    rollout=replace(ROLLOUT, epoch=9, published_epoch=9, wave=1, selector=Selector()),
    release=MEANT,
    waves=(replace(WAVE, share=FULL_SHARE, one_per_site=False, selector=Selector()),),
    named={},
)
HEALTHY = replace(STATE, failed_digests=(), armed_nonce=None, firmware=replace(RUNNING, release_digest=OTHER_DIGEST))
FREE = replace(DEVICE, quarantine=None)
FIT = Charger(FREE, SITE, (FREE,), HEALTHY, (), None)


def _rollout(**changes: Any) -> Offering:
    return replace(OPEN, rollout=replace(OPEN.rollout, **changes))


def _release(**changes: Any) -> Offering:
    return replace(OPEN, release=replace(MEANT, **changes))


def _device(**changes: Any) -> Charger:
    return replace(FIT, device=replace(FREE, **changes))


def _runs(stage: Stage, state: State, rollout_id: str = "r-0") -> Charger:
    participation = replace(PARTICIPATION, rollout_id=rollout_id, stage=stage)
    return replace(FIT, work=(Work(participation, state),))


REFUSED: tuple[tuple[Refusal, Offering, Charger], ...] = (
    (Refusal.WRONG_PRODUCT, OPEN, _device(product="other")),
    (Refusal.WRONG_HARDWARE, OPEN, _device(hardware="other")),
    *(
        (Refusal.NOT_RUNNING, _rollout(state=state), FIT)
        for state in State
        if state not in (State.RUNNING, State.COMPLETED)
    ),
    *(
        (Refusal.LATCHED, replace(OPEN, latches=(Latch(scope, "storm", "anna", 1),)), FIT)
        for scope in ("fleet", "product:acme-dc50", "site:s-1")
    ),
    (Refusal.RELEASE_STOPPED, replace(OPEN, stopped=frozenset({RELEASE.digest})), FIT),
    (Refusal.RELEASE_STOPPED, _release(stopped_at_ms=5), FIT),
    (Refusal.OUT_OF_SERVICE, OPEN, _device(out_of_service=True)),
    *((Refusal.QUARANTINED, OPEN, _device(quarantine=why)) for why in Quarantine),
    (Refusal.ADVANCE_PENDING, _rollout(published_epoch=8), FIT),
    (Refusal.WAVE_NOT_OPEN, replace(OPEN, waves=(replace(OPEN.waves[0], share=0),)), FIT),
    (Refusal.WAVE_NOT_OPEN, _rollout(wave=0), FIT),
    (Refusal.NOT_SELECTED, _rollout(selector=Selector(labels=("absent",))), FIT),
    (Refusal.WINDOW_CLOSED, _rollout(selector=Selector(windows=(Window(0, 1),))), FIT),
    (Refusal.STATE_UNKNOWN, OPEN, replace(FIT, state=None)),
    (Refusal.ON_TRIAL, OPEN, replace(FIT, state=replace(HEALTHY, firmware=replace(RUNNING, confirmed=False)))),
    (Refusal.TOO_OLD, _release(from_versions=("1.0.1", "1.0.2")), FIT),
    (Refusal.STEPPING_STONE_MISSING, _release(stepping_stones=("0.9.0", "1.0.1")), FIT),
    (Refusal.NOT_ABOVE_CONFIRMED, OPEN, replace(FIT, state=replace(HEALTHY, highest_firmware="1.1.0"))),
    (Refusal.FAILED_HERE, OPEN, replace(FIT, state=replace(HEALTHY, failed_digests=(RELEASE.digest,)))),
    (Refusal.DONE_HERE, OPEN, _runs(Stage.SETTLED, State.RUNNING, rollout_id="r-1")),
    (Refusal.SERVES_AS_CONTROL, OPEN, replace(FIT, duty=replace(DUTY, until_ms=NOW_MS + 1))),
    *(
        (Refusal.RUNS_UNDECIDED, OPEN, _runs(Stage.SETTLED, state))
        for state in (State.RUNNING, State.PAUSED, State.HALTED, State.ROLLING_BACK)
    ),
    (Refusal.RUNS_UNDECIDED, OPEN, _runs(Stage.ARMED, State.COMPLETED)),
)


@pytest.mark.parametrize(
    ("refusal", "offering", "charger"), REFUSED, ids=[f"{number}-{one[0]}" for number, one in enumerate(REFUSED)]
)
def test_each_reason_refuses_alone_and_is_named(refusal: Refusal, offering: Offering, charger: Charger) -> None:
    """A predicate that does not bind installs what must not be; one that binds too much hides who is meant."""
    assert first_refusal(offering, charger, now_ms=NOW_MS) is refusal
    refused = [check for check in explain(offering, charger, now_ms=NOW_MS) if check.refusal is not None]
    assert [check.refusal for check in refused] == [refusal]


def test_every_predicate_is_asked_once_and_every_reason_has_an_example() -> None:
    """A reason that nothing can give, or a predicate that nobody tests, is a hole."""
    assert {refusal for refusal, _, _ in REFUSED} == set(Refusal)
    assert len({name for name, _ in PREDICATES}) == len(PREDICATES)


@pytest.mark.parametrize("state", [State.RUNNING, State.COMPLETED])
def test_a_fit_charger_is_offered_the_release_also_when_it_comes_late(state: State) -> None:
    """Latecomers to a completed rollout would stay behind for ever."""
    assert first_refusal(_rollout(state=state), FIT, now_ms=NOW_MS) is None


@pytest.mark.parametrize(
    "charger",
    [
        _runs(Stage.SETTLED, State.COMPLETED),
        _runs(Stage.NEEDS_HANDS, State.ROLLED_BACK),
        _runs(Stage.PERMITTED, State.RUNNING, rollout_id="r-1"),
        replace(FIT, duty=replace(DUTY, until_ms=NOW_MS)),
        replace(FIT, state=replace(HEALTHY, config=None)),
    ],
)
def test_what_is_over_or_its_own_does_not_stand_in_the_way(charger: Charger) -> None:
    """A charger stuck on a bad release waits for a re-release; one whose reply was lost asks again."""
    assert first_refusal(OPEN, charger, now_ms=NOW_MS) is None


def test_a_charger_that_was_never_configured_may_get_its_first_configuration() -> None:
    """Nothing runs there, so nothing can be too old or undecided."""
    config = _release(kind=ReleaseKind.CONFIG, from_versions=("1.0.0",))
    assert first_refusal(config, FIT, now_ms=NOW_MS) is None


def test_planning_counts_whoever_could_ever_get_it() -> None:
    """Counting those who cannot would keep every rollout short of its planned number."""
    draft = replace(OPEN.rollout, state=State.DRAFT)
    assert lasting_refusal(replace(OPEN, waves=(), rollout=draft), FIT, now_ms=NOW_MS) is None
    assert lasting_refusal(OPEN, replace(FIT, state=None), now_ms=NOW_MS) is None
    beyond = replace(FIT, state=replace(HEALTHY, highest_firmware="1.1.0"))
    assert lasting_refusal(OPEN, beyond, now_ms=NOW_MS) is Refusal.NOT_ABOVE_CONFIRMED
