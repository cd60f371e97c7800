"""Finding the controls of a block, and the references of a start: from process memory, drawn by keyed hash.

Controls are verified in the transaction. References have no duty, and one that is a poor choice costs evidence only.

Who is idle, in its window and heard of within one poll is known from polls only; everything else is asked again over
fresh rows before a draw stands. Small strata are looked through whole; of large ones a keyed sample, so that the cost
of a permit does not grow with the fleet.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rollout.domain.judge.draw import Candidate, draw_controls
from rollout.domain.judge.facts import Block
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.offer import Charger, Offering, open_wave_of
from rollout.domain.planning import stratum
from rollout.domain.presence import may_refer, may_serve
from rollout.domain.records import Rollout, Wave
from rollout.service.ports import Transaction
from rollout.service.snapshot import charger_of
from rollout.service.view import FleetView

LOOKED_THROUGH_WHOLE = 512
SAMPLED = 256
LOTS_OF_REFERENCES = 32
"""So many chargers are looked at for the references of one start."""
POLLS_OF_SILENCE = 2
"""A charger counts as here within one poll interval; twice that, because polls come with jitter."""


class ControlDraw:
    """The draw, over the fleet as this process heard it."""

    def __init__(self, view: FleetView, *, poll_after_s: int) -> None:
        self._view = view
        self._poll_ms = POLLS_OF_SILENCE * poll_after_s * 1000

    @property
    def heard_ms(self) -> int:
        """Within this time every charger that is there polls."""
        return self._poll_ms

    def references(self, rollout: Rollout, treated: Charger, plan: JudgePlan, *, now_ms: int) -> tuple[str, ...]:
        """Up to `plan.controls` chargers of the stratum that were just heard of and do not restart now.

        Such a one runs its old release, or the new one since long; of another site, unless the fleet is small.
        """
        numbers = self._view.numbers_of_stratum(stratum(treated.device, treated.site))
        found: dict[str, None] = {}
        for number in _lots(numbers, f"{rollout.draw_salt}\n{treated.device.device_id}", LOTS_OF_REFERENCES):
            seat, presence = self._view.seat(number), self._view.presence(number)
            other = seat.device.device_id != treated.device.device_id
            away = plan.own_site_controls or seat.device.site_id != treated.device.site_id
            if other and away and may_refer(seat.device, seat.participations, presence, now_ms, poll_ms=self._poll_ms):
                found[seat.device.device_id] = None
            if len(found) == plan.controls:
                break
        return tuple(found)

    def draw(
        self, tx: Transaction, offering: Offering, treated: Charger, plan: JudgePlan, *, block_number: int, now_ms: int
    ) -> tuple[Candidate, ...]:
        """Up to `plan.controls` controls for the block, each of them fit to serve by fresh rows."""
        rollout = offering.rollout
        pool = {
            candidate.device_id: candidate for candidate in self._candidates(offering, treated, block_number, now_ms)
        }
        busy = _busy_sites(tx, rollout.rollout_id, entered_after_ms=now_ms - plan.horizon_ms)
        while True:
            drawn = draw_controls(
                pool.values(),
                salt=bytes.fromhex(rollout.draw_salt),
                block_number=block_number,
                treated=Candidate(treated.device.device_id, treated.device.site_id),
                count=plan.controls,
                busy_sites=busy,
                own_site_controls=plan.own_site_controls,
            )
            unfit = [
                one.device_id for one in drawn.controls if not self._still_fits(tx, offering, treated, one, now_ms)
            ]
            if not unfit:
                return drawn.controls
            for device_id in unfit:
                del pool[device_id]  # each round makes the pool smaller, so it ends

    def still_fit(
        self, tx: Transaction, offering: Offering, treated: Charger, block: Block, *, now_ms: int
    ) -> tuple[Candidate, ...]:
        """Those controls of a withdrawn block that may serve in it again."""
        drawn = (Candidate(control.device_id, control.site_id) for control in block.controls)
        return tuple(one for one in drawn if self._still_fits(tx, offering, treated, one, now_ms))

    def _candidates(self, offering: Offering, treated: Charger, block_number: int, now_ms: int) -> Iterator[Candidate]:
        wave = _wave_of(offering, treated)
        numbers = self._view.numbers_of_stratum(stratum(treated.device, treated.site))
        for number in _sample(numbers, offering.rollout.draw_salt, block_number):
            charger = self._view.charger(number)
            presence = self._view.presence(number)
            if may_serve(offering, charger, presence, wave=wave, now_ms=now_ms, poll_ms=self._poll_ms):
                yield Candidate(charger.device.device_id, charger.device.site_id)

    def _still_fits(
        self, tx: Transaction, offering: Offering, treated: Charger, candidate: Candidate, now_ms: int
    ) -> bool:
        device = tx.device(candidate.device_id)
        number = self._view.number_of(candidate.device_id)
        if device is None or number is None:
            return False
        planned = tx.planned_charger(offering.rollout.rollout_id, candidate.device_id)
        if planned is not None and planned.is_judged and planned.wave <= offering.rollout.wave:
            return False  # it is to be the treated charger of a block of its own
        named = {candidate.device_id: planned.wave} if planned is not None and planned.is_named else {}
        fresh = replace(offering, named=named)
        presence = self._view.presence(number)
        charger = charger_of(tx, device)
        alike = stratum(charger.device, charger.site) == stratum(treated.device, treated.site)
        wave = _wave_of(offering, treated)
        return alike and may_serve(fresh, charger, presence, wave=wave, now_ms=now_ms, poll_ms=self._poll_ms)


def _busy_sites(tx: Transaction, rollout_id: str, *, entered_after_ms: int) -> frozenset[str]:
    blocks = tx.blocks(rollout_id, entered_after_ms=entered_after_ms)
    return frozenset(member.site_id for block in blocks if not block.withdrawn for member in block.members())


def _wave_of(offering: Offering, treated: Charger) -> Wave:
    number = open_wave_of(offering, treated) or offering.rollout.wave
    return offering.waves[number - 1]


def _sample(numbers: Sequence[int], salt: str, block_number: int) -> Iterator[int]:
    """All of a small stratum; of a large one the same number of keyed places."""
    if len(numbers) <= LOOKED_THROUGH_WHOLE:
        yield from tuple(numbers)
        return
    yield from _lots(numbers, f"{salt}\n{block_number}", SAMPLED)


def _lots(numbers: Sequence[int], salt: str, lots: int) -> Iterator[int]:
    """Keyed places of a stratum, without repetition."""
    if not numbers:
        return
    seen: set[int] = set()
    for turn in range(lots):
        lot = hashlib.sha256(f"{salt}\n{turn}".encode()).digest()
        index = int.from_bytes(lot[:8], "big") % len(numbers)
        if index not in seen:
            seen.add(index)
            yield from numbers[index : index + 1]  # another thread may have made it shorter
