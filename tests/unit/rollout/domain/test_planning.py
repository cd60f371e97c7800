"""Laying a rollout out over a fleet."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otacore.errors import Misuse
from otacore.ids import FULL_SHARE
from otacore.wire.release import DEFAULT_PACE, PaceStep
from rollout.domain.fleet import Device
from rollout.domain.planning import Layout, PlanRequest, WaveRequest
from rollout.domain.proposal.candidates import Candidate
from rollout.domain.records import Release, Selector
from rollout.domain.wave import wave_of
from tests.fakes.rollout_rows import DEVICE, ROLLOUT
from tests.fakes.rollout_world import judge_draft, release
from tests.paper_fleet import fleet, planned

RELEASE = release("1.1.0")
OPEN_TO_ALL = replace(ROLLOUT, selector=Selector())


def _fleet(sites: int, per_site: int, of: Release = RELEASE) -> list[Candidate]:
    """Every second charger is fast."""
    made = fleet(sites * per_site, per_site=per_site, of=of)
    return [replace(one, labels=("fast",) if number % 2 else ()) for number, one in enumerate(made)]


def _lay(
    *waves: WaveRequest, found: list[Candidate] | None = None, of: Release = RELEASE, named_before: int = 0
) -> Layout:
    draft = judge_draft(promote_unproven=True)
    request = PlanRequest(waves, replace(draft, metrics=draft.metrics[:1]))
    return planned(request, found if found is not None else _fleet(10, 4), of=of, named_before=named_before)


def _reached(layout: Layout, found: list[Candidate], *, through: int) -> dict[str, int]:
    """Chargers by the wave that the running system would put them in."""
    named = {one.device_id: one.wave for one in layout.chargers if one.is_named}
    devices = {one.device_id: _device(one) for one in found}
    mates: dict[str, list[Device]] = {}
    for one in found:
        mates.setdefault(one.site.site_id, []).append(devices[one.device_id])
    waves = {
        one.device_id: wave_of(
            devices[one.device_id],
            site=one.site,
            mates=mates[one.site.site_id],
            rollout=OPEN_TO_ALL,
            release=RELEASE,
            waves=layout.waves,
            named_wave=named.get(one.device_id),
            through=through,
        )
        for one in found
    }
    return {device_id: wave for device_id, wave in waves.items() if wave is not None}


def _device(one: Candidate) -> Device:
    return replace(
        DEVICE,
        device_id=one.device_id,
        site_id=one.site.site_id,
        product=one.product,
        hardware=one.hardware,
        quarantine=None,
        labels=one.labels,
    )


SELECTORS = st.sampled_from([Selector(), Selector(), Selector(sites=("s-1", "s-2", "s-3")), Selector(labels=("fast",))])
REQUESTS = st.lists(
    st.one_of(
        st.builds(WaveRequest, chargers=st.integers(1, 12), one_per_site=st.booleans(), selector=SELECTORS),
        st.builds(WaveRequest, percent=st.integers(1, 99), one_per_site=st.booleans(), selector=SELECTORS),
    ),
    min_size=1,
    max_size=4,
)
PACES = st.sampled_from(
    [
        (PaceStep(FULL_SHARE, 0, 0),),
        (PaceStep(0, 10, 0), PaceStep(FULL_SHARE // 2, 20, 1), PaceStep(FULL_SHARE, 0, 2)),
        (PaceStep(FULL_SHARE // 4, 4, 0), PaceStep(FULL_SHARE, 0, 1)),
    ]
)


@settings(deadline=None, max_examples=60)
@given(requests=REQUESTS, pace=PACES)
def test_an_opening_never_shrinks_and_reaches_exactly_whom_the_plan_counts(
    requests: list[WaveRequest], pace: tuple[PaceStep, ...]
) -> None:
    """What is planned, named and shared must be what the running system does, for every way of asking."""
    found = _fleet(10, 4)
    layout = _lay(*requests, WaveRequest(percent=100), found=found, of=replace(RELEASE, pace=pace))
    shares = [wave.share for wave in layout.waves]
    assert shares == sorted(shares)
    reached: dict[str, int] = {}
    for number in range(1, len(layout.waves) + 1):
        now = _reached(layout, found, through=number)
        assert reached.items() <= now.items()
        assert len(now) - len(reached) == layout.waves[number - 1].planned
        reached = now
    assert len(reached) == len(found)


def test_a_canary_wave_is_named_one_per_site_and_pre_drawn() -> None:
    """Canaries of one site would fail together; judged units drawn afterwards could be chosen."""
    layout = _lay(WaveRequest(chargers=8, one_per_site=True), WaveRequest(percent=100))
    first = [one for one in layout.chargers if one.wave == 1]
    assert len(first) == layout.waves[0].named == layout.waves[0].planned == 8
    assert len({int(one.device_id.removeprefix("c-")) // 4 for one in first}) == 8
    assert all(one.is_judged for one in first)
    judged_plan = layout.judge.wave(1)
    assert judged_plan is not None
    assert judged_plan.makes_claim


def test_names_go_before_shares_and_a_wave_of_everything_is_a_full_share() -> None:
    """Shares open to strangers of the wave; names do not."""
    layout = _lay(WaveRequest(chargers=8), WaveRequest(chargers=12), WaveRequest(percent=100))
    assert [wave.share for wave in layout.waves] == [0, 0, FULL_SHARE]
    assert [wave.named for wave in layout.waves] == [8, 12, 0]


def test_the_smallest_share_covers_a_wave_that_may_not_be_named() -> None:
    """One more would open to a charger that the plan does not count."""
    few_names = replace(RELEASE, pace=(PaceStep(FULL_SHARE // 2, 4, 0), PaceStep(FULL_SHARE, 0, 1)))
    found = _fleet(10, 4)
    layout = _lay(WaveRequest(chargers=4), WaveRequest(chargers=6), WaveRequest(percent=100), found=found, of=few_names)
    assert layout.waves[1].named == 0
    smaller = replace(layout, waves=(layout.waves[0], replace(layout.waves[1], share=layout.waves[1].share - 1)))
    assert len(_reached(smaller, found, through=2)) == 9


def test_a_first_wave_that_the_pace_does_not_allow_comes_after_waves_that_lead_up_to_it() -> None:
    """The campaign signer would refuse it in the middle of the night; the author would be left without a plan."""
    default = replace(RELEASE, pace=DEFAULT_PACE)
    layout = _lay(WaveRequest(percent=100), found=_fleet(80, 4), of=default)
    assert [wave.planned for wave in layout.waves] == [16, 48, 256]
    (wish,) = [one for one in layout.wishes if "pace" in one.why]
    assert (wish.wished, "16 chargers" in wish.proposed) == ("wave 1: 100 %", True)


def test_a_wish_wider_than_the_last_step_of_the_pace_is_narrowed_to_it() -> None:
    """Waiting for a step that was never signed is waiting for ever."""
    half = replace(RELEASE, pace=(PaceStep(0, 10, 0), PaceStep(FULL_SHARE // 2, 20, 1)))
    layout = _lay(WaveRequest(chargers=4), WaveRequest(percent=100), of=half)
    assert layout.waves[-1].share == FULL_SHARE // 2
    assert any((wish.wished, wish.proposed) == ("wave 2: 100 %", "50 %") for wish in layout.wishes)


def test_names_of_other_rollouts_of_the_release_count_for_the_pace() -> None:
    """Two rollouts of one release would open twice what was signed."""
    few = replace(RELEASE, pace=(PaceStep(0, 10, 0), PaceStep(FULL_SHARE, 0, 1)))
    assert _lay(WaveRequest(chargers=8), WaveRequest(percent=100), of=few).waves[0].named == 8
    second = _lay(WaveRequest(chargers=8), WaveRequest(percent=100), of=few, named_before=8)
    assert second.waves[0].named == 2
    with pytest.raises(Misuse, match=r"plan\.pace_reaches_nobody"):
        _lay(WaveRequest(chargers=8), of=few, named_before=10)


def test_a_wave_that_opens_nobody_new_is_left_out_and_said() -> None:
    """Such a wave would never pass: it has nobody to pass with."""
    layout = _lay(WaveRequest(chargers=40), WaveRequest(percent=50), WaveRequest(percent=100))
    assert len(layout.waves) == 1
    assert [wish.proposed for wish in layout.wishes] == ["no such wave", "no such wave"]


def test_a_first_wave_on_one_site_makes_no_claim() -> None:
    """A fault of that site would judge the release."""
    one_site = WaveRequest(chargers=2, selector=Selector(sites=("s-1",)))
    draft = judge_draft()
    layout = planned(PlanRequest((one_site, WaveRequest(percent=100)), draft), _fleet(10, 4))
    assert not layout.answers[0].makes_claim
    assert "one site" in layout.answers[0].why


def test_judged_units_are_drawn_in_every_wave_one_per_site_with_claim_or_without() -> None:
    """A wave without blocks would be one whose events are compared with nobody's."""
    layout = planned(PlanRequest(), _fleet(12, 5))
    assert not any(answer.makes_claim for answer in layout.answers)
    site_of = {one.device_id: one.site.site_id for one in _fleet(12, 5)}
    for wave, answer in zip(layout.judge.waves, layout.answers, strict=True):
        judged = [one.device_id for one in layout.chargers if one.wave == wave.wave and one.is_judged]
        assert len(judged) == wave.judged_units == answer.judged_units > 0
        assert len({site_of[device_id] for device_id in judged}) == len(judged)


