"""Is a release meant for a charger now: the predicates, in their order, each with a reason word.

One list for three uses: the poll asks for the first refusal, the permit's transaction asks again over fresh rows, and
`why` shows every predicate with its answer (R8). Pure. What is unknown refuses. Places and caps are not asked here:
they belong to the permit alone, because they change with every charger.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from otacore.wire.release import ReleaseKind
from rollout.domain.fleet import Device, DeviceState, Site
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.people import Latch
from rollout.domain.records import Duty, Participation, Release, Rollout, Stage, State, Wave
from rollout.domain.versions import version_order
from rollout.domain.wave import selects, wave_of
from rollout.domain.windows import is_open

OFFERING = (State.RUNNING, State.COMPLETED)
"""States in which a rollout gives install permits; completed ones to latecomers."""
UNDECIDED = (State.RUNNING, State.PAUSED, State.HALTED, State.ROLLING_BACK)
MAY_ASK_AGAIN = (Stage.PERMITTED, Stage.ARMED, Stage.WITHDRAWN, Stage.SILENT)
"""A fresh request from a charger in one of these shows that it never activated."""
IN_FLIGHT = frozenset({Stage.PERMITTED, Stage.ARMED, Stage.KEPT})
RUNS_IT = IN_FLIGHT | {Stage.CONFIRMED, Stage.SETTLED, Stage.UNWELL, Stage.SILENT, Stage.NEEDS_HANDS}
"""The charger runs the release, or may."""


class Refusal(StrEnum):
    """Why a charger is not offered a release; stable words."""

    WRONG_PRODUCT = "wrong_product"
    WRONG_HARDWARE = "wrong_hardware"
    NOT_RUNNING = "rollout_not_running"
    LATCHED = "latched"
    RELEASE_STOPPED = "release_stopped"
    ADVANCE_PENDING = "advance_pending"
    OUT_OF_SERVICE = "out_of_service"
    QUARANTINED = "quarantined"
    STATE_UNKNOWN = "state_unknown"
    ON_TRIAL = "on_trial"
    NOT_SELECTED = "not_selected"
    WAVE_NOT_OPEN = "wave_not_open"
    WINDOW_CLOSED = "window_closed"
    TOO_OLD = "from_version_not_allowed"
    STEPPING_STONE_MISSING = "stepping_stone_missing"
    NOT_ABOVE_CONFIRMED = "not_above_confirmed"
    FAILED_HERE = "failed_here"
    DONE_HERE = "done_here"
    SERVES_AS_CONTROL = "serves_as_control"
    RUNS_UNDECIDED = "runs_undecided_release"


@dataclass(frozen=True, slots=True)
class Work:
    """The newest participation of a charger in one slot pair, and where its rollout stands."""

    participation: Participation
    state: State


@dataclass(frozen=True, slots=True)
class Charger:
    """All that the predicates read of one charger."""

    device: Device
    site: Site
    mates: Sequence[Device]
    """The chargers of its site, itself among them."""
    state: DeviceState | None
    work: Sequence[Work]
    """Newest per slot pair."""
    duty: Duty | None


@dataclass(frozen=True, slots=True)
class Offering:
    """A rollout with what the predicates read of it."""

    rollout: Rollout
    release: Release
    waves: Sequence[Wave]
    named: Mapping[str, int]
    """Waves by the device ids that they name; in a permit's transaction of that charger alone."""
    latches: Sequence[Latch] = ()
    stopped: frozenset[str] = frozenset()
    """Stopped and revoked releases by the repository's lists."""


@dataclass(frozen=True, slots=True)
class Check:
    """Answer of one predicate."""

    predicate: str
    refusal: Refusal | None


Predicate = Callable[[Offering, Charger, int], Refusal | None]


def first_refusal(offering: Offering, charger: Charger, *, now_ms: int) -> Refusal | None:
    """Reason of the first predicate that refuses; None when the release is meant for this charger now."""
    for _, predicate in PREDICATES:
        refusal = predicate(offering, charger, now_ms)
        if refusal is not None:
            return refusal
    return None


def explain(offering: Offering, charger: Charger, *, now_ms: int) -> tuple[Check, ...]:
    """Every predicate with its answer."""
    return tuple(Check(name, predicate(offering, charger, now_ms)) for name, predicate in PREDICATES)


def lasting_refusal(offering: Offering, charger: Charger, *, now_ms: int) -> Refusal | None:
    """The first lasting reason against this release on this charger: planning leaves it out, and says so."""
    for predicate in _LASTING_ONES:
        refusal = predicate(offering, charger, now_ms)
        if refusal is not None:
            return refusal
    return None


def open_wave_of(offering: Offering, charger: Charger) -> int | None:
    """The open wave that the charger belongs to."""
    return wave_of(
        charger.device,
        site=charger.site,
        mates=charger.mates,
        rollout=offering.rollout,
        release=offering.release,
        waves=offering.waves,
        named_wave=offering.named.get(charger.device.device_id),
        through=offering.rollout.wave,
    )


def stratum_in(plan: JudgePlan, charger: Charger, kind: ReleaseKind) -> int:
    """The charger's stratum of a rollout's plan; 0 when it belongs to none."""
    running = None if charger.state is None else charger.state.running(kind)
    version = "" if running is None else running.version
    return plan.stratum_of(hardware=charger.device.hardware, site_class=charger.site.site_class, from_version=version)


def latch_scopes(device: Device) -> tuple[str, ...]:
    """Scopes of latches that hold this charger."""
    return "fleet", f"product:{device.product}", f"site:{device.site_id}"


