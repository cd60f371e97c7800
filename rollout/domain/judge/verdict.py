"""The verdict over a wave: pass, fail, halt, undecided, or no claim at all, with everything needed to compute it again.

It does not advance, halt or roll back; the controller does. Hard rules (safety trips) stand outside.

Rules:
1. FAIL wins over HALT, and both over PASS. They run over the whole rollout, PASS over the blocks of the wave.
   FAIL: a concurrent comparison says so, hence the release is taken back: a soak metric; or too many starts failed, and
   references agree against "3 % or less" (`starts.py`). HALT: too many starts failed without that, or the guard.
2. PASS needs every metric with a margin that is not switched off, each at full alpha. Nothing judged is never a pass.
3. A wave that was planned without a claim answers NO_CLAIM in so many words, unless FAIL or HALT evidence stands.
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
from rollout.domain.judge.everybody import Watched, lab_reasons, watch
from rollout.domain.judge.evidence import Claim, Evidence
from rollout.domain.judge.facts import Block, Watermark
from rollout.domain.judge.groups import Group, written
from rollout.domain.judge.plan import JudgePlan, WavePlan
from rollout.domain.judge.streams import pass_evidence, soak_evidence
from rollout.domain.judge.words import in_words

RULE = "tidegate-judge/2"
"""Names streams, readings, rounding and order of decision; any change of a number for equal facts is a new rule."""
MAX_BLOCKS = 25_600
"""400 judged units in each of 64 waves: one block for each, drawn once, so no charger can make more of them."""


class Kind(StrEnum):
    """What the evidence says of the wave."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    HALT = "halt"
    """Too many are bad, and nothing shows that the release did it: no more permits, and a person is asked."""
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
    units_gone: int = 0
    rule: str = RULE


@dataclass(frozen=True, slots=True)
class Recomputed:
    """Answer of `recompute`."""

    equal: bool
    differences: tuple[str, ...]
    """Names of the fields that differ."""


def judge(
    plan: JudgePlan,
    blocks: Sequence[Block],
    groups: Sequence[Group],
    *,
    wave: int,
    watermark: Watermark,
    units_gone: int = 0,
) -> Verdict:
    """Judge a wave from all blocks and groups of the rollout, as far as known at the watermark.

    `units_gone`: judged units of the wave that have not come and will not.

    Raises: Misuse("judge.unknown_wave"), Broken("judge.bad_facts").
    """
    planned = plan.wave(wave)
    if planned is None:
        raise Misuse("judge.unknown_wave", f"wave {wave} is not in the judge's plan; plan the rollout again")
    ordered = _in_entry_order(plan, blocks)
    watched = watch(plan, groups)
    soak = tuple(soak_evidence(plan, metric, ordered, watermark) for metric in plan.active_metrics)
    passing = _passing(plan, [block for block in ordered if block.wave == wave], watermark, wave=wave)
    kind, reasons = _harm(plan, watched, soak) or _promotion(plan, planned, passing)
    return Verdict(
        kind=kind,
        wave=wave,
        reasons=reasons,
        evidence=(*watched.evidence, watched.concurrent, *soak, *passing),
        exhausted=kind is Kind.UNDECIDED and _is_exhausted(planned, passing, units_gone),
        watermark=watermark,
        plan_digest=plan.digest(),
        facts_digest=facts_digest(ordered, groups),
        facts_blocks=len(ordered),
        units_gone=units_gone,
    )


def recompute(stored: Verdict, plan: JudgePlan, blocks: Sequence[Block], groups: Sequence[Group]) -> Recomputed:
    """Judge again from the stored facts; equal means every integer and every word. Raises: as `judge`."""
    again = judge(plan, blocks, groups, wave=stored.wave, watermark=stored.watermark, units_gone=stored.units_gone)
    differing = tuple(
        field.name for field in fields(Verdict) if getattr(stored, field.name) != getattr(again, field.name)
    )
    return Recomputed(equal=not differing, differences=differing)


def facts_digest(blocks: Sequence[Block], groups: Sequence[Group]) -> str:
    """SHA-256 over the canonical bytes of the blocks, then of the groups, in the order of entry, one line each."""
    hasher = hashlib.sha256()
    for block in blocks:
        hasher.update(encode(block) + b"\n")
    for group in sorted(groups, key=lambda one: (one.stratum, one.number)):
        hasher.update(written(group).encode() + b"\n")
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


def _passing(plan: JudgePlan, blocks: Sequence[Block], watermark: Watermark, *, wave: int) -> tuple[Evidence, ...]:
    return tuple(pass_evidence(plan, metric, blocks, watermark) for metric in plan.metrics_of(wave))


def _harm(plan: JudgePlan, watched: Watched, soak: Sequence[Evidence]) -> tuple[Kind, tuple[str, ...]] | None:
    compared = [evidence for evidence in soak if evidence.crossed]
    if compared:
        return Kind.FAIL, tuple(in_words(plan, evidence) for evidence in compared)
    crossed = [evidence for evidence in watched.evidence if evidence.crossed]
    reasons = [in_words(plan, evidence) for evidence in crossed]
    if watched.first_starts is not None:
        rule = watched.first_starts
        reasons.insert(0, f"{rule.failed} of the first {rule.of_first} chargers did not come back healthy")
    if plan.lab and not reasons:
        reasons = [*lab_reasons(watched)]
    if not reasons:
        return None
    of_starts = watched.first_starts is not None or any(evidence.claim is Claim.FAIL for evidence in crossed)
    if of_starts and watched.concurrent.crossed:
        return Kind.FAIL, (*reasons, in_words(plan, watched.concurrent))
    return Kind.HALT, tuple(reasons)


def _promotion(plan: JudgePlan, planned: WavePlan, passing: Sequence[Evidence]) -> tuple[Kind, tuple[str, ...]]:
    if not planned.makes_claim:
        return Kind.NO_CLAIM, (f"wave {planned.wave} makes no claim: {planned.why}",)
    if not passing:
        return Kind.NO_CLAIM, (f"wave {planned.wave} makes no claim: no metric with a margin is switched on",)
    lacking = [evidence for evidence in passing if not evidence.crossed]
    if lacking:
        return Kind.UNDECIDED, tuple(in_words(plan, evidence, wave=planned.wave) for evidence in lacking)
    return Kind.PASS, tuple(in_words(plan, evidence, wave=planned.wave) for evidence in passing)


def _is_exhausted(planned: WavePlan, passing: Sequence[Evidence], units_gone: int) -> bool:
    units = planned.judged_units - units_gone
    return all(evidence.pending == 0 and evidence.blocks >= units for evidence in passing)
