"""The agent's loop: looks around, polls, performs what the machine wants, reports. One `run_once` at a time.

It never sleeps and starts no thread: `run_once` does what is due and gives the time at which it wants to be called
again, so many of them run on one thread. It decides nothing: the machine (`device_client.domain.machine`) does.

Rules:
1. Crash-only: when a durable write fails, the state in memory is dropped and the agent begins again from the records.
2. Every authentic answer is contact. Of a poll it is told to the machine before what the poll says.
3. Long questions (stretches of a download) are done one per round, so that polls and reports go on in between.
4. After a reboot was ordered nothing more is done; if it does not come in time, the machine is told.
"""

import logging
from collections.abc import Callable
from typing import Final

from device_client.domain import effects as do
from device_client.domain import events as on
from device_client.domain.boot import failed_boots
from device_client.domain.machine import step, wake_at_ms
from device_client.domain.restart import start
from device_client.domain.state import AgentState, Charger, Timing
from device_client.service.behaviour import behaviour_of
from device_client.service.pacing import Pacing, retry_wait_ms
from device_client.service.performer import Performer, Ports
from device_client.service.ports import Surroundings
from device_client.service.reporter import SAFETY_TRIP, Reporter
from device_client.service.trusted_time import TrustedTime
from otacore.clock import Clock
from otacore.errors import OtaError
from otacore.ids import RolloutId
from otacore.wire.device_api import Answer, PollReply, PollRequest
from otacore.wire.release import ReleaseKind
from otacore.wire.report import HealthEvent, Report

LOG = logging.getLogger(__name__)

MAX_STEPS_PER_ROUND: Final = 200
"""Steps that one event may lead to; reaching it is a fault of the machine, not of the world."""
MAX_REPORTS_PER_ROUND: Final = 8
REBOOT_LIMIT_MS: Final = 60_000
"""After this a reboot that was ordered counts as not coming."""
BOOT_LOOP: Final = 3
"""So many boots in a row that came to nothing are a boot loop: health metric h4."""
BEGIN_AGAIN_MS: Final = 30_000
"""Wait after a write that failed, so that a full disk is not hammered."""


