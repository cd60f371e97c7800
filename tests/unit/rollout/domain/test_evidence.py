"""The judge's facts as reports and persons change them."""

from dataclasses import replace

from otacore.wire.report import Fact, HealthEvent, Phase, Report
from rollout.domain.evidence import censored, duties, observe, withdrawn
from rollout.domain.judge.facts import Block, CensorReason, Event, StartOutcome
from rollout.domain.judge.plan import UNHEALTHY
from rollout.domain.records import Stage
from tests.fakes.rollout_rows import RUNNING, block
from tests.fakes.rollout_world import judge_draft

PLAN = judge_draft()
ENTERED_MS = 1_000
BLOCK = block(entered_at_ms=ENTERED_MS)
SETTLE_MS, DEADLINE_MS = PLAN.start.settle_ms, PLAN.start.deadline_ms


def _told(
    device_id: str,
    age_ms: int,
    *events: HealthEvent,
    stage: Stage | None = None,
    healthy: bool = True,
    before: Block = BLOCK,
) -> Block:
    report = Report(
        device_id=device_id,
        counter=5,
        boot_id="boot-2",
        fact=Fact.STATE,
        phase=Phase.IDLE,
        healthy=healthy,
        firmware=RUNNING,
        config=None,
        armed_nonce=None,
        events=events,
    )
    return observe(before, device_id, PLAN, now_ms=ENTERED_MS + age_ms, report=report, stage=stage)


def test_all_clocks_of_a_block_start_with_the_permit() -> None:
    """Clocks of their own would make the arms unequal."""
    assert BLOCK.entered_at_ms == ENTERED_MS
    (duty,) = duties(BLOCK, rollout_id="r-1", horizon_ms=PLAN.horizon_ms)
    assert (duty.device_id, duty.entered_at_ms, duty.until_ms) == ("c-2", ENTERED_MS, ENTERED_MS + PLAN.horizon_ms)


def test_a_treated_charger_has_started_when_it_is_kept_and_failed_when_it_fell_back() -> None:
    """An ordinary report of a charger that still boots must not count as a healthy start."""
    assert _told("c-1", 500).treated.start is None
    assert _told("c-1", 500, stage=Stage.ARMED).treated.start is None
    for stage, outcome in ((Stage.KEPT, StartOutcome.HEALTHY), (Stage.REVERTED, StartOutcome.FAILED)):
        start = _told("c-1", 500, stage=stage).treated.start
        assert start is not None
        assert (start.outcome, start.age_ms) == (outcome, 500)


def test_a_charger_that_is_not_healthy_in_its_first_report_after_the_start_has_failed_to_start() -> None:
    """A release that boots and then says that it is broken would count as a good start."""
    for stage in (Stage.KEPT, Stage.CONFIRMED, Stage.SETTLED, Stage.UNWELL):
        start = _told("c-1", 500, stage=stage, healthy=False).treated.start
        assert start is not None
        assert start.outcome is StartOutcome.FAILED
    well = _told("c-1", 500, stage=Stage.KEPT)
    ill = _told("c-1", 600, stage=Stage.KEPT, healthy=False, before=well)
    assert ill.treated.start == well.treated.start, "the first word stands"


def test_poor_health_is_an_event_of_the_charger_in_both_arms() -> None:
    """Counted in one arm alone, chargers that are ill all over the fleet would halt or promote the release."""
    for device_id, one in (("c-1", 0), ("c-2", 1)):
        members = _told(device_id, 700, stage=Stage.ARMED, healthy=False).members()
        assert members[one].events == (Event(UNHEALTHY, 700),)
        assert members[1 - one].events == ()


def test_a_control_is_there_when_it_reports_after_the_time_of_a_restart() -> None:
    """Sooner it says nothing of an outage that began while the treated charger restarted."""
    (early,) = _told("c-2", SETTLE_MS - 1).controls
    (there,) = _told("c-2", SETTLE_MS).controls
    assert early.start is None
    assert there.start is not None


def test_failures_stand_at_the_age_at_which_they_happened() -> None:
    """By the age of the report the arm that reports faster would look worse."""
    block_ = _told("c-2", 9_000, HealthEvent("h7", 4_000, "x"), HealthEvent("h7", 10_000, "before the block"))
    (control,) = block_.controls
    assert control.events == (Event("h7", 5_000),)
    assert control.known_through_ms == 9_000
    assert block_.treated == BLOCK.treated


def test_a_block_is_withdrawn_only_before_its_start_deadline() -> None:
    """Afterwards a verdict may have read the failed start, and evidence must not vanish."""
    assert withdrawn(BLOCK, PLAN, now_ms=ENTERED_MS + DEADLINE_MS).withdrawn
    assert not withdrawn(BLOCK, PLAN, now_ms=ENTERED_MS + DEADLINE_MS + 1).withdrawn
    started = _told("c-1", 500, stage=Stage.KEPT)
    assert not withdrawn(started, PLAN, now_ms=ENTERED_MS + 600).withdrawn


def test_whoever_stops_being_a_member_is_known_until_then_and_no_longer() -> None:
    """A control that got a release itself would be compared as if it had not."""
    gone = censored(BLOCK, "c-2", CensorReason.OUT_OF_SERVICE, now_ms=ENTERED_MS + 700)
    (control,) = gone.controls
    assert (control.censored_ms, control.censor_reason) == (700, CensorReason.OUT_OF_SERVICE)
    (after,) = _told("c-2", 900, HealthEvent("h7", 1, "x"), before=gone).controls
    assert after == control
    assert censored(BLOCK, "c-9", CensorReason.QUARANTINED, now_ms=5) == replace(BLOCK)
