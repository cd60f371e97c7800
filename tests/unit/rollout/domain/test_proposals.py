"""Plans that nobody asked anything of: who is counted, in which waves, for how long, and how wishes are answered."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otacore.ids import FULL_SHARE
from otacore.rules.pace import FIRST_STEP, hours_between, step_of
from otacore.wire.codec import encode
from otacore.wire.release import DEFAULT_PACE
from rollout.domain.judge.plan import CapPlan, JudgePlan, Stratum, read_plan
from rollout.domain.planning import Layout, MetricWish, PlanRequest, Restarts, WaveRequest, danger_of
from rollout.domain.proposal.candidates import GONE_MS, LAST_WORKING, NOT_HEARD_OF, RECENT_MS, Candidate
from rollout.domain.proposal.draft import Origin
from rollout.domain.proposal.openings import MOST_LAB, openings
from tests.fakes.rollout_world import digest_of
from tests.paper_fleet import NIGHTS, NOW_MS, RELEASE, coming, fleet, planned

HINT = (WaveRequest(chargers=50, one_per_site=True), WaveRequest(percent=10), WaveRequest(percent=100))
"""What the command line's help suggests: --wave 50/site --wave 10% --wave 100%."""


def _elsewhere(chargers: int) -> list[Candidate]:
    """Others, on sites of their own."""
    return [
        replace(one, device_id=f"x{one.device_id}", site=replace(one.site, site_id=f"x{one.site.site_id}"))
        for one in fleet(chargers)
    ]


def _keeps_pace(layout: Layout) -> None:
    """What the campaign signer asks of every opening, in the order in which they come."""
    named, standing, since_h, now_h = 0, FIRST_STEP, 0, 0
    for wave, outlook in zip(layout.waves, layout.outlook, strict=True):
        named += wave.named
        step = step_of(DEFAULT_PACE, share=wave.share, named=named)
        assert step is not None
        if wave.number == 1:
            assert step == FIRST_STEP
        elif step > standing:
            assert now_h - since_h >= hours_between(DEFAULT_PACE, standing, step)
            standing, since_h = step, now_h
        now_h += outlook.hours


def _everybody(layout: Layout) -> int:
    return sum(wave.planned for wave in layout.waves)


# --- plans without options -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chargers", "days", "opened"),
    [
        (1, 6, (1,)),
        (5, 6, (1, 5)),
        (20, 6, (1, 4, 20)),
        (60, 6, (3, 12, 60)),
        (200, 6, (10, 47, 200)),
        (1_000, 6, (50, 200, 1_000)),
        (10_000, 9, (50, 400, 2_000, 10_000)),
        (35_000, 13, (50, 280, 1_400, 7_000, 35_000)),
    ],
)
def test_a_plan_without_options_exists_for_every_fleet_and_keeps_its_days(
    chargers: int, days: int, opened: tuple[int, ...]
) -> None:
    """G5: nothing default worked below 35,000 chargers, and a lab could not be updated at all."""
    for found in (fleet(chargers), fleet(chargers, per_site=1, consent=NIGHTS)):
        layout = planned(PlanRequest(), found)
        assert tuple(one.opened for one in layout.outlook) == opened
        assert _everybody(layout) == layout.coming == chargers
        assert layout.passes_ppm >= 950_000
        assert layout.judge.lab is (chargers <= MOST_LAB)
        assert danger_of(layout.judge, layout.waves[0].planned) is None
        assert read_plan(layout.judge.to_bytes()) == layout.judge
        _keeps_pace(layout)
    assert planned(PlanRequest(), fleet(chargers)).hours <= days * 24


def test_margins_tighten_as_waves_grow_and_the_last_wave_keeps_its_own_controls() -> None:
    """A first wave that had to show what only thousands can would never pass."""
    layout = planned(PlanRequest(), fleet(10_000))
    margins = [answer.margins[0].margin_ppm for answer in layout.answers]
    assert margins == sorted(margins, reverse=True)
    assert margins[-1] <= 120_000
    assert [answer.judged_units for answer in layout.answers] == [50, 350, 400, 400]
    assert [answer.reserved for answer in layout.answers] == [0, 0, 0, 1_200]
    assert layout.judge.metrics_of(4)[0].margin_ppm == margins[3]
    assert layout.judge.late_harm_parts == (3, 1, 1, 1)