def _product(offering: Offering, charger: Charger, _: int) -> Refusal | None:
    return None if charger.device.product == offering.release.product else Refusal.WRONG_PRODUCT


def _hardware(offering: Offering, charger: Charger, _: int) -> Refusal | None:
    return None if charger.device.hardware in offering.release.hardware else Refusal.WRONG_HARDWARE


def _status(offering: Offering, _: Charger, __: int) -> Refusal | None:
    return None if offering.rollout.state in OFFERING else Refusal.NOT_RUNNING


def _latch(offering: Offering, charger: Charger, _: int) -> Refusal | None:
    scopes = latch_scopes(charger.device)
    return Refusal.LATCHED if any(latch.scope in scopes for latch in offering.latches) else None


def _not_stopped(offering: Offering, _: Charger, __: int) -> Refusal | None:
    stopped = offering.release.stopped_at_ms is not None or offering.release.digest in offering.stopped
    return Refusal.RELEASE_STOPPED if stopped else None


def _in_service(_: Offering, charger: Charger, __: int) -> Refusal | None:
    return Refusal.OUT_OF_SERVICE if charger.device.out_of_service else None


def _not_quarantined(_: Offering, charger: Charger, __: int) -> Refusal | None:
    return None if charger.device.quarantine is None else Refusal.QUARANTINED


def _published(offering: Offering, _: Charger, __: int) -> Refusal | None:
    rollout = offering.rollout
    return None if rollout.published_epoch == rollout.epoch else Refusal.ADVANCE_PENDING


def _opening(offering: Offering, charger: Charger, _: int) -> Refusal | None:
    return Refusal.WAVE_NOT_OPEN if open_wave_of(offering, charger) is None else None


def _selector(offering: Offering, charger: Charger, _: int) -> Refusal | None:
    return None if selects(offering.rollout.selector, charger.device, charger.site) else Refusal.NOT_SELECTED


def _window(offering: Offering, _: Charger, now_ms: int) -> Refusal | None:
    windows = offering.rollout.selector.windows
    return None if not windows or is_open(windows, now_ms=now_ms) else Refusal.WINDOW_CLOSED


def _state_known(offering: Offering, charger: Charger, _: int) -> Refusal | None:
    if charger.state is None:
        return Refusal.STATE_UNKNOWN
    running = charger.state.running(offering.release.kind)
    return Refusal.ON_TRIAL if running is not None and not running.confirmed else None


def _versions(offering: Offering, charger: Charger, _: int) -> Refusal | None:
    running = None if charger.state is None else charger.state.running(offering.release.kind)
    if running is None:
        return None
    release, now = offering.release, version_order(running.version)
    if release.from_versions and now not in {version_order(version) for version in release.from_versions}:
        return Refusal.TOO_OLD
    reached = all(now >= version_order(stone) for stone in release.stepping_stones)
    return None if reached else Refusal.STEPPING_STONE_MISSING


def _goes_up(offering: Offering, charger: Charger, _: int) -> Refusal | None:
    highest = None if charger.state is None else charger.state.highest(offering.release.kind)
    if highest is None or version_order(offering.release.version) > version_order(highest):
        return None
    return Refusal.NOT_ABOVE_CONFIRMED


def _not_failed(offering: Offering, charger: Charger, _: int) -> Refusal | None:
    failed = () if charger.state is None else charger.state.failed_digests
    return Refusal.FAILED_HERE if offering.release.digest in failed else None


def _not_done(offering: Offering, charger: Charger, _: int) -> Refusal | None:
    done = any(
        work.participation.rollout_id == offering.rollout.rollout_id and work.participation.stage not in MAY_ASK_AGAIN
        for work in charger.work
    )
    return Refusal.DONE_HERE if done else None


def _no_duty(_: Offering, charger: Charger, now_ms: int) -> Refusal | None:
    serves = charger.duty is not None and now_ms < charger.duty.until_ms
    return Refusal.SERVES_AS_CONTROL if serves else None


def _decided(offering: Offering, charger: Charger, _: int) -> Refusal | None:
    for work in charger.work:
        participation = work.participation
        if participation.rollout_id == offering.rollout.rollout_id:
            continue
        undecided = work.state in UNDECIDED and participation.stage in RUNS_IT
        if undecided or participation.stage in IN_FLIGHT:
            return Refusal.RUNS_UNDECIDED
    return None


PREDICATES: tuple[tuple[str, Predicate], ...] = (
    ("product", _product),
    ("hardware", _hardware),
    ("rollout gives permits", _status),
    ("no latch", _latch),
    ("release not stopped", _not_stopped),
    ("in service", _in_service),
    ("not quarantined", _not_quarantined),
    ("manifest published", _published),
    ("inside the opening", _opening),
    ("selected", _selector),
    ("window open", _window),
    ("attested state known", _state_known),
    ("allowed from version", _versions),
    ("above every confirmed version", _goes_up),
    ("not failed here before", _not_failed),
    ("not done here already", _not_done),
    ("no duty as a control", _no_duty),
    ("what it runs is decided", _decided),
)
"""In the order in which they are asked."""
LASTING = frozenset(
    {
        "product",
        "hardware",
        "in service",
        "not quarantined",
        "selected",
        "allowed from version",
        "above every confirmed version",
        "not failed here before",
    }
)
"""Predicates that do not change with the rollout's course."""
_LASTING_ONES = tuple(predicate for name, predicate in PREDICATES if name in LASTING)
