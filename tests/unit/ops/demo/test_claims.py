"""The demo's table: it holds for a fleet that kept every promise, and each claim falls when its promise is broken."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from ops.demo.claims import BadRelease, Claim, Expected, Halt, all_claims
from ops.demo.history import Activation, Boot, History

FACTORY, GOOD, SICK, DEAD, HIDDEN, CAP = "factory", "good", "sick", "dead", "hidden", "cap"
SIGNED = {
    FACTORY: "1.0.0",
    GOOD: "firmware 1.1.0",
    SICK: "1.2.0",
    DEAD: "1.3.0",
    HIDDEN: "1.3.1",
    CAP: "configuration 1.0.0",
}
FIRST_EPOCH, NEXT_EPOCH = 7, 8
TOGETHER = "times that two chargers of a site went down, or back, at once"
SITES = 12
EXPECTED = Expected(
    signed=SIGNED,
    bad=(
        BadRelease("1.2.0", SICK, f"release {SICK}", most=10, good_sha256=GOOD),
        BadRelease(
            "1.3.0", DEAD, f"release {DEAD}", most=10, good_sha256=GOOD, dies_on_boot=True, start_deadline_ms=1_000
        ),
        BadRelease(
            "1.3.1",
            HIDDEN,
            f"release {HIDDEN}",
            most=2,
            good_sha256=GOOD,
            dies_on_boot=True,
            start_deadline_ms=1_000,
            only_on="rev-b",
        ),
    ),
    halted={
        f"release {SICK}": "1.2.0",
        f"release {DEAD}": "1.3.0",
        f"release {CAP}": "configuration 1.0.0",
        f"release {HIDDEN}": "1.3.1",
    },
    halts=(
        Halt("1.2.0", f"release {SICK}", at_ms=2_500, announced=1, by_itself=True),
        Halt("1.3.0", f"release {DEAD}", at_ms=3_500, announced=0, by_itself=True),
        Halt("configuration 1.0.0", f"release {CAP}", at_ms=4_050, announced=0, until_ms=4_090),
        Halt("1.3.1", f"release {HIDDEN}", at_ms=5_500, announced=0, by_itself=True),
    ),
    firmware_sha256=GOOD,
    config_sha256=CAP,
    chargers=2 * SITES,
)


def installs(at_ms: int, name: str, *, epoch: int = 0) -> Activation:
    return Activation(at_ms, f"release {name}", back_ms=at_ms + 9, epoch=epoch)


def leaves(at_ms: int, name: str) -> Activation:
    return Activation(at_ms, f"release {name}", is_install=False, back_ms=at_ms + 9)


def charger(number: int) -> History:
    """Chargers 0 to 2 also saw the sick release, 3 to 8 the dead one; two chargers stand on each site.

    The last three sites have another board. 12 to 16 were canaries of the hidden release; 17, 21 and 22 came later.
    """
    newer = number % SITES >= SITES - 3
    boots = [Boot(0, FACTORY, "a"), Boot(1_000 + 10 * number, GOOD, "b")]
    made = [installs(1_000 + 10 * number, GOOD)]
    if number < 3:
        boots += [Boot(2_000 + 10 * number, SICK, "a"), Boot(2_600, GOOD, "b")]
        made += [installs(2_000 + 10 * number, SICK), leaves(2_600, SICK)]
    elif number < 9:
        boots += [Boot(3_000 + 10 * number, DEAD, "a"), Boot(3_005 + 10 * number, GOOD, "b")]
        made.append(installs(3_000 + 10 * number, DEAD))
    made.append(installs(4_100 + 10 * number, CAP))
    if number in {12, 13, 14, 15, 16, 17, 21, 22}:
        at_ms, back_ms = 5_000 + 10 * number, 5_005 + 10 * number if newer else 5_600 + 10 * number
        boots += [Boot(at_ms, HIDDEN, "a"), Boot(back_ms, GOOD, "b")]
        made.append(installs(at_ms, HIDDEN, epoch=FIRST_EPOCH if number < 17 else NEXT_EPOCH))
        made += [] if newer else [leaves(back_ms, HIDDEN)]
    return History(
        device_id=f"c-{number}",
        site_id=f"site-{number % SITES}",
        hardware="rev-b" if newer else "rev-a",
        boots=tuple(boots),
        configs=(CAP,),
        activations=tuple(made),
        sessions=7,
        cut_off=0,
    )


FLEET = tuple(charger(number) for number in range(2 * SITES))


def failing(fleet: Iterable[History], expected: Expected = EXPECTED) -> list[str]:
    return [claim.what for claim in all_claims(tuple(fleet), expected) if not claim.holds]


def with_first(changed: History) -> tuple[History, ...]:
    return (changed, *FLEET[1:])


def observed(what: str, claims: Iterable[Claim]) -> str:
    (found,) = [claim.observed for claim in claims if claim.what == what]
    return found


def test_a_fleet_that_kept_every_promise_passes() -> None:
    """Otherwise the demo would call a good run a failure."""
    assert failing(FLEET) == []


@pytest.mark.parametrize(
    ("first", "broken"),
    [
        (replace(FLEET[0], cut_off=1), "charging sessions interrupted by a planned activation"),
        (replace(FLEET[0], configs=("forged", CAP)), "chargers that ran something unsigned"),
        (
            replace(FLEET[0], boots=(*FLEET[0].boots, Boot(5_000, "forged", "a"))),
            "chargers that ran something unsigned",
        ),
        (
            replace(FLEET[0], boots=FLEET[0].boots[:-1]),
            "all that ran it, back on the release before from the slot where it lay (1.2.0)",
        ),
        (replace(FLEET[0], configs=()), "chargers on firmware 1.1.0 and configuration 1.0.0 at the end"),
        (replace(FLEET[0], boots=()), "chargers whose own log tells boots and sessions"),
        (replace(FLEET[0], sessions=0), "chargers whose own log tells boots and sessions"),
    ],
)
def test_one_charger_that_broke_a_promise_fails_its_claim(first: History, broken: str) -> None:
    """A table that cannot fail proves nothing."""
    assert broken in failing(with_first(first))


def test_a_good_image_that_came_back_in_another_slot_was_downloaded_again() -> None:
    """The way back must need no network."""
    *before, last = FLEET[0].boots
    fleet = with_first(replace(FLEET[0], boots=(*before, replace(last, slot="a"))))
    assert failing(fleet) == ["all that ran it, back on the release before from the slot where it lay (1.2.0)"]


def test_a_bad_release_that_left_its_first_wave_fails() -> None:
    """This is what the judge is for."""
    assert "chargers that ever ran 1.2.0" in failing(FLEET, replace(EXPECTED, bad=(replace(EXPECTED.bad[0], most=2),)))


def test_a_bad_release_on_two_chargers_of_a_site_fails() -> None:
    """The first wave has one charger of each site."""
    fleet = with_first(replace(FLEET[0], site_id=FLEET[1].site_id))
    assert "chargers that ever ran 1.2.0" in failing(fleet)


def test_a_bad_release_that_nobody_ran_proves_nothing() -> None:
    """An empty log must not look like a release that was stopped in time."""
    fleet = [replace(one, boots=tuple(boot for boot in one.boots if boot.sha256 != SICK)) for one in FLEET]
    assert "chargers that ever ran 1.2.0" in failing(fleet)


def test_an_activation_after_the_halt_that_it_did_not_announce_fails() -> None:
    """R1: what the halt's answer does not count cannot activate."""
    late = replace(FLEET[0], activations=(*FLEET[0].activations, installs(2_501, SICK), installs(2_520, SICK)))
    what = "activations after the halt of 1.2.0 beyond those it announced"
    assert failing(with_first(late)) == [what]
    assert observed(what, all_claims(with_first(late), EXPECTED)) == "1 (2 after, 1 announced)"


