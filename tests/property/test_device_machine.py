"""The agent machine under any sequence of luck and bad luck, power cuts between and inside its effects included.

The paper charger fails the test itself when a rule of the world is broken (see its docstring: what boots, what is
written, under which permit the trial flag is set, what a reboot may cut). Here stand rules that need a longer memory.
"""

from enum import StrEnum

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from device_client.domain import effects as do
from device_client.domain.slots import SlotStatus
from otacore.wire.campaign import StopList
from otacore.wire.policy import Floor
from otacore.wire.release import ReleaseKind
from tests.fakes.paper_charger import CONFIG, FIRMWARE, Behaviour, Cut, PaperCharger, PowerCut
from tests.fakes.paper_world import PaperWorld

KINDS = st.sampled_from([FIRMWARE, FIRMWARE, CONFIG])
TIMES = st.sampled_from([1_000, 1_000, 40_000, 130_000, 4_000_000])
QUESTIONS = (
    do.LookUp,
    do.FetchStretch,
    do.CopyStretch,
    do.ReadBackSlot,
    do.Hold,
    do.AskPermit,
    do.ReadClock,
    do.Reboot,
    do.ApplyConfig,
)
ROUNDS = st.integers(0, 9)


class Mischief(StrEnum):
    """What may happen right before an effect is performed."""

    CAR = "a car comes"
    OFFLINE = "the network goes"
    POWER = "the power goes"
    WINDOW = "the window shuts"
    HALT = "the rollout is halted"
    UNREACHABLE = "http.unreachable"
    FULL = "disk.full"
    EXPIRED = "trust.expired"


class Weather(StrEnum):
    """What may change around the charger."""

    CAR_COMES = "car comes"
    CAR_GOES = "car goes"
    OFFLINE = "offline"
    LINK_DOWN = "link down"
    WINDOW_SHUTS = "window shuts"
    SLOW_DISK = "slow disk"
    SLOW_DESK = "slow desk"
    LYING_MIRROR = "lying mirror"
    NO_REBOOT = "reboot does not come"
    NO_APPLY = "program refuses configurations"
    NO_PLACE = "no_place"
    UNKNOWN_KEY = "envelope.unknown_key"
    NEWER_ROOT = "permits name a newer root"
    HIDDEN_ROOT = "a refresh does not find the newest root"
    ROT = "a cell of the idle slot dies"


