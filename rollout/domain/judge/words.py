"""Evidence as a sentence, with its numbers: what an operator reads."""

from rollout.domain.judge.capital import in_words as odds_in_words
from rollout.domain.judge.evidence import Claim, Evidence
from rollout.domain.judge.guard import GUARD
from rollout.domain.judge.plan import SILENCE, UNHEALTHY, JudgePlan
from rollout.domain.judge.starts import CONCURRENT_P0_PPM, START

_PPM_OF_PERCENT = 10_000
_BAD = {SILENCE: "fell silent", UNHEALTHY: "were not healthy, or ran other bytes than were signed"}


def in_words(plan: JudgePlan, evidence: Evidence, *, wave: int = 0) -> str:
    """The sentence. `wave`: whose margins PASS evidence was read with."""
    odds = f"evidence {odds_in_words(evidence.capital)}, {odds_in_words(evidence.threshold)} needed"
    stream, _, name = evidence.stream.partition(":")
    if stream.startswith(START):
        return f"{_of_starts(plan, evidence, name)}; {odds}"
    if evidence.claim is Claim.GUARD:
        return f"{_of_guard(plan, evidence, name)}; {odds}"
    if evidence.claim is Claim.FAIL:
        failures = f"{evidence.treated_bad} treated chargers and {evidence.controls_bad} controls"
        return f"{name}: treated chargers fail sooner than their controls: {failures} failed first; {odds}"
    metric = next((one for one in plan.metrics_of(wave) if one.metric == name), None)
    margin = "" if metric is None else f" (margin {metric.margin_ppm / _PPM_OF_PERCENT:g} percentage points)"
    waiting = f", {evidence.pending} outcomes to come" if evidence.pending else ""
    bad = f"{evidence.treated_bad} of {evidence.treated_known} treated chargers"
    controls = f"{evidence.controls_bad} of {evidence.controls_known} controls"
    return f"{name}{margin}: {bad} and {controls} were bad{waiting}; {odds}"


def _of_starts(plan: JudgePlan, evidence: Evidence, stratum: str) -> str:
    p0_ppm = max(plan.start.p0_ppm, CONCURRENT_P0_PPM) if " " in evidence.stream else plan.start.p0_ppm
    declared = "" if " " in evidence.stream else "the declared "
    allowed = f"{declared}{p0_ppm / _PPM_OF_PERCENT:g} %"
    bad = f"{evidence.treated_bad} of {evidence.blocks} chargers did not come back healthy in time"
    silent = f"{evidence.controls_bad} of {evidence.controls_known} references were silent"
    return f"start{_stratum(plan, stratum)}: {bad}, {silent}; more than {allowed} allow"


def _of_guard(plan: JudgePlan, evidence: Evidence, name: str) -> str:
    metric, _, stratum = name.partition(":")
    ceiling = plan.ceilings_ppm[metric] / _PPM_OF_PERCENT
    what = _BAD.get(metric, "had an event within their soak")
    bad = f"{evidence.treated_bad} of {evidence.blocks} chargers {what}"
    return f"{GUARD} {metric}{_stratum(plan, stratum)}: {bad}, more than the ceiling of {ceiling:g} % allows"


def _stratum(plan: JudgePlan, number: str) -> str:
    if not number:
        return ""
    stratum = plan.strata[int(number) - 1]
    return f" of {stratum.hardware} in {stratum.site_class} from {stratum.from_version}"
