"""The watch over a world: whoever sees something happen tells it here, and every promise that it touches is checked.

What it is: one method per kind of fact; it notes interesting states and hands on to the promises.
What it does not do: check by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from device_client.domain.boot import BootRecord, Selection
from device_client.domain.journal import PolicyMemory
from device_client.domain.slots import SlotName, SlotPair
from ops.simulation.books import ChargerBook, Flight, PromiseBroken, Request
from ops.simulation.promises_device import DevicePromises
from ops.simulation.promises_gate import GatePromises
from ops.simulation.promises_judge import JudgePromises
from ops.simulation.promises_rollout import RolloutPromises
from ops.simulation.releases import Built
from otacore.wire.campaign import CampaignManifest, CampaignOrder
from otacore.wire.permit import Permit, PermitRequest, Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, Report
from rollout.domain.records import Rollout
from rollout.service.ports import Transaction

if TYPE_CHECKING:
    from ops.simulation.charger import Charger
    from ops.simulation.world import World

LATE_MS = 60_000
TOLD = {
    Fact.DISARMED: "disarmed",
    Fact.REVERTED: "reverted",
    Fact.RECOVERED: "told recovered",
    Fact.FAILED: "failed to install",
}


class Watch:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._books = world.books
        self._device = DevicePromises(world)
        self._rollout = RolloutPromises(world)
        self.judge = JudgePromises(world)
        self.gate = GatePromises(world)

    # --- chargers -----------------------------------------------------------------------------------------------------

    def power_went(self, charger: Charger) -> None:
        """The power goes at this instant."""
        record = charger.boot.load()
        self._books.reach("power cut")
        if any(record.pair(kind).trial is not None for kind in ReleaseKind):
            self._books.reach("power cut while armed or on trial")

    def died(self, charger: Charger) -> None:
        """For good."""
        self._books.reach("died")
        if self._books.chargers[charger.name].flight is not None:
            self._books.reach("died in flight")

    def ruined(self, charger: Charger) -> None:
        self._device.ruined(charger)

    def selected(self, charger: Charger, firmware: Selection, before: BootRecord) -> None:
        self._device.selected(charger, firmware, before)

    def crashed(self, charger: Charger) -> None:
        self._device.crashed(charger)

    def booted(self, charger: Charger, firmware: Selection) -> None:
        self._device.booted(charger, firmware)

    def rebooting(self, charger: Charger) -> None:
        self._device.rebooting(charger)

    def applied(self, charger: Charger, slot: SlotName | None, built: Built | None) -> None:
        if slot is None:
            self._books.reach("back to the built-in configuration")
        self._device.applied(charger, built)

    def released(self, charger: Charger, *, was_on_trial: bool) -> None:
        self._device.released(charger, was_on_trial=was_on_trial)

    def boot_written(self, charger: Charger, before: BootRecord, after: BootRecord) -> None:
        self._device.boot_written(charger, before, after)

    def policy_written(self, charger: Charger, before: PolicyMemory, after: PolicyMemory) -> None:
        self._device.policy_written(charger, before, after)

    def writing(self, charger: Charger, kind: ReleaseKind, slot: SlotName) -> None:
        """Bytes are about to be written into a slot."""
        pair = charger.boot.load().pair(kind)
        if pair.slot(slot).image is not None and pair.slot(slot).status not in ("invalid", "empty"):
            raise PromiseBroken(
                "D1", f"{charger.name} writes into slot {slot}, which is still {pair.slot(slot).status}"
            )
        if pair.booted is slot:
            raise PromiseBroken("D1", f"{charger.name} writes into the slot that runs")

    def contacted(self, charger: Charger) -> None:
        """An endpoint of ours answered the charger."""
        self._books.chargers[charger.name].contact_ms = self._world.engine.now_ms

    def read_clock(self, charger: Charger) -> None:
        """The machine was told the time after a write."""
        self._books.chargers[charger.name].clock_read_ms = self._world.engine.now_ms

    def asked(self, charger: Charger, request: PermitRequest) -> None:
        """A permit request leaves."""
        now_ms = self._world.engine.now_ms
        if request.nonce in self._books.requests:
            raise PromiseBroken("D4", f"{charger.name} uses a nonce twice")
        self._books.requests[request.nonce] = Request(
            charger.name,
            request.rollout_id,
            request.release_digest,
            request.purpose,
            now_ms,
            request.report_counter,
        )

    def report_made(self, charger: Charger, report: Report) -> None:
        """A report is sent."""
        book = self._books.chargers[charger.name]
        if book.reports.setdefault(report.counter, report) != report:
            raise PromiseBroken("reports", f"{charger.name} gives counter {report.counter} two contents")
        if report.counter < max(book.reports):
            self._books.reach("report sent late")
        self._says_armed(charger, book, report)
        if report.fact in TOLD:
            self._books.reach(TOLD[report.fact])

    def forged(self, report: Report, *, accepted: bool) -> None:
        """One counter with another content is a clone alarm; nothing of it may be believed."""
        if accepted:
            raise PromiseBroken("reports", f"a forged report {report.counter} of {report.device_id} is believed")
        self._books.reach("clone alarm")
        self._books.chargers[report.device_id].is_cloned = True

    def _says_armed(self, charger: Charger, book: ChargerBook, report: Report) -> None:
        """A report made after the request says so while its permit may still boot; an older one cannot know."""
        record = charger.boot.load()
        flight = book.flight
        if flight is None or flight.nonce is None or not _is_armed(record.pair(flight.kind)):
            return
        if report.armed_nonce is None and report.counter > self._books.requests[flight.nonce].report_counter:
            raise PromiseBroken("R5", f"{charger.name} says it is unarmed while its trial flag is set")

    def told(self, charger: Charger, report: Report, *, accepted: bool) -> None:
        """The server answered a report. Facts are taken under any epoch, in any state."""
        book = self._books.chargers[charger.name]
        if not accepted:
            raise PromiseBroken(
                "reports", f"report {report.counter} of {charger.name} is refused: facts are always taken"
            )
        book.told_ms.append(self._world.engine.now_ms)
        if report.counter >= book.told_counter:
            book.told_counter, book.told_healthy = report.counter, report.healthy

    # --- flights ------------------------------------------------------------------------------------------------------

    def took_off(self, charger: Charger, flight: Flight) -> None:
        self._rollout.took_off(charger, flight)

    def activated(self, charger: Charger, flight: Flight) -> None:
        self._rollout.activated(charger, flight)

    def landed(self, charger: Charger, flight: Flight) -> None:
        self._rollout.landed(charger, flight)

    # --- the rollout host ---------------------------------------------------------------------------------------------

    def granted(self, charger: Charger, permit: Permit) -> None:
        is_new = permit.nonce not in self._books.grants
        self._rollout.granted(charger, permit)
        if permit.purpose is Purpose.INSTALL:
            self.judge.granted(permit)
            if is_new:
                self.gate.granted(charger, permit)
        self._world.people.startled(permit.rollout_id)

    def halted(self, rollout_id: str, *, announced: int, young: int) -> None:
        self._rollout.halted(rollout_id, announced=announced, young=young)

    def publishing(self, order: CampaignOrder, before: CampaignManifest | None) -> None:
        self._rollout.publishing(order, before)

    def published(self, order: CampaignOrder, before: CampaignManifest | None) -> None:
        self._rollout.published(order, before)
        self.gate.published(order.manifest)

    def ticked(self, rollout_id: str) -> None:
        """A tick of this rollout is over."""
        self.gate.ticked(rollout_id)

    def committed(self, rollout: Rollout, rows: Transaction) -> None:
        """A rollout's row was committed; `rows` shows what stands with it."""
        rollout_id = rollout.rollout_id
        self.gate.committed(rollout, rows)
        self._rollout.committed(rollout, rows.waves(rollout_id))
        self.judge.committed(rollout_id, rows.verdicts(rollout_id), rows.judge_plan(rollout_id))


def _is_armed(pair: SlotPair) -> bool:
    """A trial flag is set under a permit, and not yet booted."""
    return pair.trial is not None and pair.trial.nonce is not None and pair.booted is not pair.trial.slot
