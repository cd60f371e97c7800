"""Bugs planted into the rollout host and its judge: grants after a halt, places lost, waves twice, evidence misread."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from device_client.domain import checks
from ops.simulation.planting import Planted, replaced
from otacore.wire.device_api import ReportReply
from otacore.wire.report import Fact, Report
from rollout.domain import decision, offer, place, rollback
from rollout.domain.controller import Situation, Step, Wait, next_step
from rollout.domain.judge import everybody, starts, streams
from rollout.domain.judge.cap import CapAnswer, CapReason
from rollout.domain.judge.facts import Block, Member
from rollout.domain.judge.groups import FAILED, Group, start_cells
from rollout.domain.judge.outcomes import Outcome, treated_at_horizon
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.machine import Event
from rollout.domain.permit import fits_epoch
from rollout.domain.records import OutboxItem, Place, Rollout, State
from rollout.service import blocks, controller, intake, permit
from rollout.service.ports import Transaction
from rollout.service.snapshot import require_rollout

STANDS = ("rollout gives permits", "manifest published")
"""Predicates that a halt makes refuse."""
FLEET = 100
"""No world has more chargers."""


def _without(*predicates: str) -> tuple[tuple[str, offer.Predicate], ...]:
    return tuple(row for row in offer.PREDICATES if row[0] not in predicates)


@contextmanager
def _fenced_reports() -> Iterator[None]:
    right = intake._take  # noqa: SLF001 - a bug is planted into it

    def wrong(tx: Any, report: Report, content_sha256: str, now_ms: int) -> ReportReply:
        rollout = None if report.rollout_id is None else tx.rollout(report.rollout_id)
        part = None if report.rollout_id is None else tx.participation(report.rollout_id, report.device_id)
        row = None if part is None or not part.nonce else tx.permit(part.nonce)
        if rollout is not None and row is not None and row.epoch != rollout.epoch:
            return ReportReply(report.counter, accepted=False, reason="epoch_stale")
        return right(tx, report, content_sha256, now_ms)

    with replaced(intake, "_take", wrong):
        yield


@contextmanager
def _place_back_by_reboot() -> Iterator[None]:
    def wrong(held: Place, report: Report) -> bool:
        rebooted = report.counter > held.request_counter and report.fact in (Fact.ARMED, Fact.STATE)
        return rebooted or place.gives_back(held, report)

    with replaced(intake, "gives_back", wrong):
        yield


@contextmanager
def _permit_after_halt() -> Iterator[None]:
    fits = fits_epoch

    def unless_halted(right: offer.Predicate) -> offer.Predicate:
        return lambda offering, charger, now_ms: (
            None if offering.rollout.state is State.HALTED else right(offering, charger, now_ms)
        )

    predicates = tuple((name, unless_halted(row) if name in STANDS else row) for name, row in offer.PREDICATES)
    with (
        replaced(
            permit, "fits_epoch", lambda request, rollout: rollout.state is State.HALTED or fits(request, rollout)
        ),
        replaced(offer, "PREDICATES", predicates),
    ):
        yield


@contextmanager
def _wave_twice() -> Iterator[None]:
    right = controller._take  # noqa: SLF001 - a bug is planted into it

    def wrong(tx: Any, seen: Any, step: Any) -> None:
        now = require_rollout(tx, seen.situation.rollout.rollout_id)
        right(tx, replace(seen, situation=replace(seen.situation, rollout=now)), step)

    with replaced(controller, "_take", wrong):
        yield


@contextmanager
def _site_without_limit() -> Iterator[None]:
    with replaced(place, "place_limit", lambda _site, devices: len(devices)):
        yield


@contextmanager
def _swapping() -> Iterator[None]:
    right = rollback.way_back

    def wrong(*arguments: Any, **named: Any) -> Any:
        return right(*arguments, **{**named, "closed": ()})

    with (
        replaced(rollback, "way_back", wrong),
        replaced(permit, "way_back", wrong),
        replaced(checks, "closed", lambda *_: None),
    ):
        yield


@contextmanager
def _no_cap() -> Iterator[None]:
    def wrong(*_: Any, **__: Any) -> CapAnswer:
        return CapAnswer(allowed=True, reason=CapReason.WITHIN_CAP, used=0, limit=1)

    with replaced(permit, "may_expose_in", wrong):
        yield


@contextmanager
def _shrinking() -> Iterator[None]:
    right = decision._publication  # noqa: SLF001 - a bug is planted into it

    def wrong(rollout: Rollout, effects: Any, **named: Any) -> OutboxItem | None:
        mine = [one for one in named["planned"] if one.wave == rollout.wave]
        return right(rollout, effects, **{**named, "planned": mine})

    with replaced(decision, "_publication", wrong):
        yield


@contextmanager
def _second_install() -> Iterator[None]:
    with replaced(offer, "PREDICATES", _without("what it runs is decided")):
        yield


@contextmanager
def _goes_on_by_itself() -> Iterator[None]:
    def wrong(situation: Situation) -> Step | Wait:
        if situation.rollout.state is State.HALTED:
            return Step(Event.RESUME, "it looks well again")
        return next_step(situation)

    with replaced(controller, "next_step", wrong):
        yield


@contextmanager
def _pauses_without_asking() -> Iterator[None]:
    def wrong(situation: Situation) -> Step | Wait:
        step = next_step(situation)
        return replace(step, question=None) if isinstance(step, Step) else step

    with replaced(controller, "next_step", wrong):
        yield


@contextmanager
def _unheard_is_heard() -> Iterator[None]:
    def wrong(group: Group) -> Iterator[tuple[int, int, int, int]]:
        for references, failed, _, count in start_cells(group):
            yield references, failed, 0, count

    with replaced(starts, "start_cells", wrong):
        yield


@contextmanager
def _arrival_order() -> Iterator[None]:
    right = starts.start_stream

    def wrong(plan: JudgePlan, groups: Sequence[Group], shares: Any, **named: Any) -> Any:
        failures_first = sorted(groups, key=lambda group: -group.cells.get(FAILED, 0))
        return right(plan, failures_first, shares, **named)

    with replaced(everybody, "start_stream", wrong):
        yield


@contextmanager
def _silence_is_health() -> Iterator[None]:
    def wrong(member: Member, metric: Any, plan: JudgePlan, *, age_now_ms: int, **named: Any) -> Outcome:
        told = replace(member, known_through_ms=max(member.known_through_ms, age_now_ms))
        return treated_at_horizon(told, metric, plan, age_now_ms=age_now_ms, **named)

    with replaced(streams, "treated_at_horizon", wrong):
        yield


@contextmanager
def _late_draw() -> Iterator[None]:
    right = blocks._put_if_changed  # noqa: SLF001 - a bug is planted into it

    def wrong(tx: Transaction, rollout_id: str, before: Block, after: Block) -> None:
        is_known_now = before.treated.start is None and after.treated.start is not None
        right(tx, rollout_id, before, _with_other_controls(tx, after) if is_known_now else after)

    with replaced(blocks, "_put_if_changed", wrong):
        yield


def _with_other_controls(tx: Transaction, block: Block) -> Block:
    """As many chargers of other sites, none of them drawn before, with the facts of those that they replace."""
    members = {member.device_id for member in block.members()}
    sites = {member.site_id for member in block.members()}
    fleet = tx.fleet_page(product=None, from_number=0, limit=FLEET)
    others = [one for one in fleet if one.device_id not in members and one.site_id not in sites]
    pairs = zip(block.controls, others, strict=False)
    drawn = tuple(replace(old, device_id=new.device_id, site_id=new.site_id) for old, new in pairs)
    return replace(block, controls=drawn) if len(drawn) == len(block.controls) else block


ROLLOUT_BUGS = (
    Planted("fenced-reports", "Reports are refused under a new epoch.", "reports", 60, _fenced_reports),
    Planted("place-by-reboot", "A reboot gives the site's place back.", "R5", 100, _place_back_by_reboot),
    Planted("permit-after-halt", "Permits are given after a halt.", "R1", 60, _permit_after_halt, "jumpy"),
    Planted("wave-twice", "Two ticks that read the same open two waves.", "R6", 200, _wave_twice),
    Planted("site-without-limit", "Two chargers of a site are in flight.", "R5", 60, _site_without_limit),
    Planted("swapping", "Two rolled-back rollouts swap slots for ever.", "R4", 20, _swapping, "undone"),
    Planted("shrinking", "An opening shrinks when the next wave opens.", "R6", 100, _shrinking),
    Planted("no-cap", "Failed starts do not hold back further permits.", "R2", 60, _no_cap, "judged"),
    Planted("second-install", "A second install over an undecided one.", "R4", 60, _second_install),
    Planted("goes-on-by-itself", "A halted rollout goes on without a person.", "A2", 100, _goes_on_by_itself),
    Planted(
        "pauses-without-asking",
        "The controller pauses or halts and asks nobody.",
        "every rollout ends or asks",
        100,
        _pauses_without_asking,
    ),
    Planted("arrival-order", "Groups are read as their failures arrive.", "R2", 60, _arrival_order, "judged"),
    Planted("unheard-is-heard", "References not heard of count as there.", "R2", 60, _unheard_is_heard, "judged"),
    Planted("silence-is-health", "A charger that says nothing is a healthy one.", "R2", 200, _silence_is_health),
    Planted("late-draw", "Other controls are put in once the outcome is known.", "R2", 60, _late_draw, "judged"),
)
