"""How many may be in flight, who is judged and who is a control."""

from collections import Counter
from itertools import pairwise, product

from rollout.domain.judge.cap import CapReason, is_stuck, may_grant, may_soak
from rollout.domain.judge.draw import Candidate, Drawn, Numbered, draw_controls, draw_key, judged_units
from rollout.domain.judge.plan import CapPlan, SoakCapPlan

CAP = CapPlan()
TREATED = Candidate("t", "home")
SALT = b"0123456789abcdef"


def highest_in_flight(*, failed: int, healthy: int, healthy_before: int = 0) -> int:
    return next(
        n
        for n in range(10_000)
        if not may_grant(CAP, in_flight=n, failed=failed, healthy=healthy, healthy_before=healthy_before).allowed
    )


def test_five_at_first_and_one_more_for_each_that_came_back() -> None:
    """If this fails the first step of a rollout is larger than what a total brick may cost, or good ones crawl."""
    assert [highest_in_flight(failed=0, healthy=healthy) for healthy in range(4)] == [5, 6, 7, 8]
    assert highest_in_flight(failed=0, healthy=40) == 45


def test_a_wave_begins_larger_after_good_ones_but_never_with_more_than_fifty() -> None:
    """If this fails a later wave crawls like the first one, or a fault that begins there meets thousands at once."""
    for before, first in ((0, 5), (63, 5), (64, 6), (640, 15), (45 * 64, 50), (10**6, 50)):
        assert highest_in_flight(failed=0, healthy=0, healthy_before=before) == first
    wide = CapPlan(first=80)
    assert may_grant(wide, in_flight=0, failed=0, healthy=0, healthy_before=10**6).limit == 80, "what was declared"


def test_a_failed_start_keeps_its_slot_and_costs_ten_healthy_ones() -> None:
    """If this fails a brick refills its slots before the evidence can be read."""
    assert highest_in_flight(failed=5, healthy=0) == 1
    assert highest_in_flight(failed=2, healthy=60) == 5 + 60 - 2 * 10 - 2
    assert highest_in_flight(failed=5, healthy=0, healthy_before=10**6) == 1, "earlier waves pay for no brick"
    answer = may_grant(CAP, in_flight=5, failed=0, healthy=0)
    assert (answer.reason, answer.used, answer.limit) == (CapReason.CAP_FULL, 5, 5)


def test_the_cap_never_locks_for_ever() -> None:
    """If this fails a rollout with some failures and nothing in flight can never go on nor be judged."""
    for failed, healthy, before in product(range(60), range(0, 600, 7), (0, 1_000)):
        assert may_grant(CAP, in_flight=0, failed=failed, healthy=healthy, healthy_before=before).allowed


