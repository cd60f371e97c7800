"""What goes on at a charger beside the machine: customers, health, polls, reports.

What it is: the driver's news. What it does not do: answer the machine's questions (`answers.py`).

Rules:
1. A session begins only when nothing holds the charger: not after a granted hold (for a minute), not on trial before
   the first release.
2. What happened to sessions is remembered through reboots until a report has carried it.
3. One report is on its way at a time; it is sent again, unchanged, until the server has it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from device_client.domain.events import (
    CalledBack,
    Check,
    Contact,
    Health,
    NothingOffered,
    Offered,
    PollUnanswered,
    ReportDue,
    ReportStored,
    Tick,
)
from device_client.domain.state import Stage
from device_client.service.reporter import URGENT
from ops.simulation.releases import Built, Nature
from otacore.ids import RolloutId
from otacore.wire.device_api import Answer, PollReply, PollRequest, ReportReply
from otacore.wire.release import ReleaseKind
from otacore.wire.report import MAX_EVENTS, HealthEvent, Report

if TYPE_CHECKING:
    from ops.simulation.charger import Charger

HOLD_MS = 60_000
FIRST_POLL_MS = (1_000, 20_000)
RESEND_MS = (15_000, 60_000)
REPORT_SOON_MS = (500, 2_000)
NOT_NOW_MS = 12_000
IDLE_TICK_MS = 600_000
"""An idle agent is told the time seldom; what it waits for comes with polls."""
SICK_FAILURES = 0.9
ORDINARY_FAILURES = 0.01
TRIPS = 0.7
BOOT_LOOP = 3
"""Fruitless boots that count as a boot loop (H4)."""
SMOTHERED_AFTER_MS = 6 * 60_000


@dataclass(frozen=True, slots=True)
class Happened:
    """A health event and when it happened."""

    metric: str
    at_ms: int
    detail: str


class Habits:
    """Of one charger."""

    def __init__(self, charger: Charger) -> None:
        self._charger = charger
        self._world = charger.world
        self.session_until_ms: int | None = None
        self.held_until_ms = 0
        self.is_on_trial = False
        self.config_since_ms = 0
        self.happened: list[Happened] = []
        self.last_contact_ms = 0
        self._is_report_out = False
        self._is_report_planned = False
        self._is_report_wanted = False

    # --- life -------------------------------------------------------------------------------------------------------

    def begin(self, *, on_trial: bool) -> None:
        """The program in the slot starts."""
        self.is_on_trial = on_trial
        self.held_until_ms = 0
        self.config_since_ms = self._world.engine.now_ms
        self._customer_later()

    def end(self) -> None:
        """The program stops, with whatever it was doing."""
        if self.session_until_ms is not None:
            self.session_until_ms = None
        self._is_report_out = self._is_report_planned = False

    def crashed(self, in_a_row: int) -> None:
        """A slot did not start."""
        if in_a_row == BOOT_LOOP:
            self._remember("h4", "boot loop")

    def agent_started(self) -> None:
        """The agent runs: it polls, and reports what is left to report."""
        self._is_report_out = self._is_report_planned = False
        self._charger.later(self._charger.takes(*FIRST_POLL_MS), self.poll)
        self._tick_when_tested()
        self.look_for_reports()

    def config_applied(self) -> None:
        """The program runs under another configuration from now on."""
        self.config_since_ms = self._world.engine.now_ms
        self._tick_when_tested()

    def _tick_when_tested(self) -> None:
        """The driver looks at health more often than that; only the look that finds the tests done tells anything."""
        test_ms = self._charger.traits.self_test_ms
        self._charger.later(test_ms + 500, lambda: self._charger.feed(self.tick))

    # --- sessions ---------------------------------------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        """True while no session may begin."""
        return self.is_on_trial or self._world.engine.now_ms < self.held_until_ms

    @property
    def is_idle(self) -> bool:
        """No session runs."""
        return self.session_until_ms is None

    def hold(self) -> bool:
        """If no session runs, none begins for a minute or until the release."""
        if self.is_idle:
            self.held_until_ms = self._world.engine.now_ms + HOLD_MS
        return self.is_idle

    @property
    def has_lapsed(self) -> bool:
        """A hold was given, ended by itself, and a customer came: the program lets nobody interrupt that."""
        return self.held_until_ms > 0 and not self.is_held and not self.is_idle

    def release(self) -> None:
        """Sessions may begin."""
        self._world.watch.released(self._charger, was_on_trial=self.is_on_trial)
        self.is_on_trial, self.held_until_ms = False, 0

    def _customer_later(self) -> None:
        mean = self._charger.traits.session_every_ms
        self._charger.while_powered(self._world.engine.between(mean // 4, mean * 7 // 4), self._customer)

    def _customer(self) -> None:
        if self.is_idle and not self.is_held:
            length_ms = self._charger.traits.session_length_ms
            self.session_until_ms = self._world.engine.now_ms + length_ms
            self._charger.while_powered(length_ms, self._session_ends)
        self._customer_later()

    def _session_ends(self) -> None:
        self.session_until_ms = None
        failed = self._world.engine.random.random()
        natures = self.natures()
        if failed < (SICK_FAILURES if Nature.SICK in natures else ORDINARY_FAILURES):
            self._remember("h7", "session failed")
        if Nature.TRIPPING in natures and failed < TRIPS:
            self._remember("h5", "welded_contactor")
        if self._charger.state is not None:
            self._charger.feed(self.tick)

    def _remember(self, metric: str, detail: str) -> None:
        self.happened.append(Happened(metric, self._world.engine.now_ms, detail))
        del self.happened[:-MAX_EVENTS]
        self._charger.note(f"{metric}: {detail}")
        if metric in URGENT:
            self._is_report_wanted = True
            self.look_for_reports()

    # --- health -----------------------------------------------------------------------------------------------------

    def natures(self) -> tuple[Nature, ...]:
        """Of the firmware and of the configuration that run."""
        running: tuple[Built | None, ...] = (self._charger.running, self._charger.config)
        return tuple(self._charger.nature_of(built) for built in running if built is not None)

    def health(self) -> Health:
        """As the program measures it now."""
        since_boot_ms = self._world.engine.now_ms - self._charger.booted_at_ms
        since_config_ms = self._world.engine.now_ms - self.config_since_ms
        test_ms = self._charger.traits.self_test_ms
        firmware, config = self._charger.running, self._charger.config
        tests = Check.PENDING if since_boot_ms < test_ms else self._tested(firmware)
        configured = Check.PENDING if config is not None and since_config_ms < test_ms // 2 else self._tested(config)
        return Health(services=Check.PASSED, self_tests=tests, meter=Check.PASSED, configuration=configured)

    def tick(self, at_ms: int) -> Tick:
        """How things stand."""
        now_ms = self._world.engine.now_ms
        cut_off = now_ms < self._charger.link.cut_until_ms and self._charger.traits.local_link_shows
        return Tick(
            at_ms=at_ms,
            idle=self.is_idle,
            window_open=self._charger.traits.window_is_open(now_ms),
            link_up=not cut_off,
            health=self.health(),
            config_needs_idle=self._charger.traits.config_needs_idle,
        )

    def _tested(self, built: Built | None) -> Check:
        match self._charger.nature_of(built) if built is not None else Nature.GOOD:
            case Nature.UNFIT:
                return Check.FAILED
            case Nature.HANGING:
                return Check.PENDING
            case _:
                return Check.PASSED

    # --- polls ------------------------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Ask whether there is something to do."""
        charger = self._charger
        state = charger.state
        if state is None:
            return
        self._smother()
        if state.stage is not Stage.IDLE or charger.ticked_ms_ago() > IDLE_TICK_MS:
            charger.feed(self.tick)
        image = charger.boot.load().firmware.running_image
        if charger.state is None or image is None:
            return
        request = PollRequest(
            phase=charger.state.phase,
            idle=self.is_idle,
            window_open=charger.traits.window_is_open(self._world.engine.now_ms),
            running_digest=image.release_digest,
            boot_id=charger.boot_id,
            report_counter=charger.state.journal.counter,
        )
        life = charger.agent_life
        self._world.network.call(
            charger.link,
            lambda: self._world.server.poll(charger.number, request),
            lambda reply: self._polled(reply) if life == charger.agent_life else None,
            lambda: self._poll_lost() if life == charger.agent_life else None,
        )

    def _polled(self, reply: PollReply) -> None:
        charger = self._charger
        self.contact()
        charger.note(f"poll: {reply.answer} {reply.reason} {reply.rollout_id or ''}")
        if reply.report_wanted:
            self._is_report_wanted = True
            self.look_for_reports()
        charger.feed(lambda at_ms: _news(reply, at_ms))
        wait_ms = reply.poll_after_s * 1000
        charger.later(self._world.engine.between(wait_ms * 9 // 10, wait_ms * 11 // 10), self.poll)

    def _poll_lost(self) -> None:
        """The charging backend is the second endpoint: it may answer where our server does not."""
        charger = self._charger
        reachable = self._world.engine.now_ms >= charger.link.cut_until_ms and not charger.link.is_dead
        if self._world.engine.chance(0.5) and reachable:
            self.contact()
        charger.feed(PollUnanswered)
        wait_ms = self._world.poll_after_s * 1000
        charger.later(self._world.engine.between(wait_ms // 2, wait_ms), self.poll)

    def contact(self) -> None:
        """An endpoint of ours answered."""
        self.last_contact_ms = self._world.engine.now_ms
        self._world.watch.contacted(self._charger)
        self._charger.feed(Contact)

    def _smother(self) -> None:
        natures = self.natures()
        age_ms = self._world.engine.now_ms - self._charger.booted_at_ms
        silent_from = self._charger.traits.silent_from_ms
        fell_silent = silent_from is not None and self._world.engine.now_ms >= silent_from
        smothered = Nature.SMOTHERING in natures and age_ms > SMOTHERED_AFTER_MS
        self._charger.link.is_dead = Nature.MUTE in natures or smothered or fell_silent

    # --- reports ----------------------------------------------------------------------------------------------------

    def look_for_reports(self) -> None:
        """Is there something to report? Then soon."""
        state = self._charger.state
        if state is None or self._is_report_out or self._is_report_planned:
            return
        if state.journal.unsent is not None or state.journal.notices or self._is_report_wanted:
            self._is_report_planned = True
            self._charger.later(self._charger.takes(*REPORT_SOON_MS), self._report_due)

    def _report_due(self) -> None:
        self._is_report_planned = not self._is_report_out
        if self._is_report_planned:
            self._charger.feed(self._due)
            self._charger.later(NOT_NOW_MS, self._not_made)

    def _not_made(self) -> None:
        """The machine makes no report while a permit is asked for; then later."""
        if self._is_report_planned and not self._is_report_out:
            self._is_report_planned = False
            self.look_for_reports()

    def _due(self, at_ms: int) -> ReportDue:
        charger, now_ms = self._charger, self._world.engine.now_ms
        record = charger.boot.load()
        return ReportDue(
            at_ms=at_ms,
            healthy=self.health().overall is not Check.FAILED,
            firmware_sha256=charger.answers.running_sha256(record, ReleaseKind.FIRMWARE),
            config_sha256=charger.answers.running_sha256(record, ReleaseKind.CONFIG),
            events=tuple(HealthEvent(one.metric, now_ms - one.at_ms, one.detail) for one in self.happened),
            wanted=self._is_report_wanted,
        )

    def send(self, report: Report) -> None:
        """Sign and send; again, unchanged, until it is stored."""
        charger = self._charger
        self._is_report_out, self._is_report_planned, self._is_report_wanted = True, False, False
        self.happened = [one for one in self.happened if not _carried(report, one)]
        life = charger.agent_life
        self._world.watch.report_made(charger, report)
        self._world.network.call(
            charger.link,
            lambda: self._world.server.report(charger, report),
            lambda reply: self._stored(report, reply) if life == charger.agent_life else None,
            lambda: self._not_stored() if life == charger.agent_life else None,
        )

    def _stored(self, report: Report, reply: ReportReply) -> None:
        self._charger.note(f"report {report.counter} {report.fact} stored: {reply.reason}")
        self.contact()
        self._charger.feed(lambda at_ms: ReportStored(at_ms, report.counter))
        self._is_report_out = False
        if self._world.faults.now(self._world.faults.rates.forged):
            self._world.server.forged(replace(report, healthy=not report.healthy))
        self.look_for_reports()

    def _not_stored(self) -> None:
        self._is_report_out = False
        self._is_report_planned = True
        self._charger.later(self._world.engine.between(*RESEND_MS), self._report_due)


def _carried(report: Report, happened: Happened) -> bool:
    return any(event.metric == happened.metric and event.detail == happened.detail for event in report.events)


def _news(reply: PollReply, at_ms: int) -> Offered | CalledBack | NothingOffered:
    if reply.rollout_id is None or reply.kind is None or reply.release_digest is None:
        return NothingOffered(at_ms)
    rollout_id = RolloutId(reply.rollout_id)
    match reply.answer:
        case Answer.INSTALL:
            return Offered(at_ms, rollout_id, reply.kind, reply.release_digest, reply.epoch)
        case Answer.RECOVER:
            return CalledBack(at_ms, rollout_id, reply.kind, reply.release_digest)
        case Answer.NOTHING:
            return NothingOffered(at_ms)
