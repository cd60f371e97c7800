"""The entry that a permit makes in the streams over everybody: its group, its stratum, its references."""

from dataclasses import replace

from rollout.domain.judge.entry import Entry, asked_again, entered
from rollout.domain.judge.groups import group_number, part_of_phase, phase_of
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.offer import Charger, stratum_in
from rollout.domain.participation import in_stratum
from rollout.domain.records import Participation, Rollout
from rollout.service.draws import ControlDraw
from rollout.service.ports import Transaction

PART = "part"
"""Counter of the entries of one part of a phase; its number follows, and that of the stratum."""


def make_entry(
    tx: Transaction,
    draw: ControlDraw,
    rollout: Rollout,
    charger: Charger,
    plan: JudgePlan,
    *,
    before: Participation | None,
    now_ms: int,
) -> Entry:
    """Once per (rollout, charger): whoever asks again keeps group and references.

    A group of before a person's resume is read by nobody any more: whoever starts after it only then gets a new one.
    """
    part = part_of_phase(rollout.phase, since_ms=rollout.phase_since_ms, now_ms=now_ms, horizon_ms=plan.horizon_ms)
    if before is not None and before.entry is not None:
        known = asked_again(before.entry)
        if known.start is not None or phase_of(known.group) >= rollout.watched_from:
            return known
        return replace(known, group=group_number(part, _next_index(tx, rollout, part)))
    return entered(
        group=group_number(part, _next_index(tx, rollout, part)),
        stratum=stratum_in(plan, charger, rollout.kind),
        is_counted=_alone_at_its_site(tx, charger, rollout),
        references=draw.references(rollout, charger, plan, now_ms=now_ms),
    )


def _next_index(tx: Transaction, rollout: Rollout, part: int) -> int:
    """Everybody's and the strata's groups are numbered alike, so that one number stands in the charger's row."""
    name = in_stratum(PART, part)
    index = tx.counters(rollout.rollout_id).get((rollout.wave, name), 0)
    tx.add_counter(rollout.rollout_id, wave=rollout.wave, name=name, delta=1)
    return index


def _alone_at_its_site(tx: Transaction, charger: Charger, rollout: Rollout) -> bool:
    places = tx.places_of_site(charger.device.site_id)
    return not any(
        place.rollout_id == rollout.rollout_id and place.device_id != charger.device.device_id for place in places
    )
