"""A charger that a person takes out of service is not waited for; one that comes back is again.

Plans count who can come. What is said after the plan is counted here, for each rollout that is under way and means the
charger: a wave is decided when enough of those are who can still come.
"""

from rollout.domain.completion import GONE
from rollout.domain.fleet import Device
from rollout.domain.offer import UNDECIDED
from rollout.domain.wave import could_get, selects, wave_of
from rollout.service.ports import Transaction
from rollout.service.snapshot import charger_of, release_of

MAX_ROLLOUTS = 1000


def note_service(tx: Transaction, device: Device, *, gone: bool) -> None:
    """The charger went out of service, or came back. `device`: as it is while in service."""
    charger = charger_of(tx, device)
    for rollout in tx.rollouts_in(UNDECIDED, limit=MAX_ROLLOUTS):
        release, rollout_id = release_of(tx, rollout), rollout.rollout_id
        meant = could_get(device, release) and selects(rollout.selector, device, charger.site)
        if not meant or tx.participation(rollout_id, device.device_id) is not None:
            continue
        waves, planned = tx.waves(rollout_id), tx.planned_charger(rollout_id, device.device_id)
        wave = wave_of(
            device,
            site=charger.site,
            mates=charger.mates,
            rollout=rollout,
            release=release,
            waves=waves,
            named_wave=planned.wave if planned is not None and planned.is_named else None,
            through=len(waves),
        )
        if wave is not None:
            tx.add_counter(rollout_id, wave=wave, name=GONE, delta=1 if gone else -1)