class ChargerLife(RuleBasedStateMachine):
    """One charger, any life."""

    @initialize(configured=st.booleans())
    def factory(self, configured: bool) -> None:  # noqa: FBT001 -- Hypothesis hands arguments by name
        self.world = PaperWorld()
        self.charger = PaperCharger(self.world, self.world.factory(config="0.5" if configured else None))
        self.minor = {FIRMWARE: 0, CONFIG: 0}
        self.mischief: dict[type, Mischief] = {}
        self.charger.before_effect = self._before_effect
        self.charger.run(1)

    @rule(
        kind=KINDS, behaviour=st.sampled_from([Behaviour.GOOD, *Behaviour]), security=st.integers(1, 3), rounds=ROUNDS
    )
    def release(self, kind: ReleaseKind, behaviour: Behaviour, security: int, rounds: int) -> None:
        """A new release, perhaps a bad one. A configuration never kills its firmware's agent here."""
        self.minor[kind] += 1
        found = self.world.release(f"1.{self.minor[kind]}", kind=kind, security_version=security)
        digest = self.world.open(f"r-{kind}-{self.minor[kind]}", found, epoch=10)
        dies_alone = kind is CONFIG and behaviour is Behaviour.DIES
        self.charger.behaviour[digest] = Behaviour.SICK if dies_alone else behaviour
        self.charger.run(rounds)

    @rule(kind=KINDS, rounds=ROUNDS)
    def call_back(self, kind: ReleaseKind, rounds: int) -> None:
        digest = self.charger.digest(kind)
        if digest is not None:
            self.world.offered = ()
            self.world.called_back = (("r-back", kind, digest),)
            self.charger.run(rounds)

    @rule(what=st.sampled_from(["hold", "stop", "nothing", "floor"]), rounds=ROUNDS)
    def operate(self, what: str, rounds: int) -> None:
        """Halt, stop for good, offer nothing, raise the floor."""
        rollouts = self.world.offered
        if what == "hold":
            self._halt()
        if what == "stop" and rollouts:
            old, digest = self.world.stop, self.world.campaigns[rollouts[0]].release_digest
            assert old is not None
            self.world.stop = StopList(old.serial + 1, tuple(sorted({*old.stopped, digest})), 1)
        if what == "nothing":
            self.world.offered = self.world.called_back = ()
        if what == "floor" and self.minor[FIRMWARE]:
            old_floor = self.world.floor
            assert old_floor is not None
            raised = min(3, old_floor.security_version + 1)
            self.world.floor = Floor("acme-dc50", old_floor.serial + 1, raised, "1.1")
        self.charger.run(rounds)

    @rule(ms=TIMES, rounds=ROUNDS)
    def time_passes(self, ms: int, rounds: int) -> None:
        self.charger.run(rounds, ms=ms)

    @rule(what=st.lists(st.sampled_from(Weather), min_size=1, max_size=3), rounds=ROUNDS)
    def weather(self, what: list[Weather], rounds: int) -> None:
        for change in what:
            self._change(change)
        self.charger.attempt(lambda: self.charger.tick(ms=1))
        self.charger.run(rounds)

    @rule(effect=st.sampled_from([*QUESTIONS, do.WriteBoot, do.WriteJournal]), mischief=st.sampled_from(Mischief))
    def plan_mischief(self, effect: type, mischief: Mischief) -> None:
        """Something happens the next time the machine wants this effect."""
        self.mischief[effect] = mischief

    @rule(after=st.integers(0, 12), cut=st.sampled_from(Cut), rounds=ROUNDS)
    def power_cut(self, after: int, cut: Cut, rounds: int) -> None:
        self.charger.cut_at, self.charger.cut = self.charger.writes + after, cut
        self.charger.run(rounds)

    @rule()
    def agent_crashes(self) -> None:
        if self.charger.running is not None:
            self.charger.attempt(self.charger.crash_agent)

    @rule(rounds=ROUNDS)
    def fair_weather(self, rounds: int) -> None:
        self._fair_weather()
        self.charger.run(rounds)

    # --- promises -----------------------------------------------------------------------------------------------

    @invariant()
    def old_slot_stays_bootable(self) -> None:
        """D3: while a firmware is not confirmed, the confirmed one before it lies in the other slot."""
        pair = self.charger.record.firmware
        if pair.slot(pair.primary).status is SlotStatus.KEPT:
            assert pair.slot(pair.primary.other).status is SlotStatus.CONFIRMED

    @invariant()
    def failed_releases_stay_failed(self) -> None:
        """D5: a digest that failed here is not made the target of a job again."""
        if self.charger.running is not None:
            job = self.charger.state.job
            assert job is None or self.charger.state.journal.failure_of(job.image.release_digest) is None

    def teardown(self) -> None:
        """When faults stop: it boots, comes to rest on something settled and healthy, and charges."""
        charger = self.charger
        self._fair_weather()
        self.world.offered = self.world.called_back = ()
        charger.run(3)
        charger.run(40, ms=4_000_000)
        pair = charger.record.firmware
        assert charger.running is not None
        assert pair.trial is None
        assert pair.slot(pair.running).status in (SlotStatus.CONFIRMED, SlotStatus.KEPT)
        assert charger.behaviour.get(charger.digest() or "", Behaviour.GOOD) in (Behaviour.GOOD, Behaviour.MUTE)
        assert charger.start_session()

    # --- how ----------------------------------------------------------------------------------------------------

    def _halt(self) -> None:
        for rollout in self.world.offered:
            self.world.hold(rollout)

    def _fair_weather(self) -> None:
        charger, world = self.charger, self.world
        charger.questions_fail.clear()
        self.mischief.clear()
        charger.online = charger.link_up = charger.window_open = True
        charger.session = charger.reboot_fails = charger.apply_fails = False
        charger.write_ms, world.permit_ms, charger.cut_at = 0, 0, None
        world.lying_mirror, world.refreshed_root, world.refuse_permits = False, None, None

    def _change(self, change: Weather) -> None:  # noqa: C901, PLR0912 -- a flat list of what may happen
        charger, world = self.charger, self.world
        match change:
            case Weather.CAR_COMES:
                charger.start_session()
            case Weather.CAR_GOES:
                charger.session = False
            case Weather.OFFLINE:
                charger.online = False
            case Weather.LINK_DOWN:
                charger.online = charger.link_up = False
            case Weather.WINDOW_SHUTS:
                charger.window_open = False
            case Weather.SLOW_DISK:
                charger.write_ms = 31_000
            case Weather.SLOW_DESK:
                world.permit_ms = 20_000
            case Weather.LYING_MIRROR:
                world.lying_mirror = True
            case Weather.NO_REBOOT:
                charger.reboot_fails = True
            case Weather.NO_APPLY:
                charger.apply_fails = True
            case Weather.NO_PLACE | Weather.UNKNOWN_KEY:
                world.refuse_permits = change.value
            case Weather.NEWER_ROOT:
                world.root_version += 1
            case Weather.HIDDEN_ROOT:
                world.refreshed_root = max(1, world.root_version - 1)
            case Weather.ROT:
                self._rot()

    def _rot(self) -> None:
        """D1 promises this much: one cell of a slot that nobody needs right now."""
        for kind in ReleaseKind:
            pair = self.charger.record.pair(kind)
            settled = pair.slot(pair.primary).status is SlotStatus.CONFIRMED and pair.booted is pair.primary
            if settled and pair.trial is None and pair.slot(pair.primary.other).status is SlotStatus.CONFIRMED:
                self.charger.slots[kind, pair.primary.other].rotten = True

    def _before_effect(self, effect: do.Effect) -> None:
        charger = self.charger
        charger.questions_fail.pop(type(effect), None)
        match self.mischief.pop(type(effect), None):
            case Mischief.CAR:
                charger.start_session()
            case Mischief.OFFLINE:
                charger.online = False
            case Mischief.POWER:
                raise PowerCut
            case Mischief.WINDOW:
                charger.window_open = False
            case Mischief.HALT:
                self._halt()
            case Mischief.UNREACHABLE | Mischief.FULL | Mischief.EXPIRED as code:
                charger.questions_fail[type(effect)] = code.value
            case None:
                pass


TestChargerLife = ChargerLife.TestCase
TestChargerLife.settings = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
