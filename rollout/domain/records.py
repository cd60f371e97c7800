"""Records of rollouts: the release, the rollout and its waves, and what chargers did in them.

Frozen values as every store keeps them; they decide nothing. The fleet's records stand in `fleet.py`, those of persons
in `people.py`, the judge's facts in `judge/facts.py`.

Rules:
1. One writer idea per record: `Rollout` and `Wave` are written by operators and the controller, with a compare-and-set
   on `revision`; permits and reports only read them and write the rows below them, so they never queue behind a tick.
2. A charger's own rows are written when it first takes part, not when a wave opens: opening costs the same for any
   fleet. Only chargers that were named or pre-drawn to be judged have a row before (`PlannedCharger`), and their number
   is bounded.
3. Waves are numbered from 1; wave 0 means none has opened.
"""

from dataclasses import dataclass
from enum import StrEnum

from otacore.ids import FULL_SHARE
from otacore.wire import checks
from otacore.wire.campaign import CampaignOrder
from otacore.wire.permit import Purpose
from otacore.wire.release import PaceStep, ReleaseKind
from rollout.domain.fleet import MAX_LABELS, MAX_WINDOWS, Window
from rollout.domain.judge.entry import Entry
from rollout.domain.outage import Outage

MAX_SELECTED_SITES = 10_000
MAX_WAVES = 64


@dataclass(frozen=True, slots=True)
class Release:
    """A signed release as the catalogue verified it."""

    digest: str
    path: str
    """TUF target path of its manifest."""
    product: str
    hardware: tuple[str, ...]
    kind: ReleaseKind
    version: str
    security_version: int
    image_sha256: str
    """Of its one file: what a charger that runs it must measure in its slot."""
    pace: tuple[PaceStep, ...]
    revert_h: int
    from_versions: tuple[str, ...]
    stepping_stones: tuple[str, ...]
    stopped_at_ms: int | None = None
    """When a rollback here closed it for good; the repository's stop list follows."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Who is meant, within the opening; the server narrows, the campaign manifest does not know it. Empty means all."""

    sites: tuple[str, ...] = ()
    site_classes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """All of them must stand at the charger or its site."""
    without_labels: tuple[str, ...] = ()
    """None of them may."""
    windows: tuple[Window, ...] = ()
    """Activations only within one of these (UTC)."""

    def __post_init__(self) -> None:
        checks.length("sites", self.sites, MAX_SELECTED_SITES)
        checks.length("site_classes", self.site_classes, MAX_LABELS)
        checks.length("labels", self.labels, MAX_LABELS)
        checks.length("without_labels", self.without_labels, MAX_LABELS)
        checks.length("windows", self.windows, MAX_WINDOWS)


class State(StrEnum):
    """Where a rollout stands."""

    DRAFT = "draft"
    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Options:
    """What the author declared beside the judge's plan."""

    complete_at_pct: int = 90
    """The last wave is complete when this share of its planned chargers is decided; the rest are leftovers. A dead
    charger keeps its place, so it holds its neighbours back until a person says that it is out of service."""
    undecided_wait_s: int = 7 * 24 * 3600
    """How long a wave may stand without a verdict before a person is asked."""
    rollback_wait_s: int = 7 * 24 * 3600
    """How long a rollback waits for a silent charger before it is named as needing hands."""
    baseline_ppm: int = 50_000
    """A wave without a claim may have at most this share of failures among its decided chargers."""

    def __post_init__(self) -> None:
        checks.integer("complete_at_pct", self.complete_at_pct, 1, 100)
        checks.integer("undecided_wait_s", self.undecided_wait_s, 1)
        checks.integer("rollback_wait_s", self.rollback_wait_s, 1)
        checks.integer("baseline_ppm", self.baseline_ppm, 0, 1_000_000)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One release on its way into the fleet. The row that operators and the controller compete for."""

    rollout_id: str
    release_digest: str
    product: str
    kind: ReleaseKind
    state: State
    epoch: int
    published_epoch: int
    """Epoch of the manifest that is known to stand published; permits need it to equal `epoch`."""
    wave: int
    """Newest wave opened; 0 before the start."""
    salt: str
    """Of the named chargers' hashes; 16 bytes in hex."""
    draw_salt: str
    """Of the judge's draws; 32 bytes in hex, never published."""
    selector: Selector
    options: Options
    revision: int
    """Rises by one with every write of this row; the store's compare-and-set."""
    created_by: str
    created_at_ms: int
    state_since_ms: int
    resume_to: State | None = None
    """Where `resume` leads while paused or halted."""
    question: str | None = None
    """What a person is asked while it waits."""
    unproven: bool = False
    """A wave was passed without or against a verdict; never cleared."""
    pace_step: int = 0
    """Step of the release's pace that the present opening uses."""
    pace_since_ms: int | None = None
    """When an opening of that step first stood published."""
    held_since_ms: int | None = None
    """Since when the opening is held; held time does not count for the pace."""
    held_ms: int = 0
    """Held time since `pace_since_ms`, without the present hold."""
    wait_from_ms: int | None = None
    """Since when the present wave waits for its verdict: its publication, or a later resume."""
    cap_full_since_ms: int | None = None
    """Since when the exposure cap is full without a verdict, as the controller saw it."""
    hard_shown_ms: int = 0
    """Hard events up to here have paused it once already."""
    hard_forgiven_ms: int = 0
    """Hard events up to here were weighed by the two persons who resumed it."""
    sweep_after: str = ""
    """Where the next look at unfinished chargers of a rollback begins."""
    phase: int = 0
    """Rises with every opening that is published, and when the last wave is over: the streams over everybody stake anew
    there (`judge/groups.py`)."""
    phase_since_ms: int = 0
    watched_from: int = 0
    """Entries of earlier phases were weighed by the persons who resumed it after a halt; they count no more."""


