"""One virtual charger: power, boot ROM, the real agent machine and its driver.

What it is: the thing around `device_client.domain`: it boots what boot selection selects, performs the machine's
effects one after another on a medium that forgets what was not durable, and feeds it what happened.
What it does not do: decide. Sessions, health and calls stand in `habits.py`, questions of the machine in `answers.py`.

Rules:
1. Every durable write may be cut before, inside or after it; then everything volatile is gone.
2. While effects are being performed nothing else reaches the machine, as in the one thread of a real agent.
3. An answer reaches only the agent that asked: a reboot or a crash of the agent makes older answers void.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from device_client.domain import boot
from device_client.domain.effects import Effect, Release, SendReport, WriteBoot, WriteJournal, WritePolicy
from device_client.domain.events import Event, Tick
from device_client.domain.journal import Journal, PolicyMemory
from device_client.domain.limits import Limits
from device_client.domain.machine import step, wake_at_ms
from device_client.domain.restart import start
from device_client.domain.slots import Image, SlotName, SlotPair, factory_pair
from device_client.domain.state import AgentState
from device_client.domain.state import Charger as Registered
from ops.simulation.answers import Answers
from ops.simulation.habits import Habits
from ops.simulation.medium import CUTS, Cut, PowerLost, Ruined, SlotBytes, TwoCopies
from ops.simulation.network import Link
from ops.simulation.releases import HARDWARE, PRODUCT, RATING_W, Built, Nature
from ops.simulation.traits import Traits
from otacore.wire.release import ReleaseKind

if TYPE_CHECKING:
    from ops.simulation.world import World

BOOT_MS = (8_000, 40_000)
AGENT_START_MS = 3_000
DARK_MS = (5_000, 1_800_000)
STALL_MS = (2_000, 45_000)
SOONEST_TICK_MS = 1_000


class Charger:
    """One charger; `number` is its dense number at the server."""

    def __init__(self, world: World, *, name: str, site_id: str, number: int, traits: Traits, factory: Built) -> None:
        self.world = world
        self.name, self.site_id, self.number, self.traits = name, site_id, number, traits
        self.link = Link()
        self.registered = Registered(name, PRODUCT, HARDWARE, Limits(rating_w=RATING_W))
        image = image_of(factory)
        self.boot = TwoCopies(boot.BootRecord(firmware=factory_pair(image, ReleaseKind.FIRMWARE)))
        self.journal: TwoCopies[Journal] = TwoCopies(Journal(highest_firmware=image.version))
        self.policy: TwoCopies[PolicyMemory] = TwoCopies(PolicyMemory())
        self.slots = {(kind, slot): SlotBytes() for kind in ReleaseKind for slot in SlotName}
        self.slots[ReleaseKind.FIRMWARE, SlotName.A] = SlotBytes(image.image_sha256, image.length_bytes)
        self.metadata_seen = 0
        self.has_decayed = False
        self.is_dead = False
        self.life = 0
        self.agent_life = 0
        self.is_powered = False
        self.state: AgentState | None = None
        self.running: Built | None = None
        self.config: Built | None = None
        self.booted_at_ms = 0
        self.fruitless_boots = 0
        self.habits = Habits(self)
        self.answers = Answers(self)
        self._inbox: deque[Callable[[int], Event]] = deque()
        self._is_performing = False
        self._tick_due_ms: int | None = None
        self._ticked_at_ms = -1

    # --- time -------------------------------------------------------------------------------------------------------

    def clock_ms(self) -> int:
        """The suspend-proof monotonic clock: from 0 at each boot, a little fast or slow."""
        since = self.world.engine.now_ms - self.booted_at_ms
        return since + since * self.traits.drift_ppm // 1_000_000

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something in this life of the agent, unless it ends before."""
        life = self.agent_life
        self.world.engine.after(delay_ms, lambda: action() if life == self.agent_life else None)

    def ticked_ms_ago(self) -> int:
        """Since when the machine had no tick."""
        return self.clock_ms() - self._ticked_at_ms

    @property
    def boot_id(self) -> str:
        """One per boot."""
        return f"{self.name}-{self.life}"

    def while_powered(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something unless the power goes or the charger reboots before."""
        life = self.life
        self.world.engine.after(delay_ms, lambda: action() if life == self.life else None)

    def takes(self, low_ms: int, high_ms: int) -> int:
        """How long something takes here."""
        return self.world.engine.between(low_ms, high_ms) * self.traits.slowness

    # --- power and boot ROM -----------------------------------------------------------------------------------------

    def power_up(self) -> None:
        """The power is there (again): the boot ROM begins."""
        self._end_life()
        if self.is_dead:
            return
        self.is_powered = True
        self.while_powered(self.world.engine.between(*BOOT_MS), self._boot)

    def power_down(self, *, dark_ms: int) -> None:
        """The power goes; what was not durable is gone."""
        self.world.watch.power_went(self)
        self._end_life()
        self.is_powered = False
        life = self.life
        self.world.engine.after(dark_ms, lambda: self.power_up() if life == self.life else None)

    def die(self) -> None:
        """For good."""
        self.note("dies")
        self._end_life()
        self.is_dead, self.is_powered = True, False
        self.world.watch.died(self)

    def reboot(self) -> None:
        """The machine's order, or a crash: from the boot ROM again."""
        self._end_life()
        self.is_powered = True
        self.while_powered(self.world.engine.between(*BOOT_MS), self._boot)

    def _end_life(self) -> None:
        self.life += 1
        self.agent_life += 1
        self.state = None
        self.running = None
        self._inbox.clear()
        self._is_performing = False
        self._tick_due_ms, self._ticked_at_ms = None, -1
        self.habits.end()

    def _boot(self) -> None:
        self._decay()
        try:
            record = self.boot.load()
        except Ruined:
            self.world.watch.ruined(self)
            return
        made, firmware, config = boot.boot(record)
        if not self._kept_power(lambda cut: self.boot.save(made, cut)):
            return
        self.world.watch.selected(self, firmware, record)
        self.running = self.runnable(ReleaseKind.FIRMWARE, firmware.slot, firmware.pair)
        if self.running is None or self.nature_of(self.running) is Nature.STILLBORN:
            self.note(f"crashes in slot {firmware.slot} ({firmware.why})")
            self._crash()
            return
        self.fruitless_boots = 0
        self.config = self.runnable(ReleaseKind.CONFIG, config.slot, config.pair)
        self.booted_at_ms = self.world.engine.now_ms
        self.note(f"boots {self.running.word} in slot {firmware.slot} ({firmware.why})")
        self.world.watch.booted(self, firmware)
        self.habits.begin(on_trial=firmware.why is boot.Why.TRIAL)
        self.while_powered(AGENT_START_MS, self.start_agent)

    def _crash(self) -> None:
        self.fruitless_boots += 1
        self.running = None
        self.world.watch.crashed(self)
        self.habits.crashed(self.fruitless_boots)
        self.reboot()

    def nature_of(self, built: Built) -> Nature:
        """How this charger fares with a release."""
        return built.nature_on(is_hidden=self.traits.is_hidden)

    def runnable(self, kind: ReleaseKind, slot: SlotName | None, pair: SlotPair) -> Built | None:
        """What runs when this slot is started: whatever lies there, if it is whole."""
        if slot is None or (image := pair.slot(slot).image) is None:
            return None
        if not self.slots[kind, slot].holds(image.image_sha256, image.length_bytes):
            return None
        return self.world.repository.by_image(image.image_sha256)

    def _decay(self) -> None:
        """One copy of the boot record, or the slot that is not the primary, may have decayed; once per charger."""
        hits = self.world.faults.now(self.world.faults.rates.bit_rot)
        which = self.world.engine.between(0, 2)
        if not hits or self.has_decayed:
            return
        self.has_decayed = True
        if which == 2:  # noqa: PLR2004 - the third of three cases
            idle = self.boot.load().firmware.primary.other
            self.slots[ReleaseKind.FIRMWARE, idle].is_rotten = True
            self.note(f"slot {idle} has decayed")
        else:
            self.boot.decay(which)
            self.note("one copy of the boot record has decayed")

    # --- the agent --------------------------------------------------------------------------------------------------

    def start_agent(self) -> None:
        """After a boot, or after the agent's process crashed."""
        self.agent_life += 1
        self._inbox.clear()
        self._is_performing = False
        self._tick_due_ms, self._ticked_at_ms = None, -1
        self.state, effects = start(
            charger=self.registered,
            timing=self.world.timing,
            boot=self.boot.load(),
            journal=self.journal.load(),
            policy=self.policy.load(),
            boot_id=self.boot_id,
            entropy=f"{self.world.engine.random.getrandbits(128):032x}",
            at_ms=self.clock_ms(),
        )
        self.note(f"agent starts: {self.state.stage}")
        self._perform(effects, 0)
        self.habits.agent_started()
        self._drain()

    def feed(self, make: Callable[[int], Event]) -> None:
        """Something happened; `make` gets the clock at the moment the machine hears of it."""
        self._inbox.append(make)
        self._drain()

    def _drain(self) -> None:
        while self._inbox and not self._is_performing and self.state is not None:
            event = self._inbox.popleft()(self.clock_ms())
            if isinstance(event, Tick):
                self._ticked_at_ms = event.at_ms
            before = self.state.stage
            self.state, effects = step(self.state, event)
            self.note(f"{before} {type(event).__name__} -> {self.state.stage} {_names(effects)}")
            self._perform(effects, 0)
            if self.world.faults.now(self.world.faults.rates.agent_crash) and self.state is not None:
                self.note("agent crashes")
                self.agent_life += 1
                self.state = None
                self.while_powered(AGENT_START_MS, self.start_agent)

    def _perform(self, effects: tuple[Effect, ...], index: int) -> None:
        self._is_performing = True
        while index < len(effects):
            if self.world.faults.now(self.world.faults.rates.stall):
                stall_ms = self.world.engine.between(*STALL_MS)
                self.later(stall_ms, lambda at=index: self._go_on(effects, at))  # type: ignore[misc] # at: int
                return
            life = self.agent_life
            self._do(effects[index])
            if life != self.agent_life:
                return
            index += 1
        self._is_performing = False
        self._plan_tick()
        self.habits.look_for_reports()

    def _go_on(self, effects: tuple[Effect, ...], index: int) -> None:
        self._do(effects[index])
        if self.state is not None:
            self._perform(effects, index + 1)
            self._drain()

    def _do(self, effect: Effect) -> None:
        match effect:
            case WriteBoot(record):
                self._write_boot(record)
            case WriteJournal(journal):
                self._kept_power(lambda cut: self.journal.save(journal, cut))
            case WritePolicy(policy):
                before = self.policy.load()
                if self._kept_power(lambda cut: self.policy.save(policy, cut)):
                    self.world.watch.policy_written(self, before, policy)
            case Release():
                self.habits.release()
            case SendReport(report):
                self.habits.send(report)
            case _:
                self.answers.ask(effect)

    def _write_boot(self, record: boot.BootRecord) -> None:
        before = self.boot.load()
        self._kept_power(lambda cut: self.boot.save(record, cut))
        after = self.boot.load()
        if after is record:
            self.world.watch.boot_written(self, before, after)

    def _kept_power(self, write: Callable[[Cut | None], None]) -> bool:
        """Make a durable write; False when the power went in it."""
        faults = self.world.faults
        cuts = faults.now(faults.rates.power_cut)
        where = CUTS[self.world.engine.between(0, len(CUTS) - 1)]
        try:
            write(where if cuts else None)
        except PowerLost:
            self.note(f"power cut {where} a write")
            self.power_down(dark_ms=self.world.engine.between(*DARK_MS))
            return False
        return True

    def _plan_tick(self) -> None:
        if self.state is None:
            return
        wake = wake_at_ms(self.state)
        if wake is None or wake <= self._ticked_at_ms:
            return  # what is due was told already; the next tick comes with a poll or the end of a session
        delay_ms = max(SOONEST_TICK_MS, wake - self.clock_ms())
        due_ms = self.world.engine.now_ms + delay_ms
        if self._tick_due_ms is None or due_ms < self._tick_due_ms:
            self._tick_due_ms = due_ms
            self.later(delay_ms, lambda: self._tick(due_ms))

    def _tick(self, due_ms: int) -> None:
        if self._tick_due_ms == due_ms:
            self._tick_due_ms = None
            self.feed(self.habits.tick)

    def note(self, line: str) -> None:
        """A line of the trace."""
        self.world.engine.note(f"{self.name} {line}")


def image_of(built: Built) -> Image:
    """The image as a slot names it."""
    manifest = built.manifest
    return Image(
        release_digest=built.digest,
        image_sha256=built.image_sha256,
        length_bytes=built.length_bytes,
        version=manifest.version,
        security_version=manifest.security_version,
    )


def _names(effects: tuple[Effect, ...]) -> str:
    return ",".join(type(effect).__name__ for effect in effects)
