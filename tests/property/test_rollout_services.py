"""The rollout services under any course of events: what must never happen, and what must always hold.

The world is small (three sites of two chargers), the store in memory, and everything that can happen is a rule: polls
and installs, good and bad chargers, ticks, doubled and killed ticks, a repository that is down, persons who pause,
halt, resume, promote and take back, processes that restart.
"""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from otacore.errors import Misuse
from otacore.wire.permit import Purpose
from otacore.wire.report import Phase
from rollout.adapters.memory import CommitPoint
from rollout.domain.audit import verify
from rollout.domain.judge.entry import group_moves
from rollout.domain.machine import Event, resuming
from rollout.domain.offer import OFFERING
from rollout.domain.participation import counter_moves
from rollout.domain.place import place_limit
from rollout.domain.planning import WaveRequest
from rollout.domain.records import Rollout, Stage, State
from rollout.service.acts import AwaitingApproval
from tests.fakes.rollout_world import ANNA, BERT, PaperCharger, World, judge_draft

WAVES = (WaveRequest(chargers=2, one_per_site=True, soak_s=3), WaveRequest(percent=100, soak_s=3))
ROLLOUT = "r-1-1-0"
CHARGERS = st.integers(0, 5)


class Killed(BaseException):
    """The process is gone."""


class AnyCourse(RuleBasedStateMachine):
    """One rollout over six chargers."""

    world: World
    epoch: int
    wave: int

    @initialize(bad=st.sets(CHARGERS, max_size=2), dead=st.sets(CHARGERS, max_size=1))
    def begin(self, bad: set[int], dead: set[int]) -> None:
        self.world = World(sites=3, per_site=2)
        self.world.round()
        for index, charger in enumerate(self.world.chargers.values()):
            charger.reverts, charger.dies_when_armed = index in bad, index in dead
        self.world.start("1.1.0", waves=WAVES, judge=judge_draft(soak_ms=3_000, promote_unproven=True))
        self.epoch = self.wave = 0

    def charger(self, index: int) -> PaperCharger:
        return list(self.world.chargers.values())[index]

    def rollout(self) -> Rollout:
        return self.world.rollout(ROLLOUT)

    @rule(index=CHARGERS)
    def acts(self, index: int) -> None:
        before = len(self.world.signer.signed)
        self.world.view.catch_up()
        offering = self.rollout().state in OFFERING
        self.charger(index).act()
        installs = [one for one in self.world.signer.signed[before:] if one.purpose is Purpose.INSTALL]
        assert offering or not installs, "an install permit in a state that gives none"

    @rule(index=CHARGERS)
    def loses_a_reply(self, index: int) -> None:
        self.charger(index).loses_reply = True

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.advance(seconds * 1_000)
        self.world.poll.flush_seen()

    @rule(times=st.integers(1, 2))
    def ticks(self, times: int) -> None:
        for _ in range(times):
            for ticked in self.world.controller.tick():
                assert not ticked.did.startswith("failed"), ticked.did

    @rule(point=st.sampled_from(CommitPoint), number=st.integers(1, 6))
    def a_tick_is_killed(self, point: CommitPoint, number: int) -> None:
        commits = Counter[CommitPoint]()

        def kill(at: CommitPoint) -> None:
            commits[at] += 1
            if commits[point] == number:
                raise Killed

        self.world.store.on_commit = kill
        try:
            self.world.controller.tick()
        except Killed:
            self.world.store.on_commit = None
            self.world.restart()
        self.world.store.on_commit = None

    @rule(is_down=st.booleans())
    def the_repository_goes_or_comes(self, is_down: bool) -> None:  # noqa: FBT001 -- Hypothesis names it
        self.world.publisher.is_down = is_down

    @rule()
    def a_person_halts(self) -> None:
        with self.world.store.reading() as tx:
            announced = tx.count_open_permits(ROLLOUT, Purpose.INSTALL, since_ms=0)
        answer = self.world.operator.halt(ANNA, ROLLOUT, reason="halt")
        assert answer.permits_open == announced
        flying = sum(one.phase is Phase.TRIAL and one.trial_rollout == ROLLOUT for one in self.world.chargers.values())
        assert answer.permits_open >= flying, "a charger that has armed was not announced"

    @rule(event=st.sampled_from([Event.PAUSE, Event.RESUME, Event.ROLL_BACK, Event.PROMOTE]))
    def a_person_decides(self, event: Event) -> None:
        operator = self.world.operator
        act = {
            Event.PAUSE: operator.pause,
            Event.RESUME: operator.resume,
            Event.ROLL_BACK: operator.rollback,
            Event.PROMOTE: operator.promote,
        }[event]
        try:
            answer = act(ANNA, ROLLOUT, reason="because")
            if isinstance(answer, AwaitingApproval):
                operator.approve(BERT, answer.approval.approval_id)
        except Misuse:
            return  # the machine, or the pace, does not allow it now

    @invariant()
    def epochs_and_waves_only_rise(self) -> None:
        rollout = self.rollout()
        assert rollout.epoch >= self.epoch
        assert rollout.wave >= self.wave
        assert rollout.published_epoch <= rollout.epoch
        self.epoch, self.wave = rollout.epoch, rollout.wave
        if rollout.state in (State.PAUSED, State.HALTED):
            resuming(rollout.resume_to)

    @invariant()
    def no_site_has_more_in_flight_than_its_share(self) -> None:
        with self.world.store.reading() as tx:
            for number in range(3):
                site = tx.site(f"site-{number:02}")
                assert site is not None
                places = tx.places_of_site(site.site_id)
                installs = [one.device_id for one in places if one.purpose is Purpose.INSTALL]
                assert len(installs) <= place_limit(site, tx.devices_of_site(site.site_id))
                assert len(places) - len(installs) <= 1
                held = {one.device_id for one in places}
                for charger in self.world.chargers.values():
                    if charger.device_id.startswith(f"c-{number:02}") and charger.phase is Phase.TRIAL:
                        assert charger.device_id in held, "a charger in flight without a place"

    @invariant()
    def counters_are_what_the_rows_say(self) -> None:
        counted: Counter[tuple[int, str]] = Counter()
        with self.world.store.reading() as tx:
            for part in tx.participations_in(ROLLOUT, frozenset(Stage), after_device_id="", limit=99):
                for wave, name, delta in counter_moves(None, part):
                    counted[wave, name] += delta
            parts = tx.participations_in(ROLLOUT, frozenset(Stage), after_device_id="", limit=99)
            stored = {
                key: count for key, count in tx.counters(ROLLOUT).items() if count and not key[1].startswith("part.")
            }
            groups = {
                (group.stratum, group.number, cell): count
                for group in tx.groups(ROLLOUT)
                for cell, count in group.cells.items()
                if count
            }
        assert stored == dict(counted)
        cells = Counter((*move[:3],) for part in parts for move in group_moves(None, part.entry))
        assert groups == dict(cells), "what judge and guard read is what the chargers' own rows say"

    @invariant()
    def the_audit_chain_holds(self) -> None:
        with self.world.store.reading() as tx:
            assert verify(tx.audit_page(after_sequence=0, limit=9_999)) is None


