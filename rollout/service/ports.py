"""What the use cases need from outside: a store with transactions, the repository, the catalogue, the permit key.

Rules for every store:
1. Transactions are serialisable: what was read in a transaction still holds when it commits, else `Conflict` and
   nothing is changed. That is what makes a halt binding (R1): a permit that read the old epoch cannot commit after it.
   A counter that is only added to is not read, so adding alone never conflicts.
2. A transaction sees its own writes. Leaving the block commits; an exception leaves nothing behind.
3. Every query is answered through an index, in time that does not grow with the fleet, but for `fleet_page`, which
   planning and process start use. Lists come in the order that the method names and end at its limit.
4. A store that cannot be reached raises `Unavailable`, one that cannot be trusted `Broken`.

In memory: `rollout/adapters/memory.py`; SQL: `rollout/adapters/sql/`; both pass `tests/contract/test_store.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from otacore.wire.campaign import CampaignOrder
from otacore.wire.device_api import SignedMessage
from otacore.wire.permit import Permit, Purpose
from otacore.wire.release import ReleaseKind
from rollout.domain.fleet import Confirmation, Device, DeviceState, EnrolToken, Heard, ReportRow, Seen, Site
from rollout.domain.judge.facts import Block
from rollout.domain.judge.groups import Group
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.people import Approval, AuditEntry, Latch, Principal
from rollout.domain.records import (
    DueKind,
    DueRow,
    Duty,
    HardEvent,
    Lease,
    OutboxItem,
    Participation,
    PermitRow,
    Place,
    PlannedCharger,
    Release,
    Rollout,
    Stage,
    State,
    StoredVerdict,
    Wave,
)

MAX_HARD_EVENTS = 16


class FleetRows(Protocol):
    """Sites and chargers: registered facts, attested state, liveness."""

    def site(self, site_id: str) -> Site | None: ...
    def put_site(self, site: Site) -> None: ...
    def device(self, device_id: str) -> Device | None: ...
    def device_numbered(self, number: int) -> Device | None: ...
    def device_count(self) -> int:
        """How many were ever registered; the next one's number."""
        ...

    def put_device(self, device: Device) -> None: ...
    def devices_of_site(self, site_id: str) -> tuple[Device, ...]:
        """By number."""
        ...

    def fleet_page(self, *, product: str | None, from_number: int, limit: int) -> tuple[Device, ...]:
        """Chargers from that number on, by number; of one product, or all."""
        ...

    def product_after(self, product: str) -> str | None:
        """The next name of a product that chargers are registered of; "" asks for the first."""
        ...

    def state(self, device_id: str) -> DeviceState | None: ...
    def put_state(self, state: DeviceState) -> None: ...
    def states_between(self, *, from_number: int, through_number: int) -> tuple[DeviceState, ...]:
        """Attested states of the chargers with these dense numbers, in any order; in one query."""
        ...

    def report_row(self, device_id: str, counter: int) -> ReportRow | None: ...
    def put_report_row(self, row: ReportRow) -> None: ...
    def forget_reports(self, device_id: str) -> None:
        """Take out the attested state and all report rows: a new key has been bound, its counter begins anew."""
        ...

    def confirmations(self, device_id: str, kind: ReleaseKind, *, limit: int) -> tuple[Confirmation, ...]:
        """Newest first."""
        ...

    def put_confirmation(self, confirmation: Confirmation) -> None: ...
    def seen(self, device_id: str) -> Seen | None: ...
    def seen_between(self, *, from_number: int, through_number: int) -> tuple[Seen, ...]:
        """Liveness of the chargers with these dense numbers, in any order; in one query."""
        ...

    def heard_of(self, numbers: Collection[int]) -> tuple[Heard, ...]:
        """Of the chargers with these dense numbers, in any order; in one query."""
        ...

    def put_seen(self, batch: Sequence[Seen]) -> None:
        """Liveness, written behind; an older one never replaces a newer one. It makes no change entry."""
        ...

    def enrol_token(self, token_hash: str) -> EnrolToken | None: ...
    def put_enrol_token(self, token: EnrolToken) -> None: ...


