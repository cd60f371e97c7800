"""Promises R1 and R3 to R6, held against permits, publications, sites and committed rows, from outside.

What it is: checks that raise `PromiseBroken` and books that they keep on the way. What it does not do: ask the
controller whether it was right; of the store it reads only what was committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.simulation.books import ChargerBook, Flight, Grant, Halted, PromiseBroken, RolloutBook
from otacore.cohort import is_inside
from otacore.wire.campaign import CampaignAction, CampaignManifest, CampaignOrder
from otacore.wire.permit import Permit, Purpose
from otacore.wire.release import ReleaseKind
from rollout.domain.completion import result_of
from rollout.domain.records import Rollout, State, Wave

if TYPE_CHECKING:
    from ops.simulation.charger import Charger
    from ops.simulation.world import World

GIVES_INSTALLS = (State.RUNNING, State.COMPLETED)
UNDECIDED = (State.RUNNING, State.PAUSED, State.HALTED, State.ROLLING_BACK)
HELD = (State.PAUSED, State.HALTED)
TAKES_BACK = (State.ROLLING_BACK, State.ROLLED_BACK)


class RolloutPromises:
    """Of every rollout and site of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    # --- R1: after a halt ---------------------------------------------------------------------------------------------

    def halted(self, rollout_id: str, *, announced: int, young: int) -> None:
        """A halt was answered."""
        books = self._world.books
        book = books.rollouts[rollout_id]
        now_ms = self._world.engine.now_ms
        book.halted = Halted(announced, now_ms)
        if young > announced:
            raise PromiseBroken("R1", f"{rollout_id}: the halt names more young permits than permits")
        if announced:
            books.reach("halt with live permits")

    def activated(self, charger: Charger, flight: Flight) -> None:
        """A trial boots, or a configuration is applied on trial."""
        grant = self._world.books.grants.get(flight.nonce or "")
        if grant is None or grant.is_activated or flight.purpose is Purpose.RECOVER:
            return
        grant.is_activated = True
        halted = self._world.books.rollouts[grant.rollout_id].halted
        if halted is None:
            return
        halted.activations += 1
        self._world.books.reach("activation after a halt")
        if grant.at_ms > halted.at_ms:
            raise PromiseBroken("R1", f"{charger.name} activates on a permit given after the halt")
        if halted.activations > halted.announced:
            raise PromiseBroken(
                "R1", f"{charger.name}: activation {halted.activations} after a halt that announced {halted.announced}"
            )

    # --- permits ------------------------------------------------------------------------------------------------------

    def granted(self, charger: Charger, permit: Permit) -> None:
        """The server answered with a permit."""
        books = self._world.books
        if books.chargers[charger.name].is_cloned:
            raise PromiseBroken("reports", f"{charger.name} gets a permit, and somebody else holds its key")
        known = books.grants.get(permit.nonce)
        book = books.rollouts[permit.rollout_id]
        if known is not None:
            books.reach("permit handed out again")
        else:
            books.grants[permit.nonce] = Grant(
                nonce=permit.nonce,
                charger=permit.device_id,
                rollout_id=permit.rollout_id,
                release_digest=permit.release_digest,
                purpose=permit.purpose,
                epoch=permit.epoch,
                at_ms=self._world.engine.now_ms,
                view=len(self._world.repository.views) - 1,
            )
        if book.state is State.COMPLETED:
            books.reach("latecomer")
        if permit.purpose is Purpose.INSTALL:
            self._may_install(charger, permit, book)
        else:
            self._may_recover(charger, permit, book)

    def _may_install(self, charger: Charger, permit: Permit, book: RolloutBook) -> None:
        if book.state not in GIVES_INSTALLS or permit.epoch != book.epoch:
            stands = f"{permit.rollout_id} is {book.state} at {book.epoch}"
            raise PromiseBroken("R1", f"{charger.name} gets a permit of epoch {permit.epoch}, {stands}")
        manifest = self._world.repository.view.campaigns.get(permit.rollout_id)
        if manifest is None or manifest.epoch != permit.epoch or manifest.action is not CampaignAction.INSTALL:
            raise PromiseBroken("R6", f"{charger.name} gets a permit that no published manifest covers")
        if not _inside(manifest, charger.name):
            raise PromiseBroken("R6", f"{charger.name} gets a permit outside the opening")
        self._decided(charger, permit)
        self._leaves_one_working(charger)

    def _may_recover(self, charger: Charger, permit: Permit, book: RolloutBook) -> None:
        mine = self._world.books.chargers[charger.name]
        if book.state not in TAKES_BACK:
            raise PromiseBroken("R4", f"{charger.name} is taken back while {permit.rollout_id} is {book.state}")
        confirmed = [*mine.confirmed[ReleaseKind.FIRMWARE], *mine.confirmed[ReleaseKind.CONFIG]]
        if permit.release_digest not in confirmed:
            raise PromiseBroken("R4", f"{charger.name} is sent to a release that it never confirmed")
        if permit.release_digest in self._world.repository.view.stop.stopped:
            raise PromiseBroken("R4", f"{charger.name} is sent back to a stopped release")
        self._world.books.reach("recover permit")

    def _decided(self, charger: Charger, permit: Permit) -> None:
        record = charger.boot.load()
        for kind in ReleaseKind:
            image = record.pair(kind).running_image
            if image is None or record.pair(kind).booted is None:
                continue
            for rollout_id in self._world.rollouts_of(image.release_digest):
                state = self._world.books.rollouts[rollout_id].state
                if rollout_id != permit.rollout_id and state in UNDECIDED:
                    raise PromiseBroken(
                        "R4", f"{charger.name} gets a second install over {rollout_id}, which is {state}"
                    )

    def _leaves_one_working(self, charger: Charger) -> None:
        world, site = self._world, self._world.sites[charger.site_id]
        mine = world.books.chargers[charger.name]
        if mine.told_healthy is not True or site.consents_at(world.engine.now_ms):
            return
        for mate in world.chargers_of(charger.site_id):
            book = world.books.chargers[mate.name]
            if mate is not charger and book.told_healthy and book.flight is None and not book.is_out_of_service:
                return
        raise PromiseBroken("R5", f"{charger.name} is the last working charger of {charger.site_id} outside its window")

    # --- R5: sites ----------------------------------------------------------------------------------------------------

    def took_off(self, charger: Charger, flight: Flight) -> None:
        """A trial flag is set."""
        world = self._world
        mates = [(mate, world.books.chargers[mate.name]) for mate in world.chargers_of(charger.site_id)]
        flying = [mate for mate, book in mates if book.flight is not None and not book.is_out_of_service]
        in_service = sum(not book.is_out_of_service for _, book in mates)
        limit = max(1, in_service * world.sites[charger.site_id].site.place_share_pct // 100)
        installs = [mate for mate in flying if _installs(world.books.chargers[mate.name])]
        recovers = [mate for mate in flying if mate not in installs and self._is_healthy(mate)]
        names = ", ".join(mate.name for mate in flying)
        if flight.purpose is Purpose.INSTALL and len(installs) + len(recovers) > limit + bool(recovers):
            raise PromiseBroken("R5", f"{charger.site_id}: {names} are in flight, {limit} may be")
        if flight.purpose is Purpose.RECOVER and len(recovers) > 1:
            raise PromiseBroken("R5", f"{charger.site_id}: {names} go back at once")

    def _is_healthy(self, charger: Charger) -> bool:
        return self._world.books.chargers[charger.name].told_healthy is not False

    def landed(self, charger: Charger, flight: Flight) -> None:
        """A charger runs a confirmed release again, unarmed."""
        if flight.purpose is not Purpose.RECOVER or not flight.trial_boots:
            return
        grant = self._world.books.grants[flight.nonce or ""]
        left = self._world.releases_by_rollout[grant.rollout_id]
        image = charger.boot.load().pair(flight.kind).running_image
        if image is None or image.release_digest == left:
            return
        self._world.books.reach("recovered")
        book = self._world.books.chargers[charger.name]
        book.came_back[left] = book.came_back.get(left, 0) + 1
        if book.came_back[left] > 1:
            raise PromiseBroken("R4", f"{charger.name} goes back from one release again and again")

    # --- R6: decisions and publications -------------------------------------------------------------------------------

    def publishing(self, order: CampaignOrder, before: CampaignManifest | None) -> None:
        """The rollout host asks for a publication."""
        manifest = order.manifest
        book = self._world.books.rollouts[manifest.rollout_id]
        if before is not None and manifest.epoch >= before.epoch:
            shrinks = manifest.share < before.share or not set(before.named) <= set(manifest.named)
            if shrinks:
                raise PromiseBroken("R6", f"{manifest.rollout_id}: the opening shrinks")
        said = f"{manifest.action} {manifest.share} {','.join(manifest.named)}"
        if book.contents.setdefault(manifest.epoch, said) != said:
            raise PromiseBroken("R6", f"{manifest.rollout_id}: epoch {manifest.epoch} says two things")

    def published(self, order: CampaignOrder, before: CampaignManifest | None) -> None:
        """A publication stands."""
        manifest = order.manifest
        book = self._world.books.rollouts[manifest.rollout_id]
        grew = before is None or manifest.share > before.share or len(manifest.named) > len(before.named)
        if manifest.action is CampaignAction.INSTALL and (grew or book.wave_published_ms is None):
            book.wave_published_ms = self._world.engine.now_ms

    def committed(self, rollout: Rollout, waves: tuple[Wave, ...]) -> None:
        """A rollout's row was committed."""
        books = self._world.books
        book = books.rollouts.setdefault(rollout.rollout_id, RolloutBook(rollout.state, rollout.epoch, rollout.wave))
        if rollout.epoch < book.epoch:
            raise PromiseBroken("R6", f"{rollout.rollout_id}: its epoch falls")
        completes = rollout.state is State.COMPLETED and book.state in (State.RUNNING, State.PAUSED)
        advances = rollout.wave != book.wave
        if advances:
            self._wave_opened(rollout, book)
        if (advances or completes) and book.wave and not book.was_promoted and rollout.resume_to is None:
            self._soaked(rollout, book, waves)
        if rollout.state in HELD and (rollout.state, rollout.epoch) != (book.state, book.epoch):
            book.held_by_person = self._world.people.is_acting
        if rollout.state != book.state:
            self._left(rollout, book)
            self._note_state(rollout, waves)
        if advances or completes:
            book.was_promoted = False
        book.state, book.epoch, book.wave = rollout.state, rollout.epoch, rollout.wave
        if advances:
            book.wave_published_ms = None

    def _left(self, rollout: Rollout, book: RolloutBook) -> None:
        if book.state != State.HALTED:
            return
        if rollout.state is not State.ROLLING_BACK and not self._world.people.is_acting:
            raise PromiseBroken("A2", f"{rollout.rollout_id} goes on after a halt, and nobody resumed it")
        if rollout.state in GIVES_INSTALLS:
            book.halted = None

    def _note_state(self, rollout: Rollout, waves: tuple[Wave, ...]) -> None:
        books, by_itself = self._world.books, not self._world.people.is_acting
        books.reach(f"rollout {rollout.state}")
        match rollout.state:
            case State.COMPLETED:
                books.reach(f"completed {result_of(rollout, [wave.outcome for wave in waves])}")
            case State.ROLLING_BACK if by_itself:
                books.reach("judge fails a release")
            case State.HALTED if by_itself:
                hard = (rollout.question or "").startswith("safety trip")
                books.reach("halted by hard events" if hard else "halted by the judge")
            case State.PAUSED if by_itself:
                hard = (rollout.question or "").startswith("safety trip")
                books.reach("paused by a hard event" if hard else "asks a person")
            case _:
                pass

    def _wave_opened(self, rollout: Rollout, book: RolloutBook) -> None:
        if rollout.wave != book.wave + 1 or rollout.wave in book.waves_opened:
            raise PromiseBroken("R6", f"{rollout.rollout_id}: wave {rollout.wave} opens after wave {book.wave}")
        if rollout.epoch == book.epoch and book.wave:
            raise PromiseBroken(
                "R6", f"{rollout.rollout_id}: wave {rollout.wave} opens under the epoch of the one before"
            )
        book.waves_opened.append(rollout.wave)
        if rollout.wave > 1:
            self._world.books.reach("advance")

    def _soaked(self, rollout: Rollout, book: RolloutBook, waves: tuple[Wave, ...]) -> None:
        if book.state == State.COMPLETED:
            return
        wave = next(wave for wave in waves if wave.number == book.wave)
        since_ms = book.wave_published_ms
        if since_ms is None or self._world.engine.now_ms - since_ms < wave.soak_s * 1000:
            raise PromiseBroken("R6", f"{rollout.rollout_id}: wave {book.wave} is passed before its soak")


def _inside(manifest: CampaignManifest, device_id: str) -> bool:
    return is_inside(
        release_digest=manifest.release_digest,
        device_id=device_id,
        share=manifest.share,
        salt=manifest.salt,
        named=manifest.named,
    )


def _installs(book: ChargerBook) -> bool:
    return book.flight is not None and book.flight.purpose is Purpose.INSTALL