def test_small_fleets_are_watched_and_the_plan_says_what_their_numbers_allow() -> None:
    """Sixty chargers that were called proven would be a lie; refused, they would never be updated."""
    layout = planned(PlanRequest(), fleet(60))
    assert not any(wave.makes_claim for wave in layout.judge.waves)
    assert "fewer than 4.9 % are bad" in layout.limits[0]
    assert (layout.judge.cap.first, layout.judge.soak_cap is not None) == (3, True)


def test_a_fleet_on_one_site_is_planned() -> None:
    """G5: a lab of one site could not be updated; a claim about it would be a claim about that site."""
    for chargers in (4, 20, 60, 1_000):
        layout = planned(PlanRequest(), fleet(chargers, per_site=chargers))
        assert _everybody(layout) == chargers
        assert layout.waves[0].planned == 1
        assert not any(answer.makes_claim for answer in layout.answers)


@pytest.mark.parametrize("lab", [True, False])
def test_a_lab_goes_one_then_a_fifth_then_the_rest(*, lab: bool) -> None:
    """The first charger that fails pauses it; whoever has few chargers has them under the eyes."""
    layout = planned(PlanRequest(lab=lab), fleet(20))
    assert [one.opened for one in layout.outlook] == [1, 4, 20]
    assert (layout.judge.lab, layout.judge.cap.first, layout.wishes) == (True, 1, ())
    assert layout.judge.strata == ()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3_000), st.integers(2, 40), st.integers(0, 10**9))
def test_the_default_plans_of_every_size_fit_the_default_pace(chargers: int, per_site: int, release: int) -> None:
    """G6: plan and pace counted different units, and which releases fitted was decided by a hash."""
    of = replace(RELEASE, digest=digest_of(str(release)))
    layout = planned(PlanRequest(), fleet(chargers, per_site=per_site, of=of), of=of)
    assert _everybody(layout) == chargers
    _keeps_pace(layout)


@given(chargers=st.integers(1, 2_000_000), sites=st.integers(1, 500_000), lab=st.booleans())
def test_openings_rise_to_everybody_from_a_small_beginning(chargers: int, sites: int, *, lab: bool) -> None:
    """Else a wave would open nobody, or the first one would be half the fleet."""
    opened = openings(chargers, min(sites, chargers), lab=lab)
    assert list(opened) == sorted(set(opened))
    assert opened[-1] == chargers
    assert opened[0] <= max(2, min(50, chargers))
    assert len(opened) <= 10


# --- the hint, and a percent beside the pace -------------------------------------------------------------------------


@pytest.mark.parametrize("chargers", [1_000, 10_000])
def test_the_hint_of_the_command_line_works(chargers: int) -> None:
    """G5: it wanted 326 units where the pace allowed 50, and "merge" was refused in turn."""
    layout = planned(PlanRequest(HINT), fleet(chargers))
    assert layout.waves[0].planned == 50
    assert _everybody(layout) == chargers
    assert (layout.wishes, all(answer.makes_claim for answer in layout.answers)) == ((), True)
    _keeps_pace(layout)


@pytest.mark.parametrize("chargers", [60, 2_000])
def test_one_per_cent_fits_the_step_of_one_per_cent_whatever_the_release(chargers: int) -> None:
    """G6: it fitted in 23 of 40 releases, by chance of a hash."""
    for number in range(40):
        of = replace(RELEASE, digest=digest_of(f"release {number}"))
        request = PlanRequest((WaveRequest(percent=1), WaveRequest(percent=100)))
        layout = planned(request, fleet(chargers, of=of), of=of)
        assert _everybody(layout) == chargers
        share = layout.waves[0].share
        assert share == DEFAULT_PACE[0].share or layout.wishes, "or nobody falls in, and it says so"
        if chargers == 2_000:
            assert share == FULL_SHARE // 100
        _keeps_pace(layout)


# --- who can come ----------------------------------------------------------------------------------------------------


def test_sites_whose_only_charger_may_never_go_down_are_not_counted_and_named() -> None:
    """G7: sixty of them were planned as if they could go, and none ever got a permit."""
    alone = [replace(one, site=replace(one.site, site_id=f"alone-{n}", consent=())) for n, one in enumerate(fleet(60))]
    layout = planned(PlanRequest(), alone)
    (left,) = layout.left_out
    assert (layout.waves, left.reason, left.chargers) == ((), LAST_WORKING, 60)
    assert "c-0" in left.device_ids
    assert len(left.device_ids) == 20
    assert planned(PlanRequest(), [*alone, *_elsewhere(60)]).coming == 60