@pytest.mark.parametrize("halt", EXPECTED.halts, ids=lambda halt: halt.release)
def test_a_release_that_nobody_halted_proves_nothing(halt: Halt) -> None:
    """Without a halt nothing comes after one: the table would be the better, the less was stopped."""
    without = replace(EXPECTED, halts=tuple(one for one in EXPECTED.halts if one is not halt))
    needed_nobody = [f"halts of {halt.release} that needed a person"] if halt.by_itself else []
    assert failing(FLEET, without) == [f"halts of {halt.release}", *needed_nobody]


def test_a_bad_release_that_only_a_person_stopped_fails() -> None:
    """What a person must notice, nobody notices at night."""
    by_people = replace(EXPECTED, halts=tuple(replace(halt, by_itself=False) for halt in EXPECTED.halts))
    assert failing(FLEET, by_people) == [f"halts of {bad.version} that needed a person" for bad in EXPECTED.bad]


def test_a_canary_with_the_board_in_question_fails() -> None:
    """Then the first wave could have shown what is wrong, and the chapter would show nothing."""
    first = tuple(replace(made, epoch=FIRST_EPOCH) for made in FLEET[21].activations)
    fleet = (*FLEET[:21], replace(FLEET[21], activations=first), *FLEET[22:])
    assert failing(fleet) == ["canaries of 1.3.1 that were rev-b"]


