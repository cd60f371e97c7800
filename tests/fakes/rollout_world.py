"""The rollout services over the store in memory, with fakes of what lies outside, and chargers that follow a script.

The chargers keep the device's rules that the server relies on: reports with rising counters, none while a permit
request is open, a fresh nonce per request, the manifest checked before a permit is asked for.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from otacore.cohort import is_inside
from otacore.errors import Refused, Unavailable
from otacore.ids import firmware_manifest_path
from otacore.wire.campaign import CampaignAction, CampaignManifest, CampaignOrder
from otacore.wire.codec import encode
from otacore.wire.device_api import Answer, EnrolRequest, PermitReply, PollReply, PollRequest, SignedMessage
from otacore.wire.permit import Permit, PermitRequest, Purpose
from otacore.wire.release import EMERGENCY_PACE, PaceStep, ReleaseKind
from otacore.wire.report import Fact, HealthEvent, Phase, Report, Running
from rollout.adapters.memory import CommitPoint, MemoryStore
from rollout.domain.fleet import Site
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.judge.planner import MOST_UNITS
from rollout.domain.judge.presets import demo_plan
from rollout.domain.people import Principal, Role
from rollout.domain.planning import PlanRequest, WaveRequest
from rollout.domain.records import Options, Participation, Release, Rollout, Selector
from rollout.domain.registration import ChargerRow
from rollout.service.acts import Acted
from rollout.service.acts_fleet import IssuedToken
from rollout.service.controller import ControllerService
from rollout.service.enrolment import EnrolmentService
from rollout.service.intake import IntakeService
from rollout.service.operate import RolloutService
from rollout.service.permit import NoLocalStops, PermitService
from rollout.service.planning import Creation
from rollout.service.poll import PollService
from rollout.service.ports import RepositoryFacts
from rollout.service.show import ShowService
from rollout.service.view import FleetView
from tests.fakes.hand_clock import HandClock

PRODUCT = "acme-dc50"
HARDWARE = "rev-a"
POLL_S = 1
ANNA = Principal("anna", Role.ADMIN, is_person=True)
BERT = Principal("bert", Role.ADMIN, is_person=True)
ROBOT = Principal("robot", Role.ADMIN, is_person=False)


def digest_of(version: str) -> str:
    return hashlib.sha256(version.encode()).hexdigest()


def release(version: str, *, pace: tuple[PaceStep, ...] = EMERGENCY_PACE) -> Release:
    return Release(
        digest=digest_of(version),
        path=firmware_manifest_path(PRODUCT, version),
        product=PRODUCT,
        hardware=(HARDWARE,),
        kind=ReleaseKind.FIRMWARE,
        version=version,
        security_version=1,
        image_sha256=digest_of(f"image {version}"),
        pace=pace,
        revert_h=336,
        from_versions=(),
        stepping_stones=(),
    )


def judge_draft(*, soak_ms: int = 60_000, promote_unproven: bool = False) -> JudgePlan:
    """The demo's judge: two controls, own-site controls, margin 0.30; starts within 20 s."""
    draft = demo_plan(
        (), start_deadline_ms=20_000, settle_ms=2_000, warm_up_ms=1_000, horizon_ms=soak_ms, silence_ms=30_000
    )
    return replace(draft, promote_unproven_after_soak=promote_unproven)


@dataclass(slots=True)
class CountingEntropy:
    """Chance that is never the same twice."""

    drawn: int = 0

    def hex(self, byte_count: int) -> str:
        self.drawn += 1
        return hashlib.sha256(str(self.drawn).encode()).hexdigest()[: 2 * byte_count]


@dataclass(slots=True)
class PaperCatalogue:
    """Releases and lists as they stand; `stopped` follows the publisher."""

    releases: dict[str, Release] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)

    def find(self, *, product: str, kind: ReleaseKind, version: str) -> Release:
        found = self.releases.get(version)
        if found is None or (found.product, found.kind) != (product, kind):
            raise Refused("catalogue.no_such_release", "publish it first")
        return found

    def facts(self, product: str) -> RepositoryFacts:
        return RepositoryFacts(3, 1 + len(self.stopped), 1, 1, frozenset(self.stopped), frozenset(self.revoked))