def test_a_wave_that_reaches_nobody_is_misuse() -> None:
    """A selector with a typing error would else be a rollout that never moves."""
    with pytest.raises(Misuse) as refused:
        _lay(WaveRequest(chargers=2, selector=Selector(labels=("absent",))))
    assert refused.value.code == "plan.empty_wave"


def test_a_percent_wave_opens_exactly_that_share_and_takes_as_many_as_fall_in() -> None:
    """G6: a share that covers an exact number lies above the pace's step in half of all releases."""
    layout = _lay(WaveRequest(percent=25), WaveRequest(percent=100))
    inside = [one for one in _fleet(10, 4) if one.number < FULL_SHARE // 4]
    assert (layout.waves[0].share, layout.waves[0].named) == (FULL_SHARE // 4, 0)
    assert layout.waves[0].planned == len(inside) != 10


@pytest.mark.parametrize(
    "wrong", [{}, {"chargers": 1, "percent": 1}, {"chargers": 0}, {"percent": 101}, {"percent": 0}]
)
def test_a_wave_is_asked_for_in_one_way(wrong: dict[str, int]) -> None:
    """Two sizes at once, or none, cannot both be meant."""
    with pytest.raises(ValueError, match=r"charger|percent"):
        WaveRequest(**wrong)  # type: ignore[arg-type]  # every value here is a size