def test_more_of_a_board_than_promised_fail_however_many_others_had_it() -> None:
    """Eight chargers ran it, two of the board on which it is bad."""
    assert failing(FLEET, replace(EXPECTED, bad=(*EXPECTED.bad[:2], replace(EXPECTED.bad[2], most=1)))) == [
        "chargers of rev-b that ever ran 1.3.1"
    ]


def test_a_board_that_never_ran_it_proves_nothing() -> None:
    """Without one that was harmed nothing was stopped in time."""
    fleet = [one if one.hardware == "rev-a" else replace(one, boots=one.boots[:2]) for one in FLEET]
    assert "chargers of rev-b that ever ran 1.3.1" in failing(fleet)


def test_an_activation_while_an_operators_halt_lasts_fails() -> None:
    """A halt counts until it is resumed, also when the rollout goes on later."""
    early = replace(FLEET[0], activations=(*FLEET[0].activations, installs(4_060, CAP)))
    assert failing(with_first(early)) == ["activations after the halt of configuration 1.0.0 beyond those it announced"]


def test_more_starts_than_the_cap_allows_fail() -> None:
    """Six chargers on a release that dies on boot, before the first of them came back, are one too many."""
    fleet = [
        replace(one, activations=tuple(replace(made, back_ms=made.at_ms + 60) for made in one.activations))
        for one in FLEET
    ]
    assert "activations of 1.3.0 beyond its cap" in failing(fleet)


def test_a_failure_that_the_server_has_not_heard_of_yet_is_no_breach() -> None:
    """A charger writes that it is back before it can report it; meanwhile the first five may all go."""
    late = [
        replace(one, activations=tuple(replace(made, back_ms=made.at_ms + 25) for made in one.activations))
        for one in FLEET
    ]
    what = "activations of 1.3.0 beyond its cap"
    assert what not in failing((*late[:8], *late[9:]))  # without the sixth
    assert what in failing(late)


def test_a_start_that_missed_its_deadline_makes_room_under_the_cap() -> None:
    """The server counts a silent charger as failed then; the table must not call that a breach."""
    slow = [
        replace(one, activations=tuple(replace(made, back_ms=made.at_ms + 60) for made in one.activations))
        for one in FLEET
    ]
    patient = replace(EXPECTED, bad=(EXPECTED.bad[0], replace(EXPECTED.bad[1], start_deadline_ms=9)))
    assert "activations of 1.3.0 beyond its cap" not in failing(slow, patient)


def test_two_chargers_of_a_site_that_are_down_together_fail() -> None:
    """R5: a site keeps charging."""
    first = replace(FLEET[0], activations=(replace(FLEET[0].activations[0], back_ms=1_000 + 10 * SITES + 1),))
    assert failing(with_first(first)) == [TOGETHER]


def test_one_charger_may_leave_a_release_while_another_takes_one() -> None:
    """R5: a rollback has a place of its own at each site, and no second one."""
    install = FLEET[0].activations[0].at_ms
    mate = replace(FLEET[SITES], activations=(*FLEET[SITES].activations, leaves(install + 1, SICK)))
    assert failing((*FLEET[:SITES], mate, *FLEET[SITES + 1 :])) == []
    other = replace(FLEET[0], activations=(*FLEET[0].activations, leaves(install + 2, SICK)))
    assert failing((other, *FLEET[1:SITES], mate, *FLEET[SITES + 1 :])) == [TOGETHER]


def test_a_charger_is_no_second_one_beside_itself() -> None:
    """A charger that is armed anew while it is away is one charger that is away."""
    twice = replace(FLEET[0].activations[0], back_ms=1_008)
    first = replace(FLEET[0], activations=(twice, replace(twice, at_ms=1_005)))
    assert failing(with_first(first)) == []
