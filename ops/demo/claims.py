"""The table *claimed / observed*: what was promised of a rollout, held against the chargers' own logs.

Pure. Of the server's view it knows that there was a halt and whether a person asked for it, and two numbers that the
halt itself announced: when it was, and how many permits were still out. It does not know states, verdicts or reports.

Rules:
1. A claim that nothing could break is none: a release that nobody ran, one that nobody halted, or a fleet without
   sessions, fails its claims.
2. Instants are of one machine's clock, as all the demo's processes run on one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ops.demo.history import Activation, History
from rollout.domain.judge.cap import may_grant
from rollout.domain.judge.plan import CapPlan


@dataclass(frozen=True, slots=True)
class BadRelease:
    """A release that must not get far."""

    version: str
    sha256: str
    release_digest: str
    most: int
    """Most chargers that may ever run it where it is bad."""
    good_sha256: str
    """Of the image that its chargers go back to."""
    dies_on_boot: bool = False
    start_deadline_ms: int = 0
    """From the permit on; who is not back by then counts as failed for the cap."""
    only_on: str | None = None
    """The one hardware revision on which it is bad; None: on all."""


@dataclass(frozen=True, slots=True)
class Halt:
    """What a halt said of itself."""

    release: str
    release_digest: str
    at_ms: int
    announced: int
    """Permits that may still lead to an activation."""
    until_ms: int | None = None
    """When it was resumed; None: never."""
    by_itself: bool = False
    """No person had a hand in it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the story should have led to."""

    signed: Mapping[str, str]
    """SHA-256 of every image and configuration that was signed, with its name."""
    bad: tuple[BadRelease, ...]
    halted: Mapping[str, str]
    """Digest of every release that the story halts at least once, with its name."""
    halts: tuple[Halt, ...]
    """Those that happened."""
    firmware_sha256: str
    config_sha256: str
    chargers: int


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of the table."""

    what: str
    claimed: str
    observed: str
    holds: bool


def all_claims(fleet: Sequence[History], expected: Expected) -> tuple[Claim, ...]:
    """Every row, in the order in which it is told."""
    rows = [_everyone_tells(fleet, expected)]
    for bad in expected.bad:
        harmed = [charger for charger in fleet if bad.only_on in (None, charger.hardware)]
        rows += [_reach(harmed, bad)] if bad.only_on is None else [_canaries(fleet, bad), _reach_of_part(harmed, bad)]
        rows += [_back(fleet, bad)]
        rows += [_within_cap(harmed, bad)] if bad.dies_on_boot else []
    rows += [_was_halted(expected, digest, name) for digest, name in expected.halted.items()]
    rows += [_by_itself(expected, bad) for bad in expected.bad]
    rows += [_after_halt(fleet, halt) for halt in expected.halts]
    return (*rows, _cut_off(fleet), _unsigned(fleet, expected), _two_of_a_site(fleet), _at_the_end(fleet, expected))


def _everyone_tells(fleet: Sequence[History], expected: Expected) -> Claim:
    telling = sum(bool(charger.boots and charger.sessions) for charger in fleet)
    holds = telling == expected.chargers == len(fleet)
    return Claim("chargers whose own log tells boots and sessions", f"{expected.chargers}", f"{telling}", holds)


def _reach(fleet: Sequence[History], bad: BadRelease) -> Claim:
    ran = [charger for charger in fleet if bad.sha256 in charger.ran]
    most_of_a_site = max((len(list(group)) for _, group in _by_site(ran)), default=0)
    return Claim(
        f"chargers that ever ran {bad.version}",
        f"1 to {bad.most}, one of a site",
        f"{len(ran)}, {most_of_a_site} of a site",
        len(ran) <= bad.most and most_of_a_site == 1,
    )


def _canaries(fleet: Sequence[History], bad: BadRelease) -> Claim:
    """Whoever was let under the first opening of the release: what the first wave could have shown."""
    first = min((one.epoch for one in _activations(fleet, bad.release_digest)), default=0)
    canaries = [
        charger for charger in fleet if any(one.epoch == first for one in _activations([charger], bad.release_digest))
    ]
    of_part = sum(charger.hardware == bad.only_on for charger in canaries)
    what = f"canaries of {bad.version} that were {bad.only_on}"
    return Claim(what, "0", f"{of_part} of {len(canaries)}", of_part == 0 < len(canaries))


def _reach_of_part(part: Sequence[History], bad: BadRelease) -> Claim:
    ran = sum(bad.sha256 in charger.ran for charger in part)
    what = f"chargers of {bad.only_on} that ever ran {bad.version}"
    return Claim(what, f"1 to {bad.most}", f"{ran} of {len(part)}", 1 <= ran <= bad.most)


def _back(fleet: Sequence[History], bad: BadRelease) -> Claim:
    touched = [charger for charger in fleet if bad.sha256 in charger.ran]
    back = sum(_is_back_without_download(charger, bad) for charger in touched)
    what = f"all that ran it, back on the release before from the slot where it lay ({bad.version})"
    return Claim(what, f"{len(touched)}", f"{back}", back == len(touched) > 0)