class RolloutRows(Protocol):
    """Rollouts, their plans, what follows from their decisions, and what was counted."""

    def release(self, digest: str) -> Release | None: ...
    def put_release(self, release: Release) -> None: ...
    def rollout(self, rollout_id: str) -> Rollout | None: ...
    def rollouts_in(self, states: Collection[State], *, limit: int) -> tuple[Rollout, ...]:
        """Newest first (created_at_ms, then id)."""
        ...

    def rollouts_of(self, release_digest: str) -> tuple[Rollout, ...]:
        """All rollouts of one release, newest first."""
        ...

    def put_rollout(self, rollout: Rollout, *, expected_revision: int) -> None:
        """Compare-and-set; 0 for a new one. Raises: Conflict("rollout.stale")."""
        ...

    def waves(self, rollout_id: str) -> tuple[Wave, ...]:
        """By number."""
        ...

    def put_wave(self, wave: Wave) -> None: ...
    def judge_plan(self, rollout_id: str) -> JudgePlan | None: ...
    def replace_plan(
        self, rollout_id: str, plan: JudgePlan, waves: Sequence[Wave], chargers: Sequence[PlannedCharger]
    ) -> None:
        """Put a plan in the place of the one before, whole."""
        ...

    def planned_charger(self, rollout_id: str, device_id: str) -> PlannedCharger | None: ...
    def planned_chargers(self, rollout_id: str) -> tuple[PlannedCharger, ...]:
        """By wave, then device id. Bounded by what may be named and judged."""
        ...

    def planned_in(self, rollout_id: str, wave: int) -> tuple[PlannedCharger, ...]:
        """Of one wave, by device id."""
        ...

    def outbox(self, rollout_id: str) -> tuple[OutboxItem, ...]:
        """Not yet published, by epoch."""
        ...

    def put_outbox(self, item: OutboxItem) -> None: ...
    def drop_outbox(self, rollout_id: str, *, through_epoch: int) -> None:
        """They are published, or a newer one that is says it all."""
        ...

    def counters(self, rollout_id: str) -> Mapping[tuple[int, str], int]:
        """By (wave, name). Names: the words of `Stage` and of `Cleanness`."""
        ...

    def add_counter(self, rollout_id: str, *, wave: int, name: str, delta: int) -> None: ...
    def groups(self, rollout_id: str) -> tuple[Group, ...]:
        """By stratum, then number, also those that count nothing any more. Few: the logarithm of the fleet."""
        ...

    def count_in_group(self, rollout_id: str, *, stratum: int, number: int, cell: str, delta: int) -> None: ...
    def lease(self, rollout_id: str) -> Lease | None: ...
    def put_lease(self, lease: Lease) -> None: ...
    def hard_events(self, rollout_id: str) -> tuple[HardEvent, ...]:
        """Oldest first; at most `MAX_HARD_EVENTS`.

        Chosen from the newest back, and each site's newest before any site's second: what halts is that there are two
        sites, and no number of trips on one of them may hide the other.
        """
        ...

    def put_hard_event(self, event: HardEvent) -> None: ...
    def verdicts(self, rollout_id: str) -> tuple[StoredVerdict, ...]:
        """By epoch."""
        ...

    def put_verdict(self, verdict: StoredVerdict) -> None: ...


class WorkRows(Protocol):
    """What chargers do: participations, permits, places, duties, the judge's blocks, deadlines."""

    def participation(self, rollout_id: str, device_id: str) -> Participation | None: ...
    def running_participation(self, device_id: str, kind: ReleaseKind) -> Participation | None:
        """The newest, by the instant of its permit, of those whose stage is in `offer.RUNS_IT`.

        So an attempt that ended elsewhere does not hide what the charger runs.
        """
        ...

    def put_participation(self, participation: Participation) -> None: ...
    def participations_in(
        self, rollout_id: str, stages: Collection[Stage], *, after_device_id: str, limit: int
    ) -> tuple[Participation, ...]:
        """By device id."""
        ...

    def permit(self, nonce: str) -> PermitRow | None: ...
    def open_permits(self, device_id: str) -> tuple[PermitRow, ...]: ...
    def count_open_permits(self, rollout_id: str, purpose: Purpose, *, since_ms: int) -> int:
        """Open permits granted at that instant or later."""
        ...

    def put_permit(self, permit: PermitRow) -> None: ...
    def place(self, device_id: str) -> Place | None: ...
    def places_of_site(self, site_id: str) -> tuple[Place, ...]:
        """By device id."""
        ...

    def put_place(self, place: Place) -> None: ...
    def drop_place(self, device_id: str) -> None: ...
    def duty(self, device_id: str) -> Duty | None: ...
    def put_duty(self, duty: Duty) -> None: ...
    def drop_duty(self, device_id: str) -> None: ...
    def block(self, rollout_id: str, number: int) -> Block | None: ...
    def blocks(self, rollout_id: str, *, entered_after_ms: int = -1) -> tuple[Block, ...]:
        """By number."""
        ...

    def block_count(self, rollout_id: str) -> int:
        """How many there are; the next one's number is one more."""
        ...

    def put_block(self, rollout_id: str, block: Block) -> None: ...
    def due(self, rollout_id: str, *, now_ms: int, limit: int) -> tuple[DueRow, ...]:
        """Deadlines that have come, earliest first."""
        ...

    def put_due(self, row: DueRow) -> None: ...
    def drop_due(self, rollout_id: str, device_id: str, kind: DueKind) -> None: ...


