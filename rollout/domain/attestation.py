"""What a signed report changes about the charger itself: attested state, confirmation history, highest versions.

Pure. Only a report later than all that were taken before changes the state; an older one still tells its fact.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from otacore.ids import version_key
from otacore.wire.release import ReleaseKind
from otacore.wire.report import MAX_EVENTS, UNMEASURED, Fact, HealthEvent, Report, Running
from rollout.domain.fleet import Confirmation, DeviceState
from rollout.domain.records import PermitRow

VERSION_TRUTH = "h2"


def as_measured(report: Report, signed: Mapping[str, str]) -> Report:
    """The report held against what was signed; `signed`: the image's digest of each release that is known here.

    A charger whose slot does not hold its release's bytes is not healthy, whatever it says of itself (R3); other bytes
    than the signed ones are a failure of version truth besides.
    """
    running = (report.firmware,) if report.config is None else (report.firmware, report.config)
    untrue = [one for one in running if signed.get(one.release_digest, one.image_sha256) != one.image_sha256]
    if not untrue:
        return report
    told = tuple(
        HealthEvent(VERSION_TRUTH, 0, f"{one.version} is not what was signed")
        for one in untrue
        if one.image_sha256 != UNMEASURED
    )
    return replace(report, healthy=False, events=(*report.events, *told)[-MAX_EVENTS:])


def is_in_order(before: DeviceState | None, report: Report) -> bool:
    """True when no later report of this charger was taken before."""
    return before is None or report.counter > before.counter


def attested(before: DeviceState | None, report: Report, *, now_ms: int) -> DeviceState:
    """The charger's state once this report, in order, is known."""
    return DeviceState(
        device_id=report.device_id,
        counter=report.counter,
        boot_id=report.boot_id,
        phase=report.phase,
        healthy=report.healthy,
        firmware=report.firmware,
        config=report.config,
        armed_nonce=report.armed_nonce,
        received_at_ms=now_ms,
        highest_firmware=_highest(None if before is None else before.highest_firmware, report.firmware),
        highest_config=_highest(None if before is None else before.highest_config, report.config),
        failed_digests=() if before is None else before.failed_digests,
    )


def confirmations(state: DeviceState, newest: dict[ReleaseKind, Confirmation | None]) -> Iterator[Confirmation]:
    """Entries that the history lacks: what is confirmed now and was not the newest entry, also after going back."""
    for kind in ReleaseKind:
        running, last = state.running(kind), newest[kind]
        if running is None or not running.confirmed:
            continue
        if last is None or last.release_digest != running.release_digest:
            yield Confirmation(
                device_id=state.device_id,
                kind=kind,
                sequence=1 if last is None else last.sequence + 1,
                release_digest=running.release_digest,
                version=running.version,
                confirmed_at_ms=state.received_at_ms,
            )


def settles(permit: PermitRow, report: Report) -> bool:
    """True when the report tells how the permit ended: made after it was asked for, and nothing is armed under it."""
    if report.fact is Fact.DISARMED and report.nonce == permit.nonce:
        return True
    return report.counter > permit.request_counter and report.armed_nonce != permit.nonce


def with_failed(state: DeviceState, digest: str, *, limit: int) -> DeviceState:
    """The state that also remembers this release as failed here; the oldest are forgotten first."""
    if digest in state.failed_digests:
        return state
    return replace(state, failed_digests=(*state.failed_digests, digest)[-limit:])


def _highest(before: str | None, running: Running | None) -> str | None:
    if running is None or not running.confirmed:
        return before
    if before is None or version_key(running.version) > version_key(before):
        return running.version
    return before
