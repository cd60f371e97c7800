"""The charger's reports: what goes into them beside the machine's state, and their way to the server.

It buffers health events, measures what runs (once per boot and content), signs, sends, and waits after a failure. Which
report is sent, and that it is durable before, is the machine's (`device_client.domain.reporting`).

Rules:
1. Health events leave with the first report made after them; how long ago they were is said as of that moment.
2. A safety trip, a boot loop, or health that is another than was told last waits for no other news: it makes a report
   due at once, and then at most one a minute.
3. A report that the server cannot read is given up after some tries: it must not stand in the way of later ones.
"""

import logging
from dataclasses import dataclass
from typing import Final

from device_client.domain import events as on
from device_client.domain.events import Check
from device_client.domain.journal import Trip
from device_client.domain.slots import SlotName
from device_client.domain.state import AgentState
from device_client.service.behaviour import behaviour_of
from device_client.service.pacing import Pacing, retry_wait_ms
from device_client.service.performer import Performer, Ports
from device_client.service.ports import Surroundings
from otacore import envelope
from otacore.errors import OtaError, Unavailable
from otacore.wire.release import ReleaseKind
from otacore.wire.report import MAX_EVENTS, HealthEvent, Report

LOG = logging.getLogger(__name__)

MAX_REFUSALS: Final = 3
UNREADABLE: Final = frozenset({"wire.malformed", "http.malformed", "http.body_too_large"})
"""What a server answers to a report that it will never read; any other refusal may end, and the report is kept."""
SAFETY_TRIP: Final = "h5"
URGENT: Final = frozenset({"h4", SAFETY_TRIP})
"""Boot loop and safety trip: a person or the judge must hear of them now, not when the server next asks."""
URGENT_EVERY_MS: Final = 60_000
"""A contact that chatters makes one report at once, and then one a minute."""


@dataclass(frozen=True, slots=True)
class _Event:
    metric: str
    at_ms: int
    detail: str


class Reporter:
    """Makes `ReportDue`, and turns a report into `ReportStored`."""

    def __init__(self, *, ports: Ports, performer: Performer, pacing: Pacing, seed: str) -> None:
        self._ports = ports
        self._performer = performer
        self._pacing = pacing
        self._seed = seed
        self._events: list[_Event] = []
        self._measured: dict[tuple[ReleaseKind, SlotName, str], str | None] = {}
        self._setbacks = 0
        self._refusals = 0
        self.wanted = False
        """The poll asked for a report."""
        self.not_before_ms = 0
        self._urgent_from_ms = 0
        self._told_healthy: bool | None = None

    def hear(self, events: tuple[HealthEvent, ...], *, at_ms: int) -> None:
        """Keep what the charger program told. No room: the oldest that is not urgent goes, else the oldest."""
        for event in events:
            if len(self._events) == MAX_EVENTS:
                ordinary = (index for index, held in enumerate(self._events) if held.metric not in URGENT)
                del self._events[next(ordinary, 0)]
            self._events.append(_Event(event.metric, at_ms - event.ago_ms, event.detail))

    def recall(self, trips: tuple[Trip, ...], *, boot_id: str, at_ms: int) -> None:
        """Take up what the journal remembers and no report tells. Of an earlier boot: as late as it can have been."""
        held = {(event.metric, event.detail) for event in self._events}
        for trip in trips:
            if (SAFETY_TRIP, trip.detail) not in held:
                ago_ms = at_ms - trip.happened_at_ms if trip.boot_id == boot_id else at_ms
                self.hear((HealthEvent(SAFETY_TRIP, max(0, ago_ms), trip.detail),), at_ms=at_ms)

    def due(self, state: AgentState, look: Surroundings | None, *, at_ms: int) -> on.ReportDue | None:
        """The news that a report is due, or None when none waits or the last failure is too young."""
        healthy = look is not None and look.health.overall is Check.PASSED
        news = self._has_urgent() or self._told_healthy not in {None, healthy}
        wanted = self.wanted or (news and at_ms >= self._urgent_from_ms)
        waits = state.journal.unsent is not None or bool(state.journal.notices) or wanted
        if not waits or at_ms < self.not_before_ms:
            return None
        return on.ReportDue(
            at_ms=at_ms,
            healthy=healthy,
            firmware_sha256=self._measure(state, ReleaseKind.FIRMWARE),
            config_sha256=self._measure(state, ReleaseKind.CONFIG),
            events=tuple(
                HealthEvent(event.metric, max(0, at_ms - event.at_ms), event.detail) for event in self._events
            ),
            wanted=wanted,
        )

    def made(self, report: Report, *, at_ms: int) -> None:
        """A new report was made and is durable: it holds the events, and it is the report that was wanted."""
        if self._has_urgent() or self._told_healthy not in {None, report.healthy}:
            self._urgent_from_ms = at_ms + URGENT_EVERY_MS
        self._told_healthy = report.healthy
        self._events.clear()
        self.wanted = False

    def send(self, report: Report, *, at_ms: int) -> on.ReportStored | None:
        """Sign and send; None when it has to be sent again later."""
        try:
            signed = envelope.sign(report, payload_type=envelope.REPORT_TYPE, signer=self._ports.identity.signer)
            reply = self._ports.server.report(signed)
        except OtaError as error:
            return self._not_sent(report, error, at_ms)
        self._setbacks = self._refusals = 0
        level = logging.INFO if reply.accepted else logging.WARNING
        LOG.log(level, "report_stored counter=%d fact=%s reason=%s", report.counter, report.fact, reply.reason)
        return on.ReportStored(at_ms, report.counter)

    def _not_sent(self, report: Report, error: OtaError, at_ms: int) -> on.ReportStored | None:
        LOG.warning("report_not_sent counter=%d code=%s", report.counter, error.code)
        long = behaviour_of(error).call_waits_long
        self.not_before_ms = at_ms + retry_wait_ms(self._pacing, self._setbacks, seed=self._seed, longest=long)
        self._setbacks += 1
        if isinstance(error, Unavailable) or error.code not in UNREADABLE:
            return None
        self._refusals += 1
        if self._refusals < MAX_REFUSALS:
            return None
        LOG.error("report_given_up counter=%d", report.counter)
        self._refusals = 0
        return on.ReportStored(at_ms, report.counter)

    def _has_urgent(self) -> bool:
        return any(event.metric in URGENT for event in self._events)

    def _measure(self, state: AgentState, kind: ReleaseKind) -> str | None:
        pair = state.pair(kind)
        image = pair.running_image
        if image is None:
            return None
        key = (kind, pair.running, image.release_digest)
        if self._measured.get(key) is None:
            self._measured[key] = self._performer.measured(kind, pair.running, length_bytes=image.length_bytes)
        return self._measured[key]
