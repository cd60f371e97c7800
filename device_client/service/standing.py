"""How one charger stands, read from its records alone: for a person or a program, with or without a running agent."""

from dataclasses import dataclass

from device_client.domain.boot import BootRecord
from device_client.domain.journal import Journal, PolicyMemory
from device_client.domain.slots import SlotName, SlotPair
from otacore.wire.release import ReleaseKind


@dataclass(frozen=True, slots=True)
class SlotStanding:
    """One slot in words."""

    kind: str
    slot: str
    status: str
    version: str | None
    release_digest: str | None
    tries_left: int
    is_primary: bool
    is_running: bool
    is_on_trial: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """All that the records say."""

    device_id: str
    enrolled: bool
    boots: int
    slots: tuple[SlotStanding, ...]
    job: str | None
    """What the agent is about, such as `install firmware 1.2.0, fetching, 8388608 of 67108864 bytes`."""
    highest_firmware: str | None
    highest_config: str | None
    failed: tuple[str, ...]
    """Releases that are not tried again: digest and why."""
    reports_waiting: int
    report_counter: int
    security_floor: int


def standing(*, device_id: str, enrolled: bool, boot: BootRecord, journal: Journal, policy: PolicyMemory) -> Standing:
    """Put the three records into one view."""
    return Standing(
        device_id=device_id,
        enrolled=enrolled,
        boots=boot.boots,
        slots=tuple(_slot(kind, name, boot.pair(kind)) for kind in ReleaseKind for name in SlotName),
        job=_job(journal),
        highest_firmware=journal.highest_firmware,
        highest_config=journal.highest_config,
        failed=tuple(f"{entry.release_digest} {entry.code}" for entry in journal.failed),
        reports_waiting=len(journal.notices) + (journal.unsent is not None),
        report_counter=journal.counter,
        security_floor=policy.security_floor,
    )


def in_words(view: Standing) -> str:
    """The view for a terminal."""
    lines = [f"{view.device_id}: {'enrolled' if view.enrolled else 'not enrolled'}, {view.boots} boots"]
    for slot in view.slots:
        marks = [
            word
            for word, holds in (("primary", slot.is_primary), ("running", slot.is_running), ("trial", slot.is_on_trial))
            if holds
        ]
        content = "" if slot.version is None else f" {slot.version}"
        lines.append(f"{slot.kind} {slot.slot}: {slot.status}{content} {' '.join(marks)}".rstrip())
    lines.append(f"job: {view.job or 'none'}")
    lines.append(f"reports waiting: {view.reports_waiting}; security floor: {view.security_floor}")
    lines.extend(f"not tried again: {entry}" for entry in view.failed)
    return "\n".join(lines)


def _slot(kind: ReleaseKind, name: SlotName, pair: SlotPair) -> SlotStanding:
    slot = pair.slot(name)
    return SlotStanding(
        kind=kind,
        slot=name,
        status=slot.status,
        version=None if slot.image is None else slot.image.version,
        release_digest=None if slot.image is None else slot.image.release_digest,
        tries_left=slot.tries_left,
        is_primary=pair.primary is name and slot.image is not None,
        is_running=pair.booted is name,
        is_on_trial=pair.trial is not None and pair.trial.slot is name,
    )


def _job(journal: Journal) -> str | None:
    job = journal.job
    if job is None:
        return None
    come = f"{job.reached_bytes} of {job.image.length_bytes} bytes"
    return f"{job.purpose} {job.kind} {job.image.version}, {job.stage}, {come}"