@dataclass(frozen=True, slots=True)
class Before:
    """How the rollout stood when a wave was opened: the caps count for each wave anew.

    Anew also when the last wave has stood for a horizon, for then come those that served as controls, and once it is
    completed with every further horizon, for who comes late.
    """

    part: int = 0
    """Horizons since the newest opening, when this was taken."""
    healthy: int = 0
    failed: int = 0
    clean: int = 0
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Wave:
    """One step of the opening. Shares and names are cumulative in effect: what is open never shrinks."""

    rollout_id: str
    number: int
    share: int
    """Upper bound of the share once this wave is open; never below the wave before."""
    named: int
    """How many chargers this wave adds by name."""
    planned: int
    """How many chargers of the registered fleet it was planned to reach."""
    one_per_site: bool
    soak_s: int
    selector: Selector = Selector()
    opened_at_ms: int | None = None
    """When its opening first stood published."""
    passed_at_ms: int | None = None
    outcome: str | None = None
    """`passed`, `watched` or `unproven`."""
    before: Before | None = None
    """None until it is opened."""

    def __post_init__(self) -> None:
        checks.integer("number", self.number, 1, MAX_WAVES)
        checks.integer("share", self.share, 0, FULL_SHARE)
        checks.integer("soak_s", self.soak_s)


@dataclass(frozen=True, slots=True)
class PlannedCharger:
    """A charger that the plan names, or pre-drew to be judged."""

    rollout_id: str
    device_id: str
    wave: int
    is_named: bool
    is_judged: bool


class Stage(StrEnum):
    """How far a charger came in a rollout."""

    PERMITTED = "permitted"
    """Has an install permit; nothing was heard since."""
    ARMED = "armed"
    """Said that its trial flag is set, or that it is on trial."""
    KEPT = "kept"
    CONFIRMED = "confirmed"
    SETTLED = "settled"
    """Confirmed, and healthy by a signed report at the end of its soak: the success that counts (R3)."""
    UNWELL = "unwell"
    """Runs it and reports, but is not confirmed and healthy at the end of its soak."""
    WITHDRAWN = "withdrawn"
    """Never activated: disarmed, or shown to be unarmed after its permit. It may ask again."""
    REVERTED = "reverted"
    """Fell back by itself."""
    FAILED = "failed"
    """Could not or would not install it."""
    SILENT = "silent"
    """Nothing was heard by the deadline; it keeps its place."""
    RECOVERED = "recovered"
    """Taken back to its own last confirmed release."""
    NEEDS_HANDS = "needs_hands"
    """Cannot be taken back from here; `reason` says why."""


class Cleanness(StrEnum):
    """Where a charger stands for the soak cap."""

    PENDING = "pending"
    CLEAN = "clean"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Participation:
    """One charger in one rollout, from its first permit on."""

    rollout_id: str
    device_id: str
    site_id: str
    kind: ReleaseKind
    wave: int
    release_digest: str
    came_from: str | None
    """Its own last confirmed release when it took part: where a rollback takes it. None: it had none of this kind."""
    stage: Stage
    nonce: str
    """Of its newest install permit; empty when it failed before it asked for one."""
    permitted_at_ms: int
    changed_at_ms: int
    block: int | None = None
    """Number of the judge's block that it is the treated charger of."""
    confirmed_at_ms: int | None = None
    cleanness: Cleanness = Cleanness.PENDING
    reason: str = ""
    entry: Entry | None = None
    """How the streams over everybody count it; None when it never got a permit."""


