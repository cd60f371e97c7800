"""The judge's blocks in the store: entered with a permit, told by reports, withdrawn, censored."""

from collections.abc import Sequence

from otacore.wire.report import Report
from rollout.domain.evidence import censored, duties, enter, observe, withdrawn
from rollout.domain.judge.draw import Candidate
from rollout.domain.judge.facts import Block, CensorReason
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.offer import Charger, Offering, open_wave_of
from rollout.domain.planning import stratum
from rollout.domain.records import Participation, Stage
from rollout.service.draws import ControlDraw
from rollout.service.ports import Transaction
from rollout.service.snapshot import plan_of, work_of


def enter_block(
    tx: Transaction,
    draw: ControlDraw,
    offering: Offering,
    charger: Charger,
    plan: JudgePlan,
    *,
    before: Participation | None,
    now_ms: int,
) -> int | None:
    """Enter the block of a charger that was pre-drawn to be judged in its wave; its number, None without one.

    Drawn once: a charger that asks again after its block was withdrawn enters it again, with those of its controls
    that may still serve. So asking often neither makes facts nor chooses controls.
    """
    rollout, device = offering.rollout, charger.device
    known = None if before is None or before.block is None else tx.block(rollout.rollout_id, before.block)
    if known is not None and not known.withdrawn:
        return known.number  # too late to withdraw: a verdict may have read it
    planned = tx.planned_charger(rollout.rollout_id, device.device_id)
    if planned is None or not planned.is_judged or planned.wave != open_wave_of(offering, charger):
        return None
    number = tx.block_count(rollout.rollout_id) + 1 if known is None else known.number
    if known is None:
        controls = draw.draw(tx, offering, charger, plan, block_number=number, now_ms=now_ms)
    else:
        controls = draw.still_fit(tx, offering, charger, known, now_ms=now_ms)
    block = enter(
        number=number,
        wave=planned.wave,
        stratum=stratum(device, charger.site),
        treated=Candidate(device.device_id, device.site_id),
        controls=controls,
        now_ms=now_ms,
    )
    tx.put_block(rollout.rollout_id, block)
    for duty in duties(block, rollout_id=rollout.rollout_id, horizon_ms=plan.horizon_ms):
        tx.put_duty(duty)
    return number


def withdraw_block(tx: Transaction, participation: Participation, *, now_ms: int) -> None:
    """Its treated charger never activated: withdraw the block while that is still honest, and free its controls."""
    rollout_id, number = participation.rollout_id, participation.block
    block = None if number is None else tx.block(rollout_id, number)
    if block is None or block.withdrawn:
        return
    after = withdrawn(block, plan_of(tx, rollout_id), now_ms=now_ms)
    if not after.withdrawn:
        return
    tx.put_block(rollout_id, after)
    for control in block.controls:
        duty = tx.duty(control.device_id)
        if duty is not None and (duty.rollout_id, duty.block) == (rollout_id, number):
            tx.drop_duty(control.device_id)


def tell_blocks(tx: Transaction, report: Report, told: Sequence[Participation], *, now_ms: int) -> None:
    """Tell every block that this charger is a member of what its signed report says."""
    device_id = report.device_id
    stages = {(one.rollout_id, one.block): one.stage for one in told if one.block is not None}
    duty = tx.duty(device_id)
    if duty is not None:
        stages.setdefault((duty.rollout_id, duty.block), Stage.PERMITTED)
    for (rollout_id, number), stage in stages.items():
        block = tx.block(rollout_id, number)
        if block is None or block.withdrawn:
            continue
        after = observe(block, device_id, plan_of(tx, rollout_id), report=report, stage=stage, now_ms=now_ms)
        _put_if_changed(tx, rollout_id, block, after)


def censor_everywhere(tx: Transaction, device_id: str, reason: CensorReason, *, now_ms: int) -> None:
    """The charger stops being a member of every block it stands in, as treated charger and as control."""
    places = [(work.participation.rollout_id, work.participation.block) for work in work_of(tx, device_id)]
    duty = tx.duty(device_id)
    if duty is not None:
        places.append((duty.rollout_id, duty.block))
        tx.drop_duty(device_id)
    for rollout_id, number in places:
        block = None if number is None else tx.block(rollout_id, number)
        if block is not None:
            _put_if_changed(tx, rollout_id, block, censored(block, device_id, reason, now_ms=now_ms))


def _put_if_changed(tx: Transaction, rollout_id: str, before: Block, after: Block) -> None:
    if after != before:
        tx.put_block(rollout_id, after)
