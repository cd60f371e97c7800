"""What a charger measured in its slot, held against what was signed."""

from dataclasses import replace

from otacore.wire.report import MAX_EVENTS, UNMEASURED, Fact, HealthEvent, Phase, Report
from rollout.domain.attestation import as_measured
from rollout.domain.health import CATALOGUE
from tests.fakes.rollout_rows import DIGEST, OTHER_DIGEST, RUNNING

TRUE = replace(RUNNING, release_digest=DIGEST, image_sha256=OTHER_DIGEST)
OTHER = replace(TRUE, image_sha256="ab" * 32)
SIGNED = {DIGEST: OTHER_DIGEST}
REPORT = Report(
    device_id="c-1",
    counter=1,
    boot_id="boot",
    fact=Fact.STATE,
    phase=Phase.IDLE,
    healthy=True,
    firmware=TRUE,
    config=None,
    armed_nonce=None,
    events=(),
)


def test_who_runs_what_was_signed_is_taken_at_its_word() -> None:
    """A check that is wrong about good chargers would stop every rollout."""
    for good in (REPORT, replace(REPORT, config=TRUE), replace(REPORT, healthy=False)):
        assert as_measured(good, SIGNED) == good
    assert as_measured(replace(REPORT, firmware=OTHER), {}) == replace(REPORT, firmware=OTHER), "unknown here"


def test_other_bytes_than_the_signed_ones_are_no_health() -> None:
    """R3: a slot that was tampered with, or rots, would count as a success."""
    for untrue in (replace(REPORT, firmware=OTHER), replace(REPORT, config=OTHER)):
        read = as_measured(untrue, SIGNED)
        assert not read.healthy
        assert [event.metric for event in read.events] == ["h2"]
        assert CATALOGUE["h2"].judged


def test_what_could_not_be_read_is_no_health_and_no_lie() -> None:
    """R3 again: "not measured" proves neither success nor another version."""
    read = as_measured(replace(REPORT, firmware=replace(TRUE, image_sha256=UNMEASURED)), SIGNED)
    assert (read.healthy, read.events) == (False, ())


def test_a_full_report_has_room_for_it() -> None:
    """A charger could else hide it behind its own events."""
    full = tuple(HealthEvent("h7", number, "") for number in range(MAX_EVENTS))
    read = as_measured(replace(REPORT, firmware=OTHER, events=full), SIGNED)
    assert len(read.events) == MAX_EVENTS
    assert read.events[-1].metric == "h2"