class Agent:
    """One charger's update client."""

    def __init__(
        self,
        *,
        charger: Charger,
        ports: Ports,
        clock: Clock,
        entropy: Callable[[], str],
        timing: Timing | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        """`entropy` gives at least 16 fresh random bytes in hex whenever it is called."""
        self._charger = charger
        self._ports = ports
        self._clock = clock
        self._entropy = entropy
        self._timing = timing or Timing()
        self._pacing = pacing or Pacing()
        self._performer = Performer(ports=ports, time=TrustedTime(clock), device_id=charger.device_id)
        self._reporter = Reporter(ports=ports, performer=self._performer, pacing=self._pacing, seed=charger.device_id)
        self._state: AgentState | None = None
        self._question: do.Question | None = None
        self._outgoing: Report | None = None
        self._look: Surroundings | None = None
        self._reboot_ordered_at_ms: int | None = None
        self._begin_at_ms = 0
        self._next_tick_ms = 0
        self._next_poll_ms = 0
        self._poll_setbacks = 0

    @property
    def state(self) -> AgentState | None:
        """The machine's state; None before the first round, and after a write that failed."""
        return self._state

    def run_once(self) -> int:
        """Do what is due. Gives the monotonic time at which it wants to be called again.

        Raises: Broken when the own records cannot be trusted: then no more of this agent, and charging goes on.
        """
        now_ms = self._clock.monotonic_ms()
        if self._reboot_ordered_at_ms is not None and now_ms < self._reboot_ordered_at_ms + REBOOT_LIMIT_MS:
            return self._reboot_ordered_at_ms + REBOOT_LIMIT_MS
        if self._state is None and now_ms < self._begin_at_ms:
            return self._begin_at_ms
        try:
            self._round(now_ms)
        except OtaError as error:
            self._begin_again(error)
        return self._next_due_ms()

    def forget(self, release_digest: str) -> None:
        """A person says that a release which failed here may be tried again."""
        self._feed(on.Forget(self._clock.monotonic_ms(), release_digest))

    def _round(self, now_ms: int) -> None:
        if self._state is None:
            self._begin(now_ms)
        if self._reboot_ordered_at_ms is not None:
            self._reboot_ordered_at_ms = None
            self._feed(on.Failed(now_ms, on.FailureKind.UNAVAILABLE, "device.reboot_did_not_come"))
        if self._question is not None:
            question, self._question = self._question, None
            self._feed(self._performer.answer(question))
            self._feed_contact()
        if now_ms >= self._next_tick_ms:
            self._tick()
        if now_ms >= self._next_poll_ms:
            self._poll()
        self._report()

    def _begin(self, now_ms: int) -> None:
        records = self._ports.records
        boot = records.read_boot()
        self._state, effects = start(
            charger=self._charger,
            timing=self._timing,
            boot=boot,
            journal=records.read_journal(),
            policy=records.read_policy(),
            boot_id=self._ports.program.boot_id(),
            entropy=self._entropy(),
            at_ms=now_ms,
        )
        LOG.info("agent_started stage=%s boot_id=%s", self._state.stage, self._state.boot_id)
        self._reporter.recall(self._state.journal.trips, boot_id=self._state.boot_id, at_ms=now_ms)
        failed = failed_boots(boot.firmware, ReleaseKind.FIRMWARE)
        if failed >= BOOT_LOOP:
            self._reporter.hear((HealthEvent("h4", 0, f"{failed} boots in a row failed"),), at_ms=now_ms)
        self._question, self._reboot_ordered_at_ms = None, None
        self._next_tick_ms = self._next_poll_ms = now_ms
        self._feed(self._perform(effects))

    def _begin_again(self, error: OtaError) -> None:
        """A write failed (or the records could not be read): nothing in memory counts any more."""
        LOG.error("agent_fell code=%s hint=%s", error.code, error.hint)
        self._state, self._question = None, None
        if behaviour_of(error).stops:
            raise error
        self._begin_at_ms = self._clock.monotonic_ms() + BEGIN_AGAIN_MS

    def _feed(self, event: on.Event | None) -> None:
        """One event, and every step that follows from it at once."""
        following = event
        for _ in range(MAX_STEPS_PER_ROUND):
            if following is None or self._state is None or self._reboot_ordered_at_ms is not None:
                return
            before = self._state.stage
            self._state, effects = step(self._state, following)
            if self._state.stage is not before:
                LOG.info("agent_moved from=%s to=%s reason=%s", before, self._state.stage, self._state.reason)
            following = self._perform(effects)
        raise AssertionError(f"the machine did not come to rest in {MAX_STEPS_PER_ROUND} steps")

    def _perform(self, effects: tuple[do.Effect, ...]) -> on.Answer | None:
        """Do the effects in order; gives the answer to a short question."""
        for effect in effects:
            match effect:
                case do.WriteBoot() | do.WriteJournal() | do.WritePolicy():
                    self._performer.write(effect)
                case do.Release():
                    self._performer.release()
                case do.SendReport():
                    self._outgoing = effect.report
                case do.FetchStretch() | do.CopyStretch():
                    self._question = effect
                case _:
                    return self._ask(effect)
        return None

    def _ask(self, question: do.Question) -> on.Answer | None:
        answer = self._performer.answer(question)
        if answer is None:
            self._reboot_ordered_at_ms = self._clock.monotonic_ms()
            LOG.info("reboot_ordered")
        return answer

    def _tick(self) -> None:
        look = self._ports.program.look()
        at_ms = self._clock.monotonic_ms()
        self._look = look
        self._next_tick_ms = at_ms + self._pacing.tick_ms
        self._reporter.hear(look.events, at_ms=at_ms)
        for event in look.events:
            if event.metric == SAFETY_TRIP:
                self._feed(on.Tripped(at_ms, max(0, at_ms - event.ago_ms), event.detail))
        if look.backend_contact:
            self._feed(on.Contact(at_ms))
        self._feed(
            on.Tick(
                at_ms=at_ms,
                idle=look.idle,
                window_open=look.window_open,
                link_up=look.link_up,
                health=look.health,
                config_needs_idle=look.config_needs_idle,
            )
        )
        self._feed_contact()

    def _poll(self) -> None:
        if self._state is None or self._look is None or self._reboot_ordered_at_ms is not None:
            return
        try:
            reply = self._ports.server.poll(_poll_request(self._state, self._look))
        except OtaError as error:
            self._poll_failed(error)
            return
        at_ms = self._clock.monotonic_ms()
        self._poll_setbacks = 0
        self._next_poll_ms = at_ms + reply.poll_after_s * 1000
        self._reporter.wanted = self._reporter.wanted or reply.report_wanted
        self._feed(on.Contact(at_ms))
        self._feed(_news_of(reply, at_ms))
        self._feed_contact()

    def _poll_failed(self, error: OtaError) -> None:
        LOG.warning("poll_failed code=%s hint=%s", error.code, error.hint)
        long = behaviour_of(error).call_waits_long
        wait_ms = retry_wait_ms(self._pacing, self._poll_setbacks, seed=self._charger.device_id, longest=long)
        self._poll_setbacks += 1
        at_ms = self._clock.monotonic_ms()
        self._next_poll_ms = at_ms + wait_ms
        self._feed(on.PollUnanswered(at_ms))

    def _report(self) -> None:
        """Send what waits, oldest first."""
        for _ in range(MAX_REPORTS_PER_ROUND):
            if self._state is None or self._reboot_ordered_at_ms is not None:
                return
            counter = self._state.journal.counter
            due = self._reporter.due(self._state, self._look, at_ms=self._clock.monotonic_ms())
            if due is None:
                return
            self._feed(due)
            report, self._outgoing = self._outgoing, None
            if report is None:
                return
            if report.counter > counter:
                self._reporter.made(report, at_ms=self._clock.monotonic_ms())
            stored = self._reporter.send(report, at_ms=self._clock.monotonic_ms())
            if stored is None:
                return
            self._feed(stored)
            self._feed(on.Contact(stored.at_ms))

    def _feed_contact(self) -> None:
        """What the questions of this round reached counts as contact, too."""
        if self._performer.contacted:
            self._performer.contacted = False
            self._feed(on.Contact(self._clock.monotonic_ms()))

    def _next_due_ms(self) -> int:
        if self._state is None:
            return self._begin_at_ms
        now_ms = self._clock.monotonic_ms()
        if self._reboot_ordered_at_ms is not None:
            return self._reboot_ordered_at_ms + REBOOT_LIMIT_MS
        if self._question is not None:
            return now_ms
        due = min(self._next_tick_ms, self._next_poll_ms)
        wake_ms = wake_at_ms(self._state)
        return due if wake_ms is None or wake_ms <= now_ms else min(due, wake_ms)


def _poll_request(state: AgentState, look: Surroundings) -> PollRequest:
    image = state.pair(ReleaseKind.FIRMWARE).running_image
    if image is None:
        raise AssertionError("a running firmware slot without an image")
    journal = state.journal
    return PollRequest(
        phase=state.phase,
        idle=look.idle,
        window_open=look.window_open,
        running_digest=image.release_digest,
        boot_id=state.boot_id,
        report_counter=journal.counter if journal.unsent is None else journal.counter - 1,
    )


def _news_of(reply: PollReply, at_ms: int) -> on.News:
    """The poll's answer as the machine hears it; an answer that lacks its own fields offers nothing."""
    rollout_id, kind, digest = reply.rollout_id, reply.kind, reply.release_digest
    if rollout_id is None or kind is None or digest is None or reply.answer is Answer.NOTHING:
        return on.NothingOffered(at_ms)
    if reply.answer is Answer.RECOVER:
        return on.CalledBack(at_ms, RolloutId(rollout_id), kind, digest)
    return on.Offered(at_ms, RolloutId(rollout_id), kind, digest, reply.epoch)