def test_of_two_chargers_with_one_dead_the_other_is_the_last_working_one() -> None:
    """G7: it may not go down either, and the plan waited for thirty sites for a week."""
    dead_ms = NOW_MS - RECENT_MS - 1
    found = [
        replace(one, heard_ms=dead_ms, works=False) if number % 2 else one
        for number, one in enumerate(fleet(60, per_site=2))
    ]
    layout = planned(PlanRequest(), [*found, *_elsewhere(60)])
    assert (layout.coming, layout.left_out[0].reason, layout.left_out[0].chargers) == (90, LAST_WORKING, 30)
    assert any("30 chargers were not heard of for a day" in line for line in layout.limits)
    pairs = enumerate(fleet(60, per_site=2))
    unwell = [replace(one, works=False, is_unwell=True) if n % 2 else one for n, one in pairs]
    assert len(coming(unwell).chargers) == 30, "one that does not work itself is not the last working one"


def test_the_dead_are_left_out_by_name() -> None:
    """G8: six of 48 chargers, dead for 90 days, held the first wave for seven."""
    gone_ms = NOW_MS - 90 * 24 * 3_600_000
    found = [
        replace(one, heard_ms=gone_ms, works=False) if number % 8 == 0 else one
        for number, one in enumerate(fleet(48, per_site=4))
    ]
    layout = planned(PlanRequest(), found)
    (left,) = layout.left_out
    assert (left.reason, left.chargers) == (NOT_HEARD_OF, 6)
    assert set(left.device_ids) == {f"c-{number}" for number in range(0, 48, 8)}
    assert _everybody(layout) == layout.coming == 42
    assert any("c-40" in line for line in layout.limits)
    just = [replace(one, heard_ms=NOW_MS - GONE_MS) for one in fleet(5)]
    assert len(coming([replace(one, works=True) for one in just]).chargers) == 5


def test_whoever_a_lasting_predicate_refuses_is_counted_under_that_reason() -> None:
    """R10: whatever is cut from a list is cut per reason and said."""
    found = [replace(one, refusal="out_of_service") if n < 30 else one for n, one in enumerate(fleet(100))]
    (left,) = planned(PlanRequest(), found).left_out
    assert (left.reason, left.chargers, len(left.device_ids)) == ("out_of_service", 30, 20)


# --- strata ----------------------------------------------------------------------------------------------------------


def test_parts_of_the_fleet_large_enough_are_watched_apart_and_met_by_canaries() -> None:
    """A fault of one hardware revision drowns in the whole fleet, and no canary may have it."""
    hardware = ["rev-a"] * 70 + ["rev-b"] * 28 + ["rev-c"] * 2
    found = [replace(one, hardware=hardware[number % 100]) for number, one in enumerate(fleet(1_000))]
    layout = planned(PlanRequest(), found)
    assert layout.judge.strata == (
        Stratum("rev-a", "city", "1.0.0"),
        Stratum("rev-b", "city", "1.0.0"),
        Stratum("rev-c", "city", "1.0.0"),
    )
    kinds = {one.device_id: one.hardware for one in found}
    first = {kinds[one.device_id] for one in layout.chargers if one.wave == 1}
    assert first == {"rev-a", "rev-b", "rev-c"}
    assert planned(PlanRequest(), fleet(1_000)).judge.strata == (), "one part alone is the whole fleet"


def test_no_more_than_eight_strata_and_none_of_a_handful() -> None:
    """Each takes its share of the error rate; a handful of chargers could show nothing with it."""
    versions = [f"1.0.{number}" for number in range(12)]
    found = [replace(one, from_version=versions[number % 12]) for number, one in enumerate(fleet(600))]
    assert len(planned(PlanRequest(), found).judge.strata) == 8
    few = [replace(one, from_version=versions[number % 12]) for number, one in enumerate(fleet(200))]
    assert planned(PlanRequest(), few).judge.strata == ()


# --- wishes and assumptions ------------------------------------------------------------------------------------------


