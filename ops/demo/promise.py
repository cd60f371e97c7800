"""How many chargers of one part of the fleet a release may reach that lets none of them start. Pure, from the plan.

Rules:
1. As long as nobody of the part came back healthy, its cap counts failures alone: a handful first, then one at a time,
   each after the one before has failed.
2. The judge stops the release at the first reading that knows of enough failures. So many more may become known until
   then as a busy machine needs (`LATE`), and each of them lets one charger more go.
"""

from otacore.errors import Misuse
from rollout.domain.judge.cap import may_grant
from rollout.domain.judge.facts import Watermark
from rollout.domain.judge.groups import ENTERED, FAILED, Group, group_number, start_cell
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.judge.verdict import Kind, judge

LATE = 3
_MOST_FAILURES = 50


def most_reached(plan: JudgePlan, *, stratum: int, wave: int) -> int:
    """Most chargers of that stratum that ever get a permit, when none of them starts and others do well."""
    reached = 0
    for failed in range(failures_needed(plan, stratum=stratum, wave=wave) + LATE):
        while may_grant(plan.cap, in_flight=reached - failed, failed=failed, healthy=0).allowed:
            reached += 1
    return reached


def failures_needed(plan: JudgePlan, *, stratum: int, wave: int) -> int:
    """Fewest failed starts of that stratum with which the judge stops the release. Raises: Misuse."""
    for failures in range(1, _MOST_FAILURES):
        groups = [_failed(plan, stratum, index) for index in range(failures)]
        verdict = judge(plan, (), groups, wave=wave, watermark=Watermark(0))
        if verdict.kind in (Kind.FAIL, Kind.HALT):
            return failures
    raise Misuse("demo.no_promise", "this plan never stops a release that lets nobody start: give it start rows")


def _failed(plan: JudgePlan, stratum: int, index: int) -> Group:
    """One charger that did not come back while its references were heard of."""
    number = group_number(1, index)
    return Group(stratum, number, {ENTERED: 1, FAILED: 1, start_cell(plan.controls, failed=True, silent=0): 1})
