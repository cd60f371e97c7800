"""Reading from a transaction what the pure predicates want to see: a charger, a rollout as offered to it, its site."""

from collections.abc import Iterator

from otacore.errors import Broken, Misuse
from otacore.wire.release import ReleaseKind
from rollout.domain.fleet import Device, Site
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.offer import UNDECIDED, Charger, Offering, Work
from rollout.domain.place import Mate
from rollout.domain.records import Duty, Lease, Participation, Release, Rollout
from rollout.service.ports import RepositoryFacts, Transaction


def require_rollout(tx: Transaction, rollout_id: str) -> Rollout:
    """The rollout. Raises: Misuse("rollout.unknown")."""
    rollout = tx.rollout(rollout_id)
    if rollout is None:
        raise Misuse("rollout.unknown", f"there is no rollout {rollout_id!r}")
    return rollout


def require_device(tx: Transaction, device_id: str) -> Device:
    """The charger. Raises: Misuse("device.unknown")."""
    device = tx.device(device_id)
    if device is None:
        raise Misuse("device.unknown", f"no charger {device_id!r} is registered")
    return device


def site_of(tx: Transaction, device: Device) -> Site:
    """The charger's site. Raises: Broken("site.missing")."""
    site = tx.site(device.site_id)
    if site is None:
        raise Broken("site.missing", f"charger {device.device_id} stands on site {device.site_id}, which is gone")
    return site


def lease_of_rollout(tx: Transaction, rollout_id: str) -> Lease | None:
    """The lease; one that cannot be read is none: the gate is closed, and the next reading writes it anew."""
    try:
        return tx.lease(rollout_id)
    except Broken:
        return None


def release_of(tx: Transaction, rollout: Rollout) -> Release:
    """The rollout's release. Raises: Broken("release.missing")."""
    release = tx.release(rollout.release_digest)
    if release is None:
        raise Broken("release.missing", f"the release of rollout {rollout.rollout_id} is gone")
    return release


def plan_of(tx: Transaction, rollout_id: str) -> JudgePlan:
    """The judge's plan of a planned rollout. Raises: Broken("plan.missing")."""
    plan = tx.judge_plan(rollout_id)
    if plan is None:
        raise Broken("plan.missing", f"rollout {rollout_id} was started, but its plan is gone")
    return plan


def charger_of(tx: Transaction, device: Device) -> Charger:
    """All that the predicates read of a charger."""
    return Charger(
        device=device,
        site=site_of(tx, device),
        mates=tx.devices_of_site(device.site_id),
        state=tx.state(device.device_id),
        work=work_of(tx, device.device_id),
        duty=duty_of(tx, device.device_id),
    )


def duty_of(tx: Transaction, device_id: str) -> Duty | None:
    """The charger's duty as a control, while its rollout is still judged: a decided one needs no controls."""
    duty = tx.duty(device_id)
    if duty is None or require_rollout(tx, duty.rollout_id).state not in UNDECIDED:
        return None
    return duty


def work_of(tx: Transaction, device_id: str) -> tuple[Work, ...]:
    """What the charger runs or may run, and where those rollouts stand."""
    parts = parts_of(tx, device_id)
    return tuple(Work(part, require_rollout(tx, part.rollout_id).state) for part in parts)


def parts_of(tx: Transaction, device_id: str) -> tuple[Participation, ...]:
    """The newest attempt of each slot pair, and what the charger says it runs.

    An attempt that came to nothing must not hide the release that still runs below it.
    """
    newest = (tx.running_participation(device_id, kind) for kind in ReleaseKind)
    found = (*newest, *_attested_parts(tx, device_id))
    return tuple({part.rollout_id: part for part in found if part is not None}.values())


def _attested_parts(tx: Transaction, device_id: str) -> Iterator[Participation | None]:
    state = tx.state(device_id)
    if state is None:
        return
    for kind in ReleaseKind:
        running = state.running(kind)
        for rollout in () if running is None else tx.rollouts_of(running.release_digest):
            yield tx.participation(rollout.rollout_id, device_id)


def offering_of(tx: Transaction, rollout: Rollout, device_id: str, facts: RepositoryFacts | None) -> Offering:
    """A rollout as far as one charger is concerned. Without the repository's facts nothing counts as stopped there."""
    planned = tx.planned_charger(rollout.rollout_id, device_id)
    return Offering(
        rollout=rollout,
        release=release_of(tx, rollout),
        waves=tx.waves(rollout.rollout_id),
        named={device_id: planned.wave} if planned is not None and planned.is_named else {},
        latches=tx.latches(),
        stopped=frozenset() if facts is None else facts.stopped | facts.revoked,
    )


def closed_releases(tx: Transaction, facts: RepositoryFacts, digest: str | None) -> frozenset[str]:
    """Stopped and revoked releases by the repository's lists, and `digest` when it was stopped here."""
    release = None if digest is None else tx.release(digest)
    here = {release.digest} if release is not None and release.stopped_at_ms is not None else set()
    return facts.stopped | facts.revoked | here


def mates_of(tx: Transaction, charger: Charger) -> tuple[Mate, ...]:
    """The chargers of its site as far as places are concerned."""
    return tuple(_mate(tx, device) for device in charger.mates)


def _mate(tx: Transaction, device: Device) -> Mate:
    state, seen = tx.state(device.device_id), tx.seen(device.device_id)
    heard_ms = max(0 if state is None else state.received_at_ms, 0 if seen is None else seen.at_ms)
    return Mate(device, state, heard_ms)