@dataclass(slots=True)
class StrictPublisher:
    """A repository that keeps the campaign signer's rules, and fails the test when the rollout breaks one."""

    catalogue: PaperCatalogue
    standing: dict[str, CampaignManifest] = field(default_factory=dict)
    history: list[CampaignOrder] = field(default_factory=list)
    is_down: bool = False
    refuses: str | None = None
    tries: int = 0
    meanwhile: Callable[[], object] | None = None
    """Happens once while the next publication is under way."""

    def publish(self, order: CampaignOrder) -> None:
        self.tries += 1
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            self._publish(order)
            happens()
        else:
            self._publish(order)

    def _publish(self, order: CampaignOrder) -> None:
        if self.is_down:
            raise Unavailable("campaign.down", "later")
        manifest = order.manifest
        before = self.standing.get(manifest.rollout_id)
        if self.refuses is not None and manifest.action is CampaignAction.INSTALL:
            raise Refused("campaign.refused", self.refuses)
        if before is not None and manifest.epoch <= before.epoch:
            assert manifest.epoch < before.epoch or manifest == before, "one epoch with two manifests"
            if manifest.epoch < before.epoch:
                raise Refused("campaign.epoch", "a later epoch stands")
            return
        if before is not None:
            assert manifest.share >= before.share, "an opening shrank"
            assert set(manifest.named) >= set(before.named), "a named charger was taken out of the opening"
        self.standing[manifest.rollout_id] = manifest
        self.catalogue.stopped.update(order.stop)
        self.history.append(order)


class PaperSigner:
    """Keeps what it signed; the message itself is empty."""

    def __init__(self) -> None:
        self.signed: list[Permit] = []

    def sign(self, permit: Permit) -> SignedMessage:
        self.signed.append(permit)
        return SignedMessage(permit.nonce, "permit", "00" * 32, "sig")


class World:
    """A registered and enrolled fleet with the services around it."""

    def __init__(self, *, sites: int, per_site: int, on_commit: Callable[[CommitPoint], None] | None = None) -> None:
        self.clock = HandClock()
        self.store = MemoryStore(on_commit=on_commit)
        self.catalogue = PaperCatalogue({version: release(version) for version in ("1.0.0", "1.1.0", "1.2.0", "1.3.0")})
        self.publisher = StrictPublisher(self.catalogue)
        self.signer = PaperSigner()
        self.entropy = CountingEntropy()
        self.chargers: dict[str, PaperCharger] = {}
        self.restart()
        with self.store.transaction() as tx:
            for principal in (ANNA, BERT, ROBOT):
                tx.put_principal(principal)
        self._register(sites, per_site)

    def restart(self) -> None:
        """New processes over the same store: nothing may live in them alone."""
        self.view = FleetView(self.store)
        self.view.load()
        self.poll = PollService(view=self.view, store=self.store, clock=self.clock, poll_after_s=POLL_S)
        self.permit = PermitService(
            store=self.store,
            clock=self.clock,
            signer=self.signer,
            catalogue=self.catalogue,
            view=self.view,
            local_stops=NoLocalStops(),
            poll_after_s=POLL_S,
            retry_s=1,
        )
        self.intake = IntakeService(store=self.store, clock=self.clock)
        self.enrolment = EnrolmentService(store=self.store, clock=self.clock, entropy=self.entropy, poll_after_s=POLL_S)
        self.operator = RolloutService(
            store=self.store,
            clock=self.clock,
            entropy=self.entropy,
            catalogue=self.catalogue,
            publisher=self.publisher,
        )
        self.show = ShowService(store=self.store, clock=self.clock, catalogue=self.catalogue, poll_after_s=POLL_S)
        self.controller = ControllerService(
            store=self.store, clock=self.clock, publisher=self.publisher, catalogue=self.catalogue, poll_after_s=POLL_S
        )

    def start(
        self,
        version: str,
        *,
        waves: tuple[WaveRequest, ...],
        judge: JudgePlan | None = None,
        options: Options | None = None,
        rollout_id: str | None = None,
        most_units: int = MOST_UNITS,
    ) -> str:
        """Create, plan and start a rollout of a version; two persons where it takes two."""
        rollout_id = rollout_id or f"r-{version.replace('.', '-')}"
        creation = Creation(rollout_id, PRODUCT, ReleaseKind.FIRMWARE, version, Selector(), options or Options())
        self.operator.create(ANNA, creation)
        self.operator.plan(ANNA, rollout_id, PlanRequest(waves, judge or judge_draft(), most_units))
        started = self.operator.start(ANNA, rollout_id, reason="go")
        if not isinstance(started, Acted):
            self.operator.approve(BERT, started.approval.approval_id)
        self.controller.tick()  # no permit is given before judge, guard and caps were read once
        return rollout_id

    def rollout(self, rollout_id: str) -> Rollout:
        with self.store.reading() as tx:
            found = tx.rollout(rollout_id)
        assert found is not None
        return found

    def part(self, rollout_id: str, device_id: str) -> Participation | None:
        with self.store.reading() as tx:
            return tx.participation(rollout_id, device_id)

    def round(self, *, tick: bool = True) -> None:
        """One second: every charger does its next thing, liveness is written, the controller ticks."""
        self.clock.advance(1_000)
        self.view.catch_up()
        for charger in self.chargers.values():
            charger.act()
        self.poll.flush_seen(at_once=10_000)
        if tick:
            self.controller.tick()

    def rounds_until(self, done: Callable[[], bool], *, at_most: int = 400) -> int:
        for count in range(at_most):
            if done():
                return count
            self.round()
        raise AssertionError(f"not done after {at_most} rounds")

    def _register(self, sites: int, per_site: int) -> None:
        self.operator.register_sites(ANNA, [Site(f"site-{number:02}", "city") for number in range(sites)])
        rows = [
            ChargerRow(f"c-{site:02}-{number}", f"site-{site:02}", PRODUCT, HARDWARE, 50_000)
            for site in range(sites)
            for number in range(per_site)
        ]
        self.operator.register_chargers(ANNA, rows)
        for row in rows:
            issued = self.operator.issue_token(ANNA, row.device_id)
            assert isinstance(issued, Acted)
            assert isinstance(issued.answer, IssuedToken)
            key = hashlib.sha256(row.device_id.encode()).hexdigest()
            reply = self.enrolment.enrol(EnrolRequest(row.device_id, issued.answer.token, key))
            self.view.catch_up()
            self.chargers[row.device_id] = PaperCharger(self, row.device_id, self.poll.authenticate(reply.bearer_token))