class PermitStatus(StrEnum):
    """What is known of a permit's use."""

    OPEN = "open"
    """Unreported: its charger may hold it, be armed, or be booting."""
    DONE = "done"
    """A signed message from its charger settled it."""


@dataclass(frozen=True, slots=True)
class PermitRow:
    """A permit that was given. Its nonce makes a repeated request get the same answer."""

    nonce: str
    device_id: str
    rollout_id: str
    release_digest: str
    epoch: int
    purpose: Purpose
    request_counter: int
    """Highest report counter the charger had made when it asked; only a later report can speak of this permit."""
    boot_id: str
    """Boot in which it asked; firmware cannot have been activated while it lasts."""
    granted_at_ms: int
    root_version: int
    stop_serial: int
    floor_serial: int
    revoked_serial: int
    status: PermitStatus = PermitStatus.OPEN


@dataclass(frozen=True, slots=True)
class Place:
    """A site's room for one charger in flight. One per charger; kept over reboots; given back as R5 says."""

    site_id: str
    device_id: str
    rollout_id: str
    purpose: Purpose
    request_counter: int
    """Only a report with a higher counter can give it back."""
    taken_at_ms: int


@dataclass(frozen=True, slots=True)
class Duty:
    """A charger serves as a control: it is not opened before `until_ms`. Its newest duty only; one at a time."""

    device_id: str
    rollout_id: str
    block: int
    entered_at_ms: int
    until_ms: int


class DueKind(StrEnum):
    """What is looked at when a deadline comes."""

    REFERENCES = "references"
    """Its references have had time to be heard of."""
    START = "start"
    """Not back and healthy: the start failed. Its references are looked at for the last time."""
    CLEAN = "clean"
    """Clean for long enough: counts for the soak cap."""
    SOAK = "soak"
    """The soak is over: confirmed and healthy becomes settled."""


@dataclass(frozen=True, slots=True)
class DueRow:
    """A deadline in the ordered index; key is (rollout, device, kind)."""

    due_ms: int
    rollout_id: str
    device_id: str
    kind: DueKind


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """A publication that must follow from a committed decision. Key is (rollout, epoch)."""

    rollout_id: str
    epoch: int
    order: CampaignOrder
    created_at_ms: int
    attempts: int = 0
    next_try_ms: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class HardEvent:
    """A safety trip of a charger while it took part in a rollout."""

    rollout_id: str
    device_id: str
    site_id: str
    detail: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """A verdict that was acted upon, with the facts it rests on, so that it can be computed again."""

    rollout_id: str
    epoch: int
    """Epoch of the rollout when it was read."""
    wave: int
    at_ms: int
    verdict: str
    """`judge.verdict.Verdict` as canonical JSON."""
    blocks: tuple[str, ...]
    """The judge's blocks as they were, canonical JSON each."""
    groups: tuple[str, ...] = ()
    """The groups of everybody as they were, canonical JSON each."""


LEASE_MS = 10 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Lease:
    """The last successful reading of judge, guard and caps: a permit to install needs one that is not older than this.

    The tick writes it. When nothing can be read, or nobody ticks, it runs out, and the gate is closed.
    """

    rollout_id: str
    read_at_ms: int
    standing: str = ""
    """Why the rollout stands where it stands, and what would move it."""
    outage_since_ms: int | None = None
    """Since then more of the fleet is not heard of than usual: the rule over the first starts leaves them out."""
    permits_wait: bool = False
    """So many are not heard of that nobody else is to restart; silence is excused."""
    failures: int = 0
    """Readings in a row that failed since."""
    error: str = ""
    """Why the newest reading failed; it names the row."""

    @property
    def outage(self) -> Outage | None:
        """The outage that the reading found."""
        return None if self.outage_since_ms is None else Outage(self.outage_since_ms, self.permits_wait)

    def holds(self, *, now_ms: int) -> bool:
        """Whether it lets permits be given; a time from the future was written by a wrong clock and says nothing."""
        return self.read_at_ms <= now_ms <= self.read_at_ms + LEASE_MS
