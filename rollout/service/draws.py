"""Finding the controls of a block: candidates from process memory, drawn by keyed hash, verified in the transaction.

Who is idle, in its window and heard of within one poll is known from polls only; everything else is asked again over
fresh rows before a draw stands. Small strata are looked through whole; of large ones a keyed sample, so that the cost
of a permit does not grow with the fleet.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rollout.domain.judge.draw import Candidate, draw_controls
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.offer import Charger, Offering
from rollout.domain.planning import stratum
from rollout.domain.presence import may_serve
from rollout.service.ports import Transaction
from rollout.service.snapshot import charger_of
from rollout.service.view import FleetView

LOOKED_THROUGH_WHOLE = 512
SAMPLED = 256
POLLS_OF_SILENCE = 2
"""A charger counts as here within one poll interval; twice that, because polls come with jitter."""


class ControlDraw:
    """The draw, over the fleet as this process heard it."""

    def __init__(self, view: FleetView, *, poll_after_s: int) -> None:
        self._view = view
        self._poll_ms = POLLS_OF_SILENCE * poll_after_s * 1000

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

    def _candidates(self, offering: Offering, treated: Charger, block_number: int, now_ms: int) -> Iterator[Candidate]:
        numbers = self._view.numbers_of_stratum(stratum(treated.device, treated.site))
        for number in _sample(numbers, offering.rollout.draw_salt, block_number):
            charger = self._view.charger(number)
            presence = self._view.presence(number)
            if may_serve(offering, charger, presence, now_ms=now_ms, poll_ms=self._poll_ms):
                yield Candidate(charger.device.device_id, charger.device.site_id)

    def _still_fits(
        self, tx: Transaction, offering: Offering, treated: Charger, candidate: Candidate, now_ms: int
    ) -> bool:
        device = tx.device(candidate.device_id)
        number = self._view.number_of(candidate.device_id)
        if device is None or number is None:
            return False
        planned = tx.planned_charger(offering.rollout.rollout_id, candidate.device_id)
        named = {candidate.device_id: planned.wave} if planned is not None and planned.is_named else {}
        fresh = replace(offering, named=named)
        presence = self._view.presence(number)
        charger = charger_of(tx, device)
        alike = stratum(charger.device, charger.site) == stratum(treated.device, treated.site)
        return alike and may_serve(fresh, charger, presence, now_ms=now_ms, poll_ms=self._poll_ms)


def _busy_sites(tx: Transaction, rollout_id: str, *, entered_after_ms: int) -> frozenset[str]:
    blocks = tx.blocks(rollout_id, entered_after_ms=entered_after_ms)
    return frozenset(member.site_id for block in blocks if not block.withdrawn for member in block.members())


def _sample(numbers: Sequence[int], salt: str, block_number: int) -> Iterator[int]:
    """All of a small stratum; of a large one the same number of keyed places, without repetition."""
    if len(numbers) <= LOOKED_THROUGH_WHOLE:
        yield from tuple(numbers)
        return
    seen: set[int] = set()
    for turn in range(SAMPLED):
        lot = hashlib.sha256(f"{salt}\n{block_number}\n{turn}".encode()).digest()
        index = int.from_bytes(lot[:8], "big") % len(numbers)
        if index not in seen:
            seen.add(index)
            yield from numbers[index : index + 1]  # another thread may have made it shorter