def test_p0_has_a_default_with_its_price_and_every_assumption_its_source() -> None:
    """G5: there was no default, so a newcomer could not plan; a silent one would halt good releases unexplained."""
    default = planned(PlanRequest(), fleet(200))
    p0 = default.assumptions[0]
    assert (default.judge.start.p0_ppm, p0.origin, "not measured" in p0.note) == (10_000, Origin.DEFAULT, True)
    assert {one.origin for one in default.assumptions} == {Origin.DEFAULT}
    measured = planned(PlanRequest(restarts=Restarts(3, 5_000)), fleet(200))
    assert measured.assumptions[0].origin is Origin.MEASURED
    assert 600 < measured.judge.start.p0_ppm < 3_000
    declared = planned(PlanRequest(p0_ppm=2_000, metrics=(MetricWish("h4", 5_000),)), fleet(200))
    assert [one.origin for one in declared.assumptions[:2]] == [Origin.DECLARED, Origin.DECLARED]


def test_too_few_restarts_are_answered_with_the_default_side_by_side() -> None:
    """Told "at least 1000" and nothing else, the author would write 1000."""
    layout = planned(PlanRequest(restarts=Restarts(5, 300)), fleet(200))
    (wish,) = layout.wishes
    assert ("5 of 300" in wish.wished, "1000 restarts" in wish.why) == (True, True)
    assert layout.judge.start.p0_ppm > 10_000, "what was counted says more than the default"


def test_a_margin_that_a_wave_cannot_show_is_answered_with_the_nearest() -> None:
    """A wish that cannot be met is no error: it has a nearest plan."""
    layout = planned(PlanRequest(metrics=(MetricWish("h7", 50_000, 100_000),)), fleet(1_000))
    margins = [answer.margins[0].margin_ppm for answer in layout.answers]
    assert min(margins) >= 100_000
    assert [wish.wished for wish in layout.wishes] == [f"wave {n}: margins h7 10 points" for n in (1, 2, 3)]


def test_options_change_the_proposal() -> None:
    """Every wish that can be met is met."""
    layout = planned(PlanRequest(soak_s=7_200, most_units=90, one_per_site=True, promote_unproven=True), fleet(1_000))
    assert (layout.judge.horizon_ms, {wave.soak_s for wave in layout.waves[:2]}) == (7_200_000, {7_200})
    assert max(wave.judged_units for wave in layout.judge.waves) == 90
    assert all(wave.one_per_site for wave in layout.waves[:2])
    assert layout.judge.promote_unproven_after_soak
    assert layout.hours < planned(PlanRequest(), fleet(1_000)).hours
    (wish,) = planned(PlanRequest(lab=True), fleet(21)).wishes
    assert wish.wished == "--lab"


@pytest.mark.parametrize(
    "wrong",
    [
        {"p0_ppm": 1, "restarts": Restarts(0, 10)},
        {"p0_ppm": 400_000},
        {"soak_s": 0},
        {"most_units": 0},
        {"lab": True, "judge": planned(PlanRequest(), fleet(5)).judge},
    ],
)
def test_what_contradicts_itself_is_an_error(wrong: dict[str, object]) -> None:
    """Two answers to one question cannot both be meant."""
    with pytest.raises(ValueError, match=r"integer|one of the two|not both"):
        PlanRequest(**wrong)  # type: ignore[arg-type]  # every value here is one that the field takes


def test_windows_and_the_pace_show_in_the_days() -> None:
    """A plan of six days that takes eleven is a plan that nobody believes twice."""
    without = planned(PlanRequest(), fleet(200))
    nights = planned(PlanRequest(), fleet(200, per_site=1, consent=NIGHTS))
    assert nights.hours > without.hours
    assert any("windows" in line for line in nights.limits)
    lab = planned(PlanRequest(), fleet(5))
    assert lab.outlook[0].pace_wait_h > 0
    assert any("pace" in line for line in lab.limits)


def test_a_proposed_plan_keeps_the_caps() -> None:
    """A wider cap takes two persons, and no proposal may need them."""
    for chargers in (60, 1_000):
        judge: JudgePlan = planned(PlanRequest(), fleet(chargers)).judge
        assert judge.cap.first <= CapPlan().first
        assert judge.soak_cap is not None
        assert judge.soak_cap.first == min(20, max(5, chargers // 20))
        assert len(encode(judge)) < 64_000


@pytest.mark.parametrize("p0_ppm", [0, 47_000, 48_000, 100_000, 300_000])
def test_any_p0_that_may_be_asked_for_has_a_plan(p0_ppm: int) -> None:
    """Above 4.8 % the server failed: its alternatives of a bad release were better than p0."""
    layout = planned(PlanRequest(p0_ppm=p0_ppm), fleet(200))
    assert layout.judge.start.p0_ppm == p0_ppm
    assert layout.judge.start.rows
