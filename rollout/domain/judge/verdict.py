"""The verdict over a wave: pass, fail, undecided, or no claim at all, with everything needed to compute it again.

It does not advance, halt or roll back; the controller does. Hard rules (safety trips) stand outside.

Rules:
1. FAIL wins over PASS. FAIL evidence runs over all blocks of the rollout, PASS evidence over those of the wave.
2. PASS needs every metric with a margin that is not switched off, each at full alpha. Nothing judged is never a pass.
3. A wave that was planned without a claim answers NO_CLAIM in so many words, unless FAIL evidence stands.
4. A verdict is a pure function of plan, facts and watermark. It names the digests of both, the rule, and the logs of
   every stream as integers; `recompute` compares them for equality.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import pairwise

from otacore.errors import Broken, Misuse
from otacore.wire.codec import encode
from rollout.domain.judge.capital import in_words
from rollout.domain.judge.facts import Block, Watermark
from rollout.domain.judge.plan import JudgePlan, WavePlan
from rollout.domain.judge.streams import Claim, Evidence, pass_evidence, soak_evidence, start_evidence

RULE = "tidegate-judge/1"
"""Names streams, readings, rounding and order of decision; any change of a number for equal facts is a new rule."""
MAX_BLOCKS = 20_000


class Kind(StrEnum):
    """What the evidence says of the wave."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    UNDECIDED = "undecided"
    NO_CLAIM = "no_claim"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision of the judge and all it was made from."""

    kind: Kind
    wave: int
    reasons: tuple[str, ...]
    """Sentences with their numbers, the decisive one first."""
    evidence: tuple[Evidence, ...]
    exhausted: bool
    """Undecided, and no data to come can change that: every planned unit is in and every outcome known or lost."""
    watermark: Watermark
    plan_digest: str
    facts_digest: str
    facts_blocks: int
    rule: str = RULE


@dataclass(frozen=True, slots=True)
class Recomputed:
    """Answer of `recompute`."""

    equal: bool
    differences: tuple[str, ...]
    """Names of the fields that differ."""


def judge(plan: JudgePlan, blocks: Sequence[Block], *, wave: int, watermark: Watermark) -> Verdict:
    """Judge a wave from all blocks of the rollout, as far as known at the watermark.

    Raises: Misuse("judge.unknown_wave"), Broken("judge.bad_facts").
    """
    planned = plan.wave(wave)
    if planned is None:
        raise Misuse("judge.unknown_wave", f"wave {wave} is not in the judge's plan; plan the rollout again")
    ordered = _in_entry_order(plan, blocks)
    harm = _harm(plan, ordered, watermark)
    passing = _passing(plan, [block for block in ordered if block.wave == wave], watermark)
    kind, reasons = _decide(plan, planned, harm, passing)
    return Verdict(
        kind=kind,
        wave=wave,
        reasons=reasons,
        evidence=(*harm, *passing),
        exhausted=kind is Kind.UNDECIDED and _is_exhausted(planned, passing),
        watermark=watermark,
        plan_digest=plan.digest(),
        facts_digest=facts_digest(ordered),
        facts_blocks=len(ordered),
    )


def recompute(stored: Verdict, plan: JudgePlan, blocks: Sequence[Block]) -> Recomputed:
    """Judge again from the stored facts; equal means every integer and every word. Raises: as `judge`."""
    again = judge(plan, blocks, wave=stored.wave, watermark=stored.watermark)
    differing = tuple(
        field.name for field in fields(Verdict) if getattr(stored, field.name) != getattr(again, field.name)
    )
    return Recomputed(equal=not differing, differences=differing)


def facts_digest(blocks: Sequence[Block]) -> str:
    """SHA-256 over the canonical bytes of the blocks in the order of entry, one line each."""
    hasher = hashlib.sha256()
    for block in blocks:
        hasher.update(encode(block) + b"\n")
    return hasher.hexdigest()


def _in_entry_order(plan: JudgePlan, blocks: Sequence[Block]) -> list[Block]:
    if len(blocks) > MAX_BLOCKS:
        raise Broken("judge.bad_facts", f"{len(blocks)} blocks; at most {MAX_BLOCKS} are judged")
    ordered = sorted(blocks, key=lambda block: block.number)
    for before, after in pairwise(ordered):
        if before.number == after.number:
            raise Broken("judge.bad_facts", f"two blocks have number {after.number}; look for a lost transaction")
    for block in ordered:
        if len(block.controls) > plan.controls:
            raise Broken("judge.bad_facts", f"block {block.number} has more than {plan.controls} controls")
    return ordered


def _harm(plan: JudgePlan, blocks: Sequence[Block], watermark: Watermark) -> tuple[Evidence, ...]:
    soak = (soak_evidence(plan, metric, blocks, watermark) for metric in plan.active_metrics)
    return (start_evidence(plan, blocks, watermark), *soak)


def _passing(plan: JudgePlan, blocks: Sequence[Block], watermark: Watermark) -> tuple[Evidence, ...]:
    return tuple(pass_evidence(plan, metric, blocks, watermark) for metric in plan.passing_metrics)


def _decide(
    plan: JudgePlan, planned: WavePlan, harm: Sequence[Evidence], passing: Sequence[Evidence]
) -> tuple[Kind, tuple[str, ...]]:
    failed = [evidence for evidence in harm if evidence.crossed]
    if failed:
        return Kind.FAIL, tuple(_in_words(plan, evidence) for evidence in failed)
    if not planned.makes_claim:
        return Kind.NO_CLAIM, (f"wave {planned.wave} makes no claim: {planned.why}",)
    if not passing:
        return Kind.NO_CLAIM, (f"wave {planned.wave} makes no claim: no metric with a margin is switched on",)
    lacking = [evidence for evidence in passing if not evidence.crossed]
    if lacking:
        return Kind.UNDECIDED, tuple(_in_words(plan, evidence) for evidence in lacking)
    return Kind.PASS, tuple(_in_words(plan, evidence) for evidence in passing)


def _is_exhausted(planned: WavePlan, passing: Sequence[Evidence]) -> bool:
    return all(evidence.pending == 0 and evidence.blocks >= planned.judged_units for evidence in passing)


def _in_words(plan: JudgePlan, evidence: Evidence) -> str:
    bad = f"{evidence.treated_bad} of {evidence.treated_known} treated chargers"
    controls = f"{evidence.controls_bad} of {evidence.controls_known} controls"
    odds = f"evidence {in_words(evidence.capital)}, {in_words(evidence.threshold)} needed"
    name = evidence.stream.partition(":")[2]
    if evidence.stream == "start":
        return f"start: {bad} did not come back healthy in time, {controls} were silent; {odds}"
    if evidence.claim is Claim.FAIL:
        failures = f"{evidence.treated_bad} treated chargers and {evidence.controls_bad} controls"
        return f"{name}: treated chargers fail sooner than their controls: {failures} failed first; {odds}"
    metric = plan.metric(name)
    margin = "" if metric is None else f" (margin {metric.margin_ppm / 10_000:g} percentage points)"
    waiting = f", {evidence.pending} outcomes to come" if evidence.pending else ""
    return f"{name}{margin}: {bad} and {controls} were bad{waiting}; {odds}"
