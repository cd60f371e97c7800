"""Promise R2 for every charger: who is let in, what is counted of it, and that what is shown stops the rollout.

What it is: checks with every permit, after every tick and at the end, against the books of the world and each charger's
own row. What it does not do: ask judge, guard or caps; the plain readings stand in `plain_gate.py`.

Rules:
1. No install permit without a reading of judge, guard and caps that went well within ten minutes before.
2. What is shown at two readings in a row has stopped the rollout.
3. A charger of which nothing is heard until its deadline is bad, unless the fleet was cut off just then.
4. Who is cut off together says nothing of a release: no halt and no rollback comes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ops.simulation.books import PromiseBroken
from ops.simulation.plain_gate import cells_of, guard_capital, guard_needs, shown
from otacore.wire.campaign import CampaignManifest
from otacore.wire.codec import decode
from otacore.wire.permit import Permit
from rollout.domain.fleet import Device, Site
from rollout.domain.judge import capital as money
from rollout.domain.judge.facts import StartOutcome
from rollout.domain.judge.groups import read_group
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.judge.verdict import Verdict
from rollout.domain.records import Participation, Rollout, Selector, Stage, State, StoredVerdict, Wave

if TYPE_CHECKING:
    from ops.simulation.charger import Charger
    from ops.simulation.world import World
    from rollout.service.ports import Transaction

LEASE_MS = 10 * 60_000
MISSING_MS = 17 * 60_000
"""Three polls and one more: then a tick finds who was cut off missing."""
FEW, FEW_SHARE = 6, 0.2
"""A smaller outage may go unnoticed: some of them stand still, or are not of the panel."""
SLACK_MS = 60 * 60_000
"""A deadline is taken by then: whoever does not tick is back, and the server too."""
PAGE = 1_000
VERDICT_BYTES = 4 * 1024 * 1024
ROUNDING = 1e-3
"""Powers come from a table of 2^16 steps on the other side, rounded down at every group."""
GIVES_INSTALLS = (State.RUNNING, State.COMPLETED)
STOPPED = (State.HALTED, State.ROLLING_BACK)
STANDS = (Stage.KEPT, Stage.CONFIRMED, Stage.SETTLED, Stage.SILENT)
STOP_AT = 8
"""So many bad chargers of forty are shown in whatever order they come (`tests/sim/test_plain_gate.py`)."""


class GatePromises:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._shown: dict[str, str] = {}
        self._read: dict[str, int] = {}

    # --- permits ------------------------------------------------------------------------------------------------------

    def granted(self, charger: Charger, permit: Permit) -> None:
        """A new install permit was answered."""
        rollout_id = permit.rollout_id
        self._was_read(charger, rollout_id)
        self._is_no_outage(charger, rollout_id)
        with self._world.server.store.reading() as rows:
            plan, part = rows.judge_plan(rollout_id), rows.participation(rollout_id, charger.name)
            rollout, parts = rows.rollout(rollout_id), _parts(rows, rollout_id)
            waves = rows.waves(rollout_id)
            if plan is None or part is None or rollout is None:
                raise PromiseBroken(
                    "R2", f"{charger.name} gets a permit of {rollout_id}, and nothing was written of it"
                )
            self._controls_are_alike(rows, part, waves)
        self._within_caps(rollout, plan, parts, waves)
        self._note(charger, rollout_id, parts)

    def _was_read(self, charger: Charger, rollout_id: str) -> None:
        read_ms = self._world.books.read_ms.get(rollout_id)
        if read_ms is None or self._world.engine.now_ms - read_ms > LEASE_MS:
            since = "never" if read_ms is None else f"{(self._world.engine.now_ms - read_ms) // 1000} s ago"
            raise PromiseBroken(
                "R2", f"{charger.name} gets a permit of {rollout_id}, whose judge was last read {since}"
            )

    def _is_no_outage(self, charger: Charger, rollout_id: str) -> None:
        outage, count = self._world.outage, len(self._world.chargers)
        if not outage.is_on() or outage.began_ms is None or len(outage.hit) < max(FEW, FEW_SHARE * count):
            return
        if self._world.books.read_ms.get(rollout_id, 0) >= outage.began_ms + MISSING_MS:
            raise PromiseBroken("R2", f"{charger.name} gets a permit while {len(outage.hit)} of {count} are cut off")

    def _controls_are_alike(self, rows: Transaction, part: Participation, waves: Sequence[Wave]) -> None:
        block = None if part.block is None else rows.block(part.rollout_id, part.block)
        for control in () if block is None else block.controls:
            device, site = rows.device(control.device_id), rows.site(control.site_id)
            if device is None or site is None or not _is_meant(waves[part.wave - 1].selector, device, site):
                sentence = (
                    f"{control.device_id} is a control of {part.device_id}, and wave {part.wave} does not mean it"
                )
                raise PromiseBroken("R2", f"{part.rollout_id}: {sentence}")

    def _within_caps(
        self, rollout: Rollout, plan: JudgePlan, parts: Sequence[Participation], waves: Sequence[Wave]
    ) -> None:
        """So many may be out; counted anew from what is known of each charger, this one among them."""
        before, counted = waves[rollout.wave - 1].before, _counted(parts)
        flying = sum(part.entry.start is None and not _is_bad_start(part) for part in counted if part.entry) - 1
        failed = sum(_is_bad_start(part) for part in counted) - (0 if before is None else before.failed)
        healthy = len(counted) - 1 - flying - sum(_is_bad_start(part) for part in counted)
        healthy_before = 0 if before is None else before.healthy
        first = min(
            max(plan.cap.first, plan.cap.most_first), plan.cap.first + healthy_before // plan.cap.before_divisor
        )
        healthy = max(healthy - healthy_before, 0)
        allowed = max(
            first + healthy - plan.cap.price * max(failed, 0), max(failed, 0) + 1 + healthy // plan.cap.divisor
        )
        if flying + max(failed, 0) >= allowed:
            raise PromiseBroken(
                "R2", f"{rollout.rollout_id}: {flying} open and {failed} failed starts, {allowed} may be"
            )

    def _note(self, charger: Charger, rollout_id: str, parts: Sequence[Participation]) -> None:
        book = self._world.books.rollouts[rollout_id]
        if charger.name not in book.let_in:
            book.let_in.append(charger.name)
        unknown = [part for part in _counted(parts) if part.entry and not part.entry.bad and part.stage in OPEN]
        book.most_open = max(book.most_open, len(unknown))

    # --- ticks and decisions ------------------------------------------------------------------------------------------

    def ticked(self, rollout_id: str) -> None:
        """A tick of this rollout is over."""
        with self._world.server.store.reading() as rows:
            rollout, plan = rows.rollout(rollout_id), rows.judge_plan(rollout_id)
            if rollout is None or plan is None or rollout.wave == 0:
                return
            lease, parts = rows.lease(rollout_id), _parts(rows, rollout_id)
            self._is_counted(rows, rollout_id, parts)
        if lease is not None and lease.permits_wait:
            self._world.books.rollouts[rollout_id].outage_ms.append(self._world.engine.now_ms)
            self._world.books.reach("permits wait for an outage")
        if rollout_id in self._world.books.read_in_tick:
            self._has_stopped(rollout, plan, parts)

    def _has_stopped(self, rollout: Rollout, plan: JudgePlan, parts: Sequence[Participation]) -> None:
        before = self._shown.pop(rollout.rollout_id, None)
        if rollout.state not in GIVES_INSTALLS:
            return
        now = shown(plan, parts, from_phase=rollout.watched_from)
        if now is not None and before is not None:
            raise PromiseBroken("R2", f"{rollout.rollout_id} is {rollout.state}, and it is shown: {now}")
        if now is not None:
            self._shown[rollout.rollout_id] = now

    def _is_counted(self, rows: Transaction, rollout_id: str, parts: Sequence[Participation]) -> None:
        """Every charger with an install permit, exactly once."""
        kept = {
            (group.stratum, group.number): {name: count for name, count in group.cells.items() if count}
            for group in rows.groups(rollout_id)
        }
        kept = {where: cells for where, cells in kept.items() if cells}
        if kept != (counted := cells_of(parts)):
            wrong = next(where for where in sorted({*kept, *counted}) if kept.get(where) != counted.get(where))
            sentence = f"group {wrong} is {kept.get(wrong)}, its chargers say {counted.get(wrong)}"
            raise PromiseBroken("R2", f"{rollout_id}: {sentence}")

    def committed(self, rollout: Rollout, rows: Transaction) -> None:
        """A rollout's row was committed; the watch has not noted it yet."""
        if rollout.wave == 1 and rollout.state is State.RUNNING:
            # Nobody had a permit when it was opened: that was all there was to read.
            self._world.books.read_ms.setdefault(rollout.rollout_id, self._world.engine.now_ms)
        plan, verdicts = rows.judge_plan(rollout.rollout_id), rows.verdicts(rollout.rollout_id)
        for stored in verdicts[self._read.get(rollout.rollout_id, 0) :]:
            if plan is not None:
                self._guards_are_supported(rollout.rollout_id, plan, stored)
        self._read[rollout.rollout_id] = len(verdicts)
        book = self._world.books.rollouts.get(rollout.rollout_id)
        if book is None or rollout.state not in STOPPED or rollout.state == book.state:
            return
        if not self._world.people.is_acting:
            self._is_for_a_reason(rollout)
        if not book.was_stopped:
            book.was_stopped = True
            self._is_bounded(rollout.rollout_id)

    def _is_for_a_reason(self, rollout: Rollout) -> None:
        if self._world.scenario.is_all_good:
            raise PromiseBroken("R2", f"{rollout.rollout_id} is {rollout.state} by itself, and all of it is good")

    def _guards_are_supported(self, rollout_id: str, plan: JudgePlan, stored: StoredVerdict) -> None:
        """The guard of a verdict that was acted upon, from the groups that it was stored with."""
        verdict = decode(Verdict, stored.verdict.encode(), limit_bytes=VERDICT_BYTES)
        groups = [read_group(one) for one in stored.groups]
        for said in verdict.evidence:
            word, *rest = said.stream.split(":")
            if word != "guard":
                continue
            stratum = int(rest[1]) if len(rest) > 1 else 0
            mine = sorted((one.number, one.cells) for one in groups if one.stratum == stratum)
            capital = _decisive(list(guard_capital(plan, rest[0], mine)), guard_needs(plan, stratum))
            if abs(capital - said.capital / money.ONE) > ROUNDING * max(capital, 1.0):
                sentence = f"{said.stream} says {said.capital / money.ONE:g}, read in order it is {capital:g}"
                raise PromiseBroken("R2", f"{rollout_id}: {sentence}")

    def _is_bounded(self, rollout_id: str) -> None:
        """Those of whom nothing was known yet came too late to be spared; beside them, no more than what shows it."""
        book = self._world.books.rollouts[rollout_id]
        harmed = self._harmed(rollout_id)
        if len(harmed) > STOP_AT + book.most_open:
            sentence = f"{len(harmed)} chargers were let into harm; {STOP_AT} show it and {book.most_open} were open"
            raise PromiseBroken("R2", f"{rollout_id}: {sentence}")

    def _harmed(self, rollout_id: str) -> list[str]:
        built = self._world.repository.by_digest(self._world.releases_by_rollout[rollout_id])
        if built is None or not built.only_hidden:
            return []
        hidden = {charger.name for charger in self._world.chargers if charger.traits.is_hidden}
        return [name for name in self._world.books.rollouts[rollout_id].let_in if name in hidden]

    def published(self, manifest: CampaignManifest) -> None:
        """An opening stands published."""
        with self._world.server.store.reading() as rows:
            rollout, waves = rows.rollout(manifest.rollout_id), rows.waves(manifest.rollout_id)
        is_last = rollout is not None and rollout.wave == len(waves)
        self._world.outage.published(manifest, is_last_wave=is_last)

    # --- the end ------------------------------------------------------------------------------------------------------

    def ended(self, rollout: Rollout, parts: Sequence[Participation]) -> None:
        """When the world is at rest."""
        rollout_id = rollout.rollout_id
        book = self._world.books.rollouts[rollout_id]
        with self._world.server.store.reading() as rows:
            self._is_counted(rows, rollout_id, parts)
            plan, waves = rows.judge_plan(rollout_id), rows.waves(rollout_id)
        for part in parts:
            if plan is not None:
                self._silence_counts(part, plan, waves[part.wave - 1].soak_s * 1000)
        if rollout.state is State.COMPLETED and not rollout.unproven and not book.was_stopped:
            self._is_bounded(rollout_id)

    def _silence_counts(self, part: Participation, plan: JudgePlan, soak_ms: int) -> None:
        entry = part.entry
        if entry is None or entry.withdrawn or self._world.books.chargers[part.device_id].is_cloned:
            return
        start_ms = part.permitted_at_ms + plan.start.deadline_ms
        if entry.start is StartOutcome.HEALTHY and not self._told(part, part.permitted_at_ms, start_ms):
            raise PromiseBroken("R2", f"{part.device_id} has started healthy, and said nothing until its deadline")
        soaked_ms = part.permitted_at_ms + soak_ms
        due_ms = soaked_ms + plan.silence_ms
        if entry.start is not StartOutcome.HEALTHY or part.stage not in STANDS:
            return
        if self._world.engine.now_ms < due_ms + SLACK_MS or self._told(part, soaked_ms, due_ms + SLACK_MS):
            return
        outages = self._world.books.rollouts[part.rollout_id].outage_ms
        excused = any(due_ms - SLACK_MS <= at_ms <= due_ms + SLACK_MS for at_ms in outages)
        if "silence" not in entry.bad and not excused:
            raise PromiseBroken("R2", f"{part.device_id} said nothing after its soak, and that counts as good")
        self._world.books.reach("silence excused" if excused else "silence counted")

    def _told(self, part: Participation, from_ms: int, to_ms: int) -> bool:
        return any(from_ms <= at_ms <= to_ms for at_ms in self._world.books.chargers[part.device_id].told_ms)


OPEN = (Stage.PERMITTED, Stage.ARMED, Stage.KEPT, Stage.CONFIRMED)
"""Nothing is known yet of what becomes of it."""


def _parts(rows: Transaction, rollout_id: str) -> tuple[Participation, ...]:
    return rows.participations_in(rollout_id, tuple(Stage), after_device_id="", limit=PAGE)


def _counted(parts: Sequence[Participation]) -> list[Participation]:
    return [part for part in parts if part.entry is not None and not part.entry.withdrawn]


def _is_bad_start(part: Participation) -> bool:
    entry = part.entry
    if entry is None:
        return False
    return entry.start is StartOutcome.FAILED or bool({"silence", "unhealthy"} & set(entry.bad))


def _is_meant(selector: Selector, device: Device, site: Site) -> bool:
    labels = set(device.labels) | set(site.labels)
    return (
        set(selector.labels) <= labels
        and not set(selector.without_labels) & labels
        and (not selector.sites or site.site_id in selector.sites)
        and (not selector.site_classes or site.site_class in selector.site_classes)
    )


def _decisive(after: Sequence[float], needed: float) -> float:
    """The capital of the first prefix that decides, else of the best one."""
    return next((capital for capital in after if capital >= needed), max(after, default=0.0))
