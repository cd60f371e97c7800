"""What a dry run reads of a rollout: its stored plan, and the shape of the fleet that could get the release.

One pass over the product's chargers; the computation itself runs with whoever asked (`tidegate rollout simulate`).
"""

from collections.abc import Iterator

from otacore.clock import Clock
from otacore.errors import Misuse
from rollout.domain.dryrun.stored import DryRunFacts, alike
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.offer import LASTING, Charger, Offering, explain, stratum_in
from rollout.domain.records import Rollout
from rollout.service.ports import Store, Transaction
from rollout.service.snapshot import release_of, require_rollout, site_of

_PAGE = 1000


class DryRunService:
    """Reading only."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def facts(self, rollout_id: str) -> DryRunFacts:
        """Plan and fleet. Raises: Misuse("rollout.unknown" | "rollout.no_plan")."""
        now_ms = self._clock.now_ms()
        with self._store.reading() as tx:
            rollout = require_rollout(tx, rollout_id)
            plan = tx.judge_plan(rollout_id)
            if plan is None or not plan.waves:
                raise Misuse("rollout.no_plan", f"{rollout_id} has no plan yet: tidegate rollout plan {rollout_id}")
            planned = {wave.number: wave.planned for wave in tx.waves(rollout_id)}
            return DryRunFacts(
                rollout_id=rollout_id,
                plan=plan,
                planned=tuple(planned.get(wave.wave, wave.chargers) for wave in plan.waves),
                complete_at_pct=rollout.options.complete_at_pct,
                sites=alike(_chargers(tx, rollout, plan, now_ms=now_ms), strata=len(plan.strata)),
            )


def _chargers(tx: Transaction, rollout: Rollout, plan: JudgePlan, *, now_ms: int) -> Iterator[tuple[str, int]]:
    """Site and stratum of every charger against which nothing lasting speaks."""
    offering, number = Offering(rollout, release_of(tx, rollout), (), {}), 0
    while page := tx.fleet_page(product=rollout.product, from_number=number, limit=_PAGE):
        for device in page:
            charger = Charger(device, site_of(tx, device), (), tx.state(device.device_id), (), None)
            checks = explain(offering, charger, now_ms=now_ms)
            if all(check.refusal is None for check in checks if check.predicate in LASTING):
                yield device.site_id, stratum_in(plan, charger, rollout.kind)
        number = page[-1].number + 1