@dataclass(slots=True)
class PaperCharger:
    """One charger by script. The flags say in what way it is bad."""

    world: World
    device_id: str
    number: int
    is_on: bool = True
    dies_when_armed: bool = False
    reverts: bool = False
    """The new release does not come up; the old slot boots."""
    fails_sessions_on: frozenset[str] = frozenset()
    """Releases on which it reports a failed session each time it reports."""
    healthy: bool = True
    loses_reply: bool = False
    """The next permit reply is lost."""
    running: str = "1.0.0"
    other: str | None = None
    confirmed: bool = True
    counter: int = 0
    boots: int = 1
    asked: int = 0
    phase: Phase = Phase.IDLE
    trial_nonce: str | None = None
    trial_rollout: str | None = None
    armed_at: list[tuple[str, int]] = field(default_factory=list)
    """Every activation: nonce and instant."""
    ran: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    last_reply: PollReply | None = None
    last_refusal: str | None = None

    def act(self) -> None:
        """The next thing that it does."""
        if not self.is_on:
            return
        if self.phase in (Phase.TRIAL, Phase.KEPT):
            self._trial()
            return
        self.last_reply = self.poll()
        if self.last_reply.report_wanted or self.counter == 0:
            self.report(Fact.STATE)
        if self.last_reply.answer is Answer.INSTALL:
            self._install(self.last_reply)
        elif self.last_reply.answer is Answer.RECOVER:
            self._recover(self.last_reply)

    def poll(self) -> PollReply:
        request = PollRequest(
            self.phase,
            idle=True,
            window_open=True,
            running_digest=digest_of(self.running),
            boot_id=f"boot-{self.boots}",
            report_counter=self.counter,
        )
        return self.world.poll.poll(self.number, request)

    def request(self, rollout_id: str, version: str, epoch: int, purpose: Purpose = Purpose.INSTALL) -> PermitRequest:
        self.asked += 1
        nonce = hashlib.sha256(f"{self.device_id} {self.asked}".encode()).hexdigest()[:32]
        return PermitRequest(
            device_id=self.device_id,
            rollout_id=rollout_id,
            release_digest=digest_of(version),
            epoch=epoch,
            purpose=purpose,
            nonce=nonce,
            boot_id=f"boot-{self.boots}",
            report_counter=self.counter,
        )

    def ask(self, request: PermitRequest) -> PermitReply:
        reply = self.world.permit.decide(request)
        self.last_refusal = None if reply.permit is not None else reply.reason
        return reply

    def report(
        self,
        fact: Fact,
        *,
        rollout_id: str | None = None,
        version: str | None = None,
        nonce: str | None = None,
        failure: str | None = None,
        events: tuple[HealthEvent, ...] = (),
    ) -> Report:
        """Make a report and send it."""
        report = self.make_report(
            fact, rollout_id=rollout_id, version=version, nonce=nonce, failure=failure, events=events
        )
        self.send(report)
        return report

    def make_report(
        self,
        fact: Fact,
        *,
        rollout_id: str | None = None,
        version: str | None = None,
        nonce: str | None = None,
        failure: str | None = None,
        events: tuple[HealthEvent, ...] = (),
    ) -> Report:
        self.counter += 1
        if digest_of(self.running) in {digest_of(one) for one in self.fails_sessions_on}:
            events = (*events, HealthEvent("h7", 1, "did not start"))
        return Report(
            device_id=self.device_id,
            counter=self.counter,
            boot_id=f"boot-{self.boots}",
            fact=fact,
            phase=self.phase,
            healthy=self.healthy,
            firmware=self.firmware(),
            config=None,
            armed_nonce=None,
            events=events,
            kind=ReleaseKind.FIRMWARE,
            rollout_id=rollout_id,
            release_digest=None if version is None else digest_of(version),
            nonce=nonce,
            failure=failure,
        )

    def send(self, report: Report) -> str:
        return self.world.intake.record(report, hashlib.sha256(encode(report)).hexdigest()).reason

    def firmware(self) -> Running:
        return Running(
            release_digest=digest_of(self.running),
            image_sha256=digest_of(f"image {self.running}"),
            version=self.running,
            security_version=1,
            confirmed=self.confirmed,
            other_digest=None if self.other is None or not self.confirmed else digest_of(self.other),
        )

    def arm(self, rollout_id: str, version: str, nonce: str) -> None:
        """Set the trial flag and reboot."""
        self.armed_at.append((nonce, self.world.clock.now_ms()))
        self.other, self.running, self.confirmed = self.running, version, False
        self.phase, self.trial_nonce, self.trial_rollout = Phase.TRIAL, nonce, rollout_id
        self.ran.add(version)
        self.boots += 1
        if self.dies_when_armed:
            self.is_on = False

    def _install(self, reply: PollReply) -> None:
        rollout_id, version = reply.rollout_id or "", _version_of(self.world, reply.release_digest)
        manifest = self.world.publisher.standing.get(rollout_id)
        if manifest is None or version in self.failed or manifest.action is CampaignAction.HOLD:
            return
        inside = is_inside(
            release_digest=manifest.release_digest,
            device_id=self.device_id,
            share=manifest.share,
            salt=manifest.salt,
            named=manifest.named,
        )
        assert inside, f"{self.device_id} was offered what the manifest does not open to it"
        request = self.request(rollout_id, version, manifest.epoch)
        answer = self.ask(request)
        if self.loses_reply:
            self.loses_reply = False
        elif answer.permit is not None:
            self.arm(rollout_id, version, request.nonce)

    def _trial(self) -> None:
        rollout_id, version, nonce = self.trial_rollout, self.running, self.trial_nonce
        if self.reverts:
            assert self.other is not None
            self.failed.add(version)
            self.running, self.other, self.confirmed = self.other, None, True
            self.phase = Phase.IDLE
            self.boots += 1
            self.report(Fact.REVERTED, rollout_id=rollout_id, version=version, nonce=nonce, failure="device.trial")
        elif self.phase is Phase.TRIAL:
            self.report(Fact.ARMED, rollout_id=rollout_id, version=version, nonce=nonce)
            self.phase = Phase.KEPT
            self.report(Fact.KEPT, rollout_id=rollout_id, version=version, nonce=nonce)
        else:
            self.phase, self.confirmed = Phase.IDLE, True
            self.report(Fact.CONFIRMED, rollout_id=rollout_id, version=version, nonce=nonce)

    def _recover(self, reply: PollReply) -> None:
        if self.other is None or digest_of(self.running) != reply.release_digest:
            return
        answer = self.ask(self.request(reply.rollout_id or "", self.other, 0, Purpose.RECOVER))
        if answer.permit is not None:
            left, self.running, self.other = self.running, self.other, None
            self.failed.add(left)
            self.boots += 1
            self.report(Fact.RECOVERED, rollout_id=reply.rollout_id, version=self.running)


def _version_of(world: World, digest: str | None) -> str:
    return next(version for version, known in world.catalogue.releases.items() if known.digest == digest)