def _is_back_without_download(charger: History, bad: BadRelease) -> bool:
    """The first boot of something else after the bad one is the good image, in the slot it was last booted from."""
    first_bad = next(place for place, boot in enumerate(charger.boots) if boot.sha256 == bad.sha256)
    before = [boot.slot for boot in charger.boots[:first_bad] if boot.sha256 == bad.good_sha256]
    after = [boot for boot in charger.boots[first_bad:] if boot.sha256 != bad.sha256]
    return bool(before and after) and (after[0].sha256, after[0].slot) == (bad.good_sha256, before[-1])


def _within_cap(fleet: Sequence[History], bad: BadRelease) -> Claim:
    """Grant by grant, with what the logs knew at that instant: the server knew no more, and less while reports come."""
    made = sorted(_activations(fleet, bad.release_digest), key=_granted_ms)
    beyond = sum(not _cap_allowed(made[:place], _granted_ms(one), bad) for place, one in enumerate(made))
    whom = "" if bad.only_on is None else f" for {bad.only_on}"
    what = f"activations of {bad.version} beyond its cap{whom}"
    return Claim(what, "0", f"{beyond} of {len(made)}", beyond == 0 < len(made))


def _cap_allowed(earlier: Sequence[Activation], at_ms: int, bad: BadRelease) -> bool:
    failed = sum(min(one.back_ms, _granted_ms(one) + bad.start_deadline_ms) <= at_ms for one in earlier)
    known = range(failed + 1)
    return any(may_grant(CapPlan(), in_flight=len(earlier) - one, failed=one, healthy=0).allowed for one in known)


def _granted_ms(activation: Activation) -> int:
    return activation.permitted_ms or activation.at_ms


def _was_halted(expected: Expected, release_digest: str, name: str) -> Claim:
    halts = sum(halt.release_digest == release_digest for halt in expected.halts)
    return Claim(f"halts of {name}", "1 or more", f"{halts}", halts > 0)


def _by_itself(expected: Expected, bad: BadRelease) -> Claim:
    halts = [halt for halt in expected.halts if halt.release_digest == bad.release_digest]
    by_people = sum(not halt.by_itself for halt in halts)
    what = f"halts of {bad.version} that needed a person"
    return Claim(what, "0", f"{by_people} of {len(halts)}", by_people == 0 < len(halts))


def _after_halt(fleet: Sequence[History], halt: Halt) -> Claim:
    after = sum(_falls_into(activation, halt) for activation in _activations(fleet, halt.release_digest))
    beyond = max(0, after - halt.announced)
    return Claim(
        f"activations after the halt of {halt.release} beyond those it announced",
        "0",
        f"{beyond} ({after} after, {halt.announced} announced)",
        beyond == 0,
    )


def _falls_into(activation: Activation, halt: Halt) -> bool:
    return halt.at_ms < activation.at_ms and (halt.until_ms is None or activation.at_ms < halt.until_ms)


def _cut_off(fleet: Sequence[History]) -> Claim:
    cut_off = sum(charger.cut_off for charger in fleet)
    sessions = sum(charger.sessions for charger in fleet)
    what = "charging sessions interrupted by a planned activation"
    return Claim(what, "0", f"{cut_off} of {sessions:,}", cut_off == 0 < sessions)


def _unsigned(fleet: Sequence[History], expected: Expected) -> Claim:
    unsigned = sum(not charger.ran <= expected.signed.keys() for charger in fleet)
    return Claim("chargers that ran something unsigned", "0", f"{unsigned}", unsigned == 0)


def _two_of_a_site(fleet: Sequence[History]) -> Claim:
    together = sum(_overlaps(list(group)) for _, group in _by_site(fleet))
    what = "times that two chargers of a site went down, or back, at once"
    return Claim(what, "0", f"{together}", together == 0)


def _overlaps(site: Iterable[History]) -> int:
    """Of two that go, or of two that go back: a site has one place more for a charger that leaves a release."""
    away = sorted(
        (made.at_ms, made.back_ms, charger.device_id, made.is_install)
        for charger in site
        for made in charger.activations
    )
    pairs = ((first, second) for place, second in enumerate(away) for first in away[:place])
    return sum(first[2] != second[2] and first[3] == second[3] and second[0] < first[1] for first, second in pairs)


def _at_the_end(fleet: Sequence[History], expected: Expected) -> Claim:
    wanted = (expected.firmware_sha256, expected.config_sha256)
    there = sum((charger.runs, charger.config) == wanted for charger in fleet)
    name = " and ".join(expected.signed[sha256] for sha256 in wanted if sha256)
    return Claim(f"chargers on {name} at the end", f"{expected.chargers}", f"{there}", there == expected.chargers)


def _activations(fleet: Iterable[History], release_digest: str) -> list[Activation]:
    made = (activation for charger in fleet for activation in charger.activations if activation.is_install)
    return [activation for activation in made if activation.release_digest == release_digest]


def _by_site(fleet: Iterable[History]) -> Iterable[tuple[str, Iterable[History]]]:
    def site(charger: History) -> str:
        return charger.site_id

    return groupby(sorted(fleet, key=site), key=site)