class PeopleRows(Protocol):
    """Persons, approvals, latches and the audit chain."""

    def principal(self, name: str) -> Principal | None: ...
    def principal_with_token(self, token_hash: str) -> Principal | None: ...
    def put_principal(self, principal: Principal) -> None: ...
    def principals(self) -> tuple[Principal, ...]:
        """All of them, by name; few."""
        ...

    def approval(self, approval_id: str) -> Approval | None: ...
    def approvals_open(self, *, now_ms: int, limit: int) -> tuple[Approval, ...]:
        """Neither approved nor expired, oldest first."""
        ...

    def put_approval(self, approval: Approval) -> None: ...
    def latches(self) -> tuple[Latch, ...]:
        """By scope; few."""
        ...

    def put_latch(self, latch: Latch) -> None: ...
    def drop_latch(self, scope: str) -> None: ...
    def last_audit(self) -> AuditEntry | None: ...
    def append_audit(self, entry: AuditEntry) -> None:
        """Raises: Conflict("audit.stale") when its sequence is taken."""
        ...

    def audit_page(self, *, after_sequence: int, limit: int) -> tuple[AuditEntry, ...]:
        """By sequence."""
        ...

    def acts_of(self, actor: str, action: str, *, since_ms: int, limit: int) -> tuple[AuditEntry, ...]:
        """Newest first."""
        ...


class Transaction(FleetRows, RolloutRows, WorkRows, PeopleRows, Protocol):
    """One transaction over everything."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since a sequence: keys to read again, so that process memory follows the store."""

    through: int
    """Ask from here next time."""
    devices: tuple[str, ...]
    """Device, state, a participation or the duty changed."""
    sites: tuple[str, ...]
    rollouts: tuple[str, ...]
    """Rollout, waves, plan changed."""
    latches: bool
    more: bool
    """The limit cut it; ask again."""


class Store(Protocol):
    """Everything that the rollout host knows."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Read and write. Raises at its end: Conflict."""
        ...

    def reading(self) -> AbstractContextManager[Transaction]:
        """Read only, one consistent view; writing through it is a `Misuse`."""
        ...

    def changes_since(self, sequence: int, *, limit: int) -> Changes:
        """Changes of committed transactions after that sequence, deduplicated; 0 asks from the beginning."""
        ...


class CampaignPublisher(Protocol):
    """The repository host, as the rollout host sees it."""

    def publish(self, order: CampaignOrder) -> None:
        """Return once manifest and stop list stand published; the same order again is the same publication.

        Raises: Unavailable (try later; also "campaign.too_soon", when the pace does not allow the opening yet),
        Refused (it will never be published: a person is asked).
        """
        ...


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """What the newest verified metadata says of a product; permits name these numbers."""

    root_version: int
    stop_serial: int
    floor_serial: int
    revoked_serial: int
    stopped: frozenset[str]
    revoked: frozenset[str]


class Catalogue(Protocol):
    """Signed releases, verified as a charger verifies them. Answers from memory; refreshing is the adapter's work."""

    def find(self, *, product: str, kind: ReleaseKind, version: str) -> Release:
        """Raises: Refused("catalogue.no_such_release"), Unavailable("catalogue.not_loaded")."""
        ...

    def facts(self, product: str) -> RepositoryFacts:
        """Raises: Unavailable("catalogue.not_loaded")."""
        ...


class PermitSigner(Protocol):
    """The permit key."""

    def sign(self, permit: Permit) -> SignedMessage:
        """Raises: Unavailable."""
        ...


class LocalStops(Protocol):
    """Halts that this process keeps by itself while the database does not answer."""

    def holds(self, rollout_id: str) -> bool:
        """True while install permits of this rollout are refused here; a halt never stops a recovery."""
        ...


class Entropy(Protocol):
    """Chance, handed in."""

    def hex(self, byte_count: int) -> str:
        """That many unpredictable bytes, as lower-case hex."""
        ...
