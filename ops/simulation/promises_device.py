"""Promises D1 to D4, held against every charger from outside: what lies on its medium, what boots, what it may do.

What it is: checks that raise `PromiseBroken`, and books that they keep on the way.
What it does not do: call the machine.

Rules:
1. A check speaks of what is durable or has happened, never of what the machine believes.
2. What the world itself damaged (decayed slots) is no broken promise, as long as a slot boots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from device_client.domain.boot import BootRecord, Selection, Why
from device_client.domain.events import Check
from device_client.domain.journal import PolicyMemory
from device_client.domain.slots import SlotName, SlotPair, SlotStatus, Trial, TrialKind
from ops.simulation.books import ChargerBook, Flight, Grant, PromiseBroken
from ops.simulation.releases import Built
from otacore.ids import version_key
from otacore.wire.permit import PERMIT_TTL_S, Purpose
from otacore.wire.release import ReleaseKind

if TYPE_CHECKING:
    from ops.simulation.charger import Charger
    from ops.simulation.world import World

MOST_FRUITLESS_BOOTS = 16
"""Three tries of a trial, six of each settled slot, and one more."""
MOST_TRIAL_BOOTS = 3
TRIAL_SLACK_MS = 300_000
"""What a stalled agent may need beyond the time limit of a trial."""
DRIFT_ALLOWED = 1.004


class DevicePromises:
    """Of every charger of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _book(self, charger: Charger) -> ChargerBook:
        return self._world.books.chargers[charger.name]

    # --- D1: one slot boots -----------------------------------------------------------------------------------------

    def selected(self, charger: Charger, firmware: Selection, before: BootRecord) -> None:
        """Boot selection chose."""
        book = self._book(charger)
        if firmware.slot is None:
            raise PromiseBroken("D1", f"{charger.name}: no slot boots")
        digest = _digest(firmware.pair, firmware.slot)
        match firmware.why:
            case Why.TRIAL:
                self._trial_boot(charger, book, before.firmware)
            case Why.TRIAL_EXHAUSTED | Why.PRIMARY_EXHAUSTED | Why.BOTH_EXHAUSTED:
                self._world.books.reach(f"boot: {firmware.why}")
                tried = before.firmware.trial
                looked_back = tried is not None and tried.kind is TrialKind.LOOK_BACK
                if digest not in book.confirmed[ReleaseKind.FIRMWARE] and not looked_back:
                    raise PromiseBroken("D3", f"{charger.name} falls back to a slot that was never confirmed")
            case Why.PRIMARY:
                pass
            case Why.LAST_RESORT | Why.NOTHING:
                raise PromiseBroken("D1", f"{charger.name}: nothing settled is left to boot")

    def crashed(self, charger: Charger) -> None:
        """A slot did not start."""
        if charger.fruitless_boots > MOST_FRUITLESS_BOOTS:
            raise PromiseBroken("D1", f"{charger.name}: {charger.fruitless_boots} boots in a row start nothing")

    def ruined(self, charger: Charger) -> None:
        """Both copies of the boot record are damaged."""
        raise PromiseBroken("D1", f"{charger.name}: both copies of the boot record are damaged")

    # --- D2: only what was signed, read back ------------------------------------------------------------------------

    def booted(self, charger: Charger, firmware: Selection) -> None:
        """A slot started."""
        book, built = self._book(charger), charger.running
        if built is None or self._world.repository.by_digest(built.digest) is None:
            raise PromiseBroken("D2", f"{charger.name} runs what nobody signed")
        self._runs(charger, book, built)
        self._maybe_landed(charger, book)
        if firmware.why is Why.TRIAL:
            self._must_end(charger, ReleaseKind.FIRMWARE)

    def _runs(self, charger: Charger, book: ChargerBook, built: Built) -> None:
        if built.digest not in book.ran:
            flight = book.flight
            grant = self._world.books.grants.get(flight.nonce or "") if flight is not None else None
            if grant is None or grant.release_digest != built.digest:
                raise PromiseBroken("D4", f"{charger.name} starts {built.word}, for which it had no permit")
            book.ran.add(built.digest)

    # --- D3: trials end by themselves -------------------------------------------------------------------------------

    def _trial_boot(self, charger: Charger, book: ChargerBook, pair: SlotPair) -> None:
        flight, trial = book.flight, pair.trial
        if trial is not None and trial.kind is TrialKind.LOOK_BACK:
            return
        if flight is None or trial is None or flight.nonce != trial.nonce:
            raise PromiseBroken("D4", f"{charger.name} boots a trial that nobody armed")
        flight.trial_boots += 1
        if flight.trial_boots > MOST_TRIAL_BOOTS:
            raise PromiseBroken("D3", f"{charger.name} boots one trial {flight.trial_boots} times")
        self._world.watch.activated(charger, flight)

    def _must_end(self, charger: Charger, kind: ReleaseKind) -> None:
        begun, life = charger.boot.load().pair(kind).trial, charger.life
        if begun is None or begun.kind is TrialKind.LOOK_BACK:
            return

        def look() -> None:
            pair = charger.boot.load().pair(kind)
            same = pair.trial is not None and pair.trial.nonce == begun.nonce
            if life == charger.life and same and pair.booted is begun.slot:
                raise PromiseBroken("D3", f"{charger.name} is still on trial long after its time")

        self._world.engine.after(self._world.timing.keep_limit_ms + TRIAL_SLACK_MS, look)

    def applied(self, charger: Charger, built: Built | None) -> None:
        """The charger program runs under another configuration."""
        book, trial = self._book(charger), charger.boot.load().config.trial
        flight = book.flight
        if trial is not None and flight is not None and built is not None:
            self._planned(charger, book, flight, needs_window=False)
            if charger.traits.config_needs_idle and not charger.habits.is_idle:
                raise PromiseBroken("D4", f"{charger.name}: a configuration interrupts a session")
            self._world.watch.activated(charger, flight)
            self._must_end(charger, ReleaseKind.CONFIG)
        if built is not None:
            self._runs(charger, book, built)

    # --- D4: activation is asked for, in the window, between sessions -----------------------------------------------

    def rebooting(self, charger: Charger) -> None:
        """The agent reboots the charger."""
        book, trial = self._book(charger), charger.boot.load().firmware.trial
        if trial is None:
            return
        if not charger.habits.is_idle:
            raise PromiseBroken("D4", f"{charger.name}: a planned reboot interrupts a session")
        if trial.kind is not TrialKind.LOOK_BACK and book.flight is not None and trial.nonce == book.flight.nonce:
            installs = book.flight.purpose is Purpose.INSTALL
            if charger.running is not None and book.flight.trial_boots == 0:
                self._planned(charger, book, book.flight, needs_window=installs)

    def _planned(self, charger: Charger, book: ChargerBook, flight: Flight, *, needs_window: bool) -> None:
        if needs_window and not charger.traits.window_is_open(self._world.engine.now_ms):
            raise PromiseBroken("D4", f"{charger.name} reboots outside its maintenance window")
        request = self._world.books.requests[flight.nonce or ""]
        read_ms = book.clock_read_ms
        if read_ms is None or read_ms < flight.since_ms:
            raise PromiseBroken("D4", f"{charger.name} did not look at its clock after setting the trial flag")
        if read_ms - request.at_ms > PERMIT_TTL_S * 1000 * DRIFT_ALLOWED:
            late_ms = read_ms - request.at_ms
            raise PromiseBroken(
                "D4", f"{charger.name} reboots on a flag set {late_ms} ms after it asked for the permit"
            )

    def released(self, charger: Charger, *, was_on_trial: bool) -> None:
        """Sessions may begin."""
        record = charger.boot.load()
        if was_on_trial and record.firmware.trial is not None and record.firmware.trial.kind is not TrialKind.LOOK_BACK:
            raise PromiseBroken("D4", f"{charger.name} lets sessions begin before its trial was kept")

    # --- what the boot record became ----------------------------------------------------------------------------------

    def boot_written(self, charger: Charger, before: BootRecord, after: BootRecord) -> None:
        """A new boot record is durable."""
        for kind in ReleaseKind:
            old, new = before.pair(kind), after.pair(kind)
            if old == new:
                continue
            if new.trial is not None and new.trial != old.trial:
                self._flag_set(charger, kind, new, new.trial)
            for name in SlotName:
                self._slot_changed(charger, kind, old, new, name)
        self._maybe_landed(charger, self._book(charger))

    def _flag_set(self, charger: Charger, kind: ReleaseKind, pair: SlotPair, trial: Trial) -> None:
        book = self._book(charger)
        digest = _digest(pair, trial.slot)
        if trial.kind is TrialKind.LOOK_BACK:
            self._look_back(charger, book, pair, digest)
            return
        grant = self._world.books.grants.get(trial.nonce or "")
        if grant is None or grant.charger != charger.name or grant.release_digest != digest:
            raise PromiseBroken("D4", f"{charger.name} arms {digest} without a permit for it")
        image = pair.slot(trial.slot).image
        lies = charger.slots[kind, trial.slot]
        if image is None or not (lies.holds(image.image_sha256, image.length_bytes) or charger.has_decayed):
            raise PromiseBroken("D2", f"{charger.name} arms a slot that does not hold what was signed")
        self._knows_enough(charger, grant)
        recovers = trial.kind is TrialKind.RECOVER
        if recovers and digest not in book.confirmed[kind]:
            raise PromiseBroken("D3", f"{charger.name} goes back to a slot that was never confirmed")
        purpose = Purpose.RECOVER if recovers else Purpose.INSTALL
        book.flight = Flight(trial.nonce, purpose, kind, self._world.engine.now_ms)
        self._world.watch.took_off(charger, book.flight)

    def _knows_enough(self, charger: Charger, grant: Grant) -> None:
        """The metadata that it has verified is at least as new as what the permit named."""
        views = self._world.repository.views
        known, named = views[charger.metadata_seen], views[grant.view]
        older = known.stop.serial < named.stop.serial or known.floor.serial < named.floor.serial
        if grant.purpose is Purpose.INSTALL and older:
            raise PromiseBroken("D4", f"{charger.name} arms on metadata older than its permit names")

    def _look_back(self, charger: Charger, book: ChargerBook, pair: SlotPair, digest: str | None) -> None:
        self._world.books.reach("look back")
        running = _digest(pair, pair.running)
        if digest not in book.confirmed[ReleaseKind.FIRMWARE]:
            raise PromiseBroken("D3", f"{charger.name} looks back to a slot that never had contact")
        if running is not None and running in book.looked_back:
            raise PromiseBroken("D3", f"{charger.name} looks back a second time for one release")
        book.looked_back.append(running or "")

    def _slot_changed(self, charger: Charger, kind: ReleaseKind, old: SlotPair, new: SlotPair, name: SlotName) -> None:
        was, became = old.slot(name), new.slot(name)
        if was.status is became.status and was.confirm_serial == became.confirm_serial:
            return
        book, digest = self._book(charger), _digest(new, name)
        if became.status is SlotStatus.KEPT and was.status is not SlotStatus.KEPT:
            self._is_well(charger, kind)
            book.kept_ms = self._world.engine.now_ms
        if became.status is SlotStatus.CONFIRMED and digest is not None:
            self._confirmed(charger, kind, digest, runs=new.booted is name)
        if was.status is SlotStatus.CONFIRMED and became.status is SlotStatus.INVALID:
            self._way_back_overwritten(charger, old, new, name)

    def _is_well(self, charger: Charger, kind: ReleaseKind) -> None:
        if charger.habits.health().overall is not Check.PASSED:
            raise PromiseBroken("D3", f"{charger.name} keeps a {kind} that did not pass its local health")

    def _confirmed(self, charger: Charger, kind: ReleaseKind, digest: str, *, runs: bool) -> None:
        book = self._book(charger)
        known = book.confirmed[kind]
        if digest not in known:
            if not runs:
                raise PromiseBroken("D3", f"{charger.name} confirms a {kind} that does not run")
            if book.kept_ms < 0 or book.contact_ms < charger.booted_at_ms:
                raise PromiseBroken("D3", f"{charger.name} confirms a {kind} without contact")
        else:
            known.remove(digest)
        known.append(digest)

    def _way_back_overwritten(self, charger: Charger, old: SlotPair, new: SlotPair, name: SlotName) -> None:
        stays = new.slot(name.other)
        if stays.status is not SlotStatus.CONFIRMED:
            raise PromiseBroken("R4", f"{charger.name} gives up its way back while it runs what is not confirmed")
        if old.trial is not None and old.trial.slot is name:
            raise PromiseBroken("D1", f"{charger.name} writes the slot that it is about to boot")

    # --- floors -----------------------------------------------------------------------------------------------------

    def policy_written(self, charger: Charger, before: PolicyMemory, after: PolicyMemory) -> None:
        """Policy is durable."""
        if not set(before.stopped) <= set(after.stopped) or not set(before.revoked) <= set(after.revoked):
            raise PromiseBroken("D2", f"{charger.name} forgets what was stopped or revoked")
        if after.security_floor == before.security_floor:
            return
        published = [view.floor for view in self._world.repository.views]
        if after.floor not in published or after.security_floor < before.security_floor:
            raise PromiseBroken("D1", f"{charger.name} raises its floor without the signed floor file")
        self._floor_raised(charger, after)

    def _floor_raised(self, charger: Charger, after: PolicyMemory) -> None:
        pair, floor = charger.boot.load().firmware, after.floor
        book = self._book(charger)
        for name in SlotName:
            slot = pair.slot(name)
            if slot.status is not SlotStatus.CONFIRMED or slot.image is None:
                raise PromiseBroken("D1", f"{charger.name} raises its floor before both slots are bootable")
            lies = charger.slots[ReleaseKind.FIRMWARE, name]
            whole = lies.holds(slot.image.image_sha256, slot.image.length_bytes)
            if slot.image.security_version < after.security_floor or not (whole or charger.has_decayed):
                raise PromiseBroken("D1", f"{charger.name} raises its floor above what its slots hold")
            built = self._world.repository.by_digest(slot.image.release_digest)
            if built is None or slot.image.release_digest not in book.confirmed[ReleaseKind.FIRMWARE]:
                raise PromiseBroken("D1", f"{charger.name} raises its floor on what it never confirmed")
            if floor is not None and version_key(built.manifest.version) < version_key(floor.from_version):
                raise PromiseBroken("D1", f"{charger.name} raises its floor before it confirmed {floor.from_version}")
        self._world.books.reach("floor raised")

    # --- flights ----------------------------------------------------------------------------------------------------

    def _maybe_landed(self, charger: Charger, book: ChargerBook) -> None:
        flight = book.flight
        if flight is None:
            return
        pair = charger.boot.load().pair(flight.kind)
        armed = pair.trial is not None and pair.trial.nonce == flight.nonce
        runs_confirmed = pair.booted is None or pair.slot(pair.running).status is SlotStatus.CONFIRMED
        if armed or not runs_confirmed:
            return
        if charger.running is None:
            return  # between boots: what it runs is not settled yet
        book.flight = None
        self._world.watch.landed(charger, flight)


def _digest(pair: SlotPair, name: SlotName) -> str | None:
    image = pair.slot(name).image
    return None if image is None else image.release_digest
