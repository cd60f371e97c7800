"""The table *claimed / observed*: what was promised of a rollout, held against the chargers' own logs.

Pure. Of the server's view it knows that there was a halt, and two numbers that the halt itself announced: when it was,
and how many permits were still out. It does not know states, verdicts or reports.

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
    """Most chargers that may ever run it: the size of its first wave."""
    good_sha256: str
    """Of the image that its chargers go back to."""
    dies_on_boot: bool = False
    start_deadline_ms: int = 0
    """From the permit on; who is not back by then counts as failed for the cap."""


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
        rows += [_reach(fleet, bad), _back(fleet, bad)]
        rows += [_within_cap(fleet, bad)] if bad.dies_on_boot else []
    rows += [_was_halted(expected, digest, name) for digest, name in expected.halted.items()]
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


def _back(fleet: Sequence[History], bad: BadRelease) -> Claim:
    touched = [charger for charger in fleet if bad.sha256 in charger.ran]
    back = sum(_is_back_without_download(charger, bad) for charger in touched)
    what = f"of those, back on the release before from the slot where it lay ({bad.version})"
    return Claim(what, f"{len(touched)}", f"{back}", back == len(touched) > 0)


def _is_back_without_download(charger: History, bad: BadRelease) -> bool:
    """The first boot of something else after the bad one is the good image, in the slot it was last booted from."""
    first_bad = next(place for place, boot in enumerate(charger.boots) if boot.sha256 == bad.sha256)
    before = [boot.slot for boot in charger.boots[:first_bad] if boot.sha256 == bad.good_sha256]
    after = [boot for boot in charger.boots[first_bad:] if boot.sha256 != bad.sha256]
    return bool(before and after) and (after[0].sha256, after[0].slot) == (bad.good_sha256, before[-1])


def _within_cap(fleet: Sequence[History], bad: BadRelease) -> Claim:
    """Grant by grant, with what the logs knew at that instant: the server knew no more."""
    made = sorted(_activations(fleet, bad.release_digest), key=_granted_ms)
    beyond = sum(not _cap_allowed(made[:place], _granted_ms(one), bad) for place, one in enumerate(made))
    what = f"activations of {bad.version} beyond its cap"
    return Claim(what, "0", f"{beyond} of {len(made)}", beyond == 0 < len(made))


def _cap_allowed(earlier: Sequence[Activation], at_ms: int, bad: BadRelease) -> bool:
    failed = sum(min(one.back_ms, _granted_ms(one) + bad.start_deadline_ms) <= at_ms for one in earlier)
    return may_grant(CapPlan(), in_flight=len(earlier) - failed, failed=failed, healthy=0).allowed


def _granted_ms(activation: Activation) -> int:
    return activation.permitted_ms or activation.at_ms


def _was_halted(expected: Expected, release_digest: str, name: str) -> Claim:
    halts = sum(halt.release_digest == release_digest for halt in expected.halts)
    return Claim(f"halts of {name}", "1 or more", f"{halts}", halts > 0)


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
    return Claim("times that two chargers of a site were taken down at once", "0", f"{together}", together == 0)


def _overlaps(site: Iterable[History]) -> int:
    away = sorted((made.at_ms, made.back_ms, charger.device_id) for charger in site for made in charger.activations)
    pairs = ((first, second) for place, second in enumerate(away) for first in away[:place])
    return sum(first[2] != second[2] and second[0] < first[1] for first, second in pairs)


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