def test_more_failures_never_open_the_cap_wider() -> None:
    """If this fails a failing release lets more chargers out than a good one."""
    for healthy in range(0, 400, 13):
        room = [highest_in_flight(failed=failed, healthy=healthy) for failed in range(30)]
        assert all(after <= max(before, 1 + healthy // 8) for before, after in pairwise(room))


def test_the_soak_cap() -> None:
    """If this fails chargers go on being activated although none has been clean for the time asked."""
    plan = SoakCapPlan()
    assert may_soak(plan, not_yet_clean=19, clean=0, bad=0).allowed
    refused = may_soak(plan, not_yet_clean=20, clean=0, bad=3)
    assert (refused.allowed, refused.reason) == (False, CapReason.SOAK_CAP_FULL)
    assert may_soak(plan, not_yet_clean=69, clean=50, bad=0).allowed
    assert not may_soak(plan, not_yet_clean=70, clean=50, bad=0).allowed
    assert may_soak(plan, not_yet_clean=30, clean=0, bad=30).allowed
    assert may_soak(None, not_yet_clean=10**6, clean=0, bad=0).allowed


def test_the_soak_cap_begins_larger_after_clean_waves_up_to_an_eighth_of_the_wave() -> None:
    """If this fails one wave's clean chargers let all of the next one out before a night has passed."""
    plan = SoakCapPlan()
    for clean_before, chargers, limit in ((0, 8_000, 20), (160, 8_000, 30), (160, 200, 25), (10**6, 8_000, 1_000)):
        answer = may_soak(plan, not_yet_clean=0, clean=0, bad=0, clean_before=clean_before, wave_chargers=chargers)
        assert answer.limit == limit
    assert may_soak(plan, not_yet_clean=0, clean=0, bad=0, clean_before=10**6, wave_chargers=10).limit == 20


def test_a_full_cap_without_a_verdict_calls_a_person() -> None:
    """If this fails a stuck rollout waits in silence."""
    assert not is_stuck(full_since_ms=None, now_ms=10**9, start_deadline_ms=30)
    assert not is_stuck(full_since_ms=100, now_ms=159, start_deadline_ms=30)
    assert is_stuck(full_since_ms=100, now_ms=160, start_deadline_ms=30)


def candidates(count: int, per_site: int = 2) -> list[Candidate]:
    return [Candidate(f"c{n}", f"s{n // per_site}") for n in range(count)]


def draw(block_number: int, found: list[Candidate], *, own: bool = False, busy: tuple[str, ...] = ()) -> Drawn:
    return draw_controls(
        found, salt=SALT, block_number=block_number, treated=TREATED, count=3, busy_sites=busy, own_site_controls=own
    )


def test_the_draw_depends_on_nothing_but_salt_block_and_charger() -> None:
    """If this fails a draw cannot be checked afterwards, or the order of a query chooses the controls."""
    found = candidates(50)
    assert draw(7, found) == draw(7, found[::-1])
    assert draw(7, found) != draw(8, found)
    keys = sorted(draw_key(SALT, 7, one.device_id) for one in found)
    assert draw_key(SALT, 7, draw(7, found).controls[0].device_id) == keys[0]
    assert draw_key(SALT, 1, "11") != draw_key(SALT, 11, "1")


def test_controls_stand_on_sites_of_their_own() -> None:
    """If this fails one site's outage hits treated charger and controls together, or twice."""
    for number in range(40):
        chosen = draw(number, [*candidates(12), Candidate("x", "home")], busy=("s0", "s1")).controls
        sites = [one.site_id for one in chosen]
        assert len(set(sites)) == 3
        assert not {"home", "s0", "s1"} & set(sites)


def test_small_fleets_may_take_their_own_site() -> None:
    """If this fails a fleet of few sites can never be judged; or the treated charger is its own control."""
    found = [TREATED, Candidate("a", "home"), Candidate("b", "home")]
    assert {one.device_id for one in draw(1, found, own=True, busy=("home",)).controls} == {"a", "b"}
    assert draw(1, found, own=True).missing == 1
    assert draw(1, found) == Drawn((), 3)


def test_every_candidate_is_drawn_equally_often() -> None:
    """If this fails some chargers are controls more often than others and the labels are not random."""
    found = candidates(10, per_site=1)
    counts = Counter(one.device_id for number in range(4_000) for one in draw(number, found).controls)
    assert len(counts) == 10
    assert all(abs(count - 1_200) < 5 * (1_200 * 0.7) ** 0.5 for count in counts.values())


def test_one_judged_unit_per_site_the_lowest_number() -> None:
    """If this fails two chargers of a site are judged as if they were independent."""
    chargers = [Numbered(f"d{n}", f"s{n % 4}", (n * 37) % 101) for n in range(20)]
    units = judged_units(chargers, units=10)
    assert len({one.site_id for one in units}) == len(units) == 4
    for one in units:
        assert one.number == min(other.number for other in chargers if other.site_id == one.site_id)
    assert judged_units(chargers, units=2) == units[:2]
    assert judged_units(chargers[::-1], units=10) == units