TestAnyCourse = AnyCourse.TestCase
TestAnyCourse.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


@settings(max_examples=60, deadline=None)
@given(
    asking=st.lists(CHARGERS, min_size=1, max_size=8),
    point=st.sampled_from(CommitPoint),
    number=st.integers(1, 8),
)
def test_no_permit_after_a_halt_at_any_interleaving(asking: list[int], point: CommitPoint, number: int) -> None:
    """R1: whatever was under way, a permit that leaves after the halt was announced by it, or does not exist."""
    world = World(sites=3, per_site=2)
    world.round()
    rollout_id = world.start(
        "1.1.0", waves=(WaveRequest(percent=100, soak_s=3),), judge=judge_draft(promote_unproven=True)
    )
    chargers = list(world.chargers.values())
    epoch = world.rollout(rollout_id).epoch
    commits, announced = 0, set[str]()
    halted_after = 10**9

    def interleave(at: CommitPoint) -> None:
        nonlocal commits, halted_after
        commits += at is point
        if commits != number or at is not point:
            return
        world.store.on_commit = None
        answer = world.operator.halt(ANNA, rollout_id, reason="stop")
        halted_after = len(world.signer.signed)
        with world.store.reading() as tx:
            announced.update(permit.nonce for one in chargers for permit in tx.open_permits(one.device_id))
        assert answer.permits_open == len(announced)

    world.store.on_commit = interleave
    for index in asking:
        chargers[index].ask(chargers[index].request(rollout_id, "1.1.0", epoch))
    assert {permit.nonce for permit in world.signer.signed[halted_after:]} <= announced
