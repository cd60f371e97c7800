"""Laying a rollout out over a fleet."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otacore.cohort import position
from otacore.errors import Misuse
from otacore.ids import FULL_SHARE
from otacore.wire.release import DEFAULT_PACE, PaceStep
from rollout.domain.fleet import Device
from rollout.domain.planning import Fit, Layout, LayoutRefused, PlanRequest, WaveRequest, lay_out
from rollout.domain.records import Release, Selector
from rollout.domain.wave import wave_of
from tests.fakes.rollout_rows import DEVICE, ROLLOUT, SITE
from tests.fakes.rollout_world import judge_draft, release

RELEASE = release("1.1.0")
OPEN_TO_ALL = replace(ROLLOUT, selector=Selector())


def _fleet(sites: int, per_site: int, of: Release = RELEASE) -> list[Fit]:
    return [
        Fit(device, replace(SITE, site_id=f"s-{site}", site_class="city"), position(of.digest, device.device_id))
        for site in range(sites)
        for number in range(per_site)
        for device in (_device(site, number, per_site),)
    ]


def _device(site: int, number: int, per_site: int) -> Device:
    return replace(
        DEVICE,
        device_id=f"c-{site}-{number}",
        number=site * per_site + number,
        site_id=f"s-{site}",
        quarantine=None,
        labels=("fast",) if number % 2 else (),
    )


def _lay(
    *waves: WaveRequest, fleet: list[Fit] | None = None, of: Release = RELEASE, named_before: int = 0
) -> Layout | LayoutRefused:
    draft = judge_draft(promote_unproven=True)
    request = PlanRequest(waves, replace(draft, metrics=draft.metrics[:1]))
    return lay_out("r-1", of, request, fleet if fleet is not None else _fleet(10, 4), named_before=named_before)


def _laid(*waves: WaveRequest, fleet: list[Fit] | None = None, of: Release = RELEASE) -> Layout:
    layout = _lay(*waves, fleet=fleet, of=of)
    assert isinstance(layout, Layout), layout
    return layout


def _reached(layout: Layout, fleet: list[Fit], *, through: int) -> dict[str, int]:
    """Chargers by the wave that the running system would put them in."""
    named = {one.device_id: one.wave for one in layout.chargers if one.is_named}
    mates = {fit.site.site_id: [one.device for one in fleet if one.site == fit.site] for fit in fleet}
    found = {
        fit.device.device_id: wave_of(
            fit.device,
            site=fit.site,
            mates=mates[fit.site.site_id],
            rollout=OPEN_TO_ALL,
            release=RELEASE,
            waves=layout.waves,
            named_wave=named.get(fit.device.device_id),
            through=through,
        )
        for fit in fleet
    }
    return {device_id: wave for device_id, wave in found.items() if wave is not None}


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
    fleet = _fleet(10, 4)
    try:
        layout = _lay(*requests, WaveRequest(percent=100), fleet=fleet, of=replace(RELEASE, pace=pace))
    except Misuse:
        return  # a wave that reaches nobody: tested below
    if isinstance(layout, LayoutRefused):
        return
    shares = [wave.share for wave in layout.waves]
    assert shares == sorted(shares)
    reached: dict[str, int] = {}
    for number in range(1, len(layout.waves) + 1):
        now = _reached(layout, fleet, through=number)
        assert reached.items() <= now.items()
        assert len(now) - len(reached) == layout.waves[number - 1].planned
        reached = now
    assert len(reached) == len(fleet)


def test_a_canary_wave_is_named_one_per_site_and_pre_drawn() -> None:
    """Canaries of one site would fail together; judged units drawn afterwards could be chosen."""
    layout = _laid(WaveRequest(chargers=8, one_per_site=True), WaveRequest(percent=100))
    first = [one for one in layout.chargers if one.wave == 1]
    assert len(first) == layout.waves[0].named == layout.waves[0].planned == 8
    assert len({one.device_id.rsplit("-", 1)[0] for one in first}) == 8
    assert all(one.is_judged for one in first)
    judged_plan = layout.judge.wave(1)
    assert judged_plan is not None
    assert judged_plan.makes_claim


def test_names_go_before_shares_and_a_wave_of_everything_is_a_full_share() -> None:
    """Shares open to strangers of the wave; names do not."""
    layout = _laid(WaveRequest(chargers=8), WaveRequest(percent=50), WaveRequest(percent=100))
    assert [wave.share for wave in layout.waves] == [0, 0, FULL_SHARE]
    assert [wave.named for wave in layout.waves] == [8, 12, 0]


def test_the_smallest_share_covers_a_wave_that_may_not_be_named() -> None:
    """One more would open to a charger that the plan does not count."""
    few_names = replace(RELEASE, pace=(PaceStep(FULL_SHARE // 2, 4, 0), PaceStep(FULL_SHARE, 0, 1)))
    fleet = _fleet(10, 4)
    layout = _laid(
        WaveRequest(chargers=4), WaveRequest(chargers=6), WaveRequest(percent=100), fleet=fleet, of=few_names
    )
    assert layout.waves[1].named == 0
    smaller = replace(layout, waves=(layout.waves[0], replace(layout.waves[1], share=layout.waves[1].share - 1)))
    assert len(_reached(smaller, fleet, through=2)) == 9


def test_a_plan_that_outruns_the_pace_is_refused_and_says_what_would_do() -> None:
    """The campaign signer would refuse it in the middle of the night."""
    default = replace(RELEASE, pace=DEFAULT_PACE)
    for waves in ((WaveRequest(percent=100),), (WaveRequest(chargers=4), WaveRequest(percent=100))):
        refused = _lay(*waves, of=default)
        assert isinstance(refused, LayoutRefused)
        assert "pace" in refused.reasons[0]
        assert "smaller" in refused.remedies[0]


def test_names_of_other_rollouts_of_the_release_count_for_the_pace() -> None:
    """Two rollouts of one release would open twice what was signed."""
    few = replace(RELEASE, pace=(PaceStep(0, 10, 0), PaceStep(FULL_SHARE, 0, 1)))
    assert isinstance(_lay(WaveRequest(chargers=8), WaveRequest(percent=100), of=few), Layout)
    refused = _lay(WaveRequest(chargers=8), WaveRequest(percent=100), of=few, named_before=3)
    assert isinstance(refused, LayoutRefused)


def test_a_plan_whose_waves_cannot_answer_is_refused_with_what_would_help() -> None:
    """Else the author would learn after a week that eight canaries prove nothing."""
    request = PlanRequest((WaveRequest(chargers=3), WaveRequest(percent=100)), judge_draft())
    refused = lay_out("r-1", RELEASE, request, _fleet(10, 4), named_before=0)
    assert isinstance(refused, LayoutRefused)
    assert any("cannot answer" in reason for reason in refused.reasons)
    assert any("promote_unproven_after_soak" in remedy for remedy in refused.remedies)


def test_a_first_wave_on_one_site_is_refused() -> None:
    """A fault of that site would judge the release."""
    one_site = WaveRequest(chargers=2, selector=Selector(sites=("s-1",)))
    refused = _lay(one_site, WaveRequest(percent=100))
    assert isinstance(refused, LayoutRefused)
    assert any("two sites" in reason for reason in refused.reasons)


def test_a_wave_that_reaches_nobody_is_misuse() -> None:
    """A selector with a typing error would else be a rollout that never moves."""
    with pytest.raises(Misuse) as refused:
        _lay(WaveRequest(chargers=2, selector=Selector(labels=("absent",))))
    assert refused.value.code == "plan.empty_wave"


@pytest.mark.parametrize(
    "wrong", [{}, {"chargers": 1, "percent": 1}, {"chargers": 0}, {"percent": 101}, {"percent": 0}]
)
def test_a_wave_is_asked_for_in_one_way(wrong: dict[str, int]) -> None:
    """Two sizes at once, or none, cannot both be meant."""
    with pytest.raises(ValueError, match=r"charger|percent"):
        WaveRequest(**wrong)  # type: ignore[arg-type]  # every value here is a size
