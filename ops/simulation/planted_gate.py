"""Bugs planted into the gate: guard, controls, lease and caps as somebody might write them who means well."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ops.simulation.planting import Planted, replaced
from rollout.domain import permit, presence
from rollout.domain.completion import UNDER_WAY
from rollout.domain.controller import Situation, Step, Wait, next_step
from rollout.domain.judge.cap import CapAnswer, may_grant
from rollout.domain.judge.evidence import Claim
from rollout.domain.judge.plan import CapPlan
from rollout.domain.judge.verdict import Kind, Verdict
from rollout.domain.participation import after_soak_deadline
from rollout.domain.records import Lease, Participation
from rollout.service import controller, deadlines


@contextmanager
def _guard_at_the_end() -> Iterator[None]:
    def wrong(situation: Situation) -> Step | Wait:
        verdict = situation.verdict
        if verdict is None or verdict.kind is not Kind.HALT or not _of_guard(verdict):
            return next_step(situation)
        soaking = any(count and name in UNDER_WAY for (_, name), count in situation.counters.items())
        return next_step(replace(situation, verdict=replace(verdict, kind=Kind.NO_CLAIM)) if soaking else situation)

    with replaced(controller, "next_step", wrong):
        yield


def _of_guard(verdict: Verdict) -> bool:
    """Nothing else halts: no start, and not the rule over the first starts, which has a reason and no evidence."""
    crossed = [one for one in verdict.evidence if one.crossed and one.claim is not Claim.PASS]
    return len(verdict.reasons) == len(crossed) and all(one.claim is Claim.GUARD for one in crossed)


@contextmanager
def _silence_is_good() -> Iterator[None]:
    def wrong(before: Participation, *arguments: Any, **named: Any) -> Participation:
        return replace(after_soak_deadline(before, *arguments, **named), entry=before.entry)

    with replaced(deadlines, "after_soak_deadline", wrong):
        yield


@contextmanager
def _controls_of_any_kind() -> Iterator[None]:
    with replaced(presence, "selects", lambda *_: True):
        yield


@contextmanager
def _fails_open() -> Iterator[None]:
    with replaced(Lease, "holds", lambda *_, **__: True):
        yield


@contextmanager
def _forgetful_cap() -> Iterator[None]:
    def wrong(plan: CapPlan, **counts: int) -> CapAnswer:
        return may_grant(plan, **{**counts, "failed": 0})

    with replaced(permit, "may_grant", wrong):
        yield


GATE_BUGS = (
    Planted("guard-at-the-end", "The guard is read when nobody soaks any more.", "R2", 60, _guard_at_the_end, "hidden"),
    Planted("silence-is-good", "The guard counts silence as good.", "R2", 60, _silence_is_good, "hidden"),
    Planted(
        "controls-of-any-kind",
        "Controls are drawn without the wave's selector.",
        "R2",
        20,
        _controls_of_any_kind,
        "hidden",
    ),
    Planted("fails-open", "A lease that ran out lets permits be given.", "R2", 60, _fails_open, "hidden"),
    Planted("forgetful-cap", "Failed starts give their slots back.", "R2", 60, _forgetful_cap, "hidden"),
)
