"""What operators call, by name. Each call is an act of `acts.py`; afterwards what it decided is published if it can be.

The publication never decides about the act: it stands once it is committed, and the controller's tick publishes what
could not be published now.
"""

from collections.abc import Mapping, Sequence

from otacore.clock import Clock
from otacore.errors import Misuse
from otacore.wire.codec import to_plain
from rollout.domain.approvals import Action
from rollout.domain.fleet import Site
from rollout.domain.halt import HaltAnswer
from rollout.domain.people import Approval, Principal
from rollout.domain.planning import Layout, PlanRequest
from rollout.domain.records import Rollout
from rollout.domain.registration import ChargerRow
from rollout.service.acts import ABOUT_ROLLOUTS, Act, Acted, ActService, AwaitingApproval, Rule, given_as_json
from rollout.service.acts_fleet import FLEET_RULES
from rollout.service.acts_registration import REGISTRATION_RULES
from rollout.service.acts_rollout import ROLLOUT_RULES, plan_digest
from rollout.service.planning import Creation, PlanningService
from rollout.service.ports import CampaignPublisher, Catalogue, Entropy, Store
from rollout.service.publishing import Publishing

MAX_ISOLATED = 10_000
DEFAULT_TOKEN_TTL_S = 24 * 3600
RULES: Mapping[Action, Rule] = {**ROLLOUT_RULES, **FLEET_RULES, **REGISTRATION_RULES}


class RolloutService:
    """Operators' use cases."""

    def __init__(
        self, *, store: Store, clock: Clock, entropy: Entropy, catalogue: Catalogue, publisher: CampaignPublisher
    ) -> None:
        self._store = store
        self._acts = ActService(store=store, clock=clock, entropy=entropy, rules=RULES)
        self._planning = PlanningService(store=store, clock=clock, entropy=entropy, catalogue=catalogue)
        self._publishing = Publishing(store=store, clock=clock, publisher=publisher)

    def create(self, actor: Principal, creation: Creation) -> Rollout:
        """See `PlanningService.create`."""
        return self._planning.create(actor, creation)

    def plan(self, actor: Principal, rollout_id: str, request: PlanRequest, *, dry_run: bool = False) -> Layout:
        """See `PlanningService.plan`."""
        return self._planning.plan(actor, rollout_id, request, dry_run=dry_run)

    def start(
        self, actor: Principal, rollout_id: str, *, reason: str, expected_epoch: int | None = None
    ) -> Acted | AwaitingApproval:
        """Open the first wave as planned."""
        with self._store.reading() as tx:
            plan = plan_digest(tx, rollout_id)
        act = Act(Action.START, rollout_id, reason, given_as_json(plan=plan))
        return self._published(self._acts.do(actor, act, expected_epoch=expected_epoch))

    def pause(
        self, actor: Principal, rollout_id: str, *, reason: str, expected_epoch: int | None = None
    ) -> Acted | AwaitingApproval:
        """Hold; one person resumes."""
        return self._about_rollout(actor, Action.PAUSE, rollout_id, reason, expected_epoch)

    def halt(self, actor: Principal, rollout_id: str, *, reason: str) -> HaltAnswer:
        """Once this returns, no install permit is given under the old epoch (R1). Works in every state."""
        acted = self._acts.do(actor, Act(Action.HALT, rollout_id, reason))
        if not isinstance(acted, Acted) or not isinstance(acted.answer, tuple):
            raise Misuse("rollout.not_halted", "a halt is never put before a second person")
        permits_open, permits_young = acted.answer
        publication = self._publishing.publish_if_possible(rollout_id, at_once=True)
        return HaltAnswer(rollout_id, acted.epoch, permits_open, permits_young, publication)

    def resume(
        self, actor: Principal, rollout_id: str, *, reason: str, expected_epoch: int | None = None
    ) -> Acted | AwaitingApproval:
        """Go on where it was paused (one person) or halted (two)."""
        return self._about_rollout(actor, Action.RESUME, rollout_id, reason, expected_epoch)

    def rollback(
        self, actor: Principal, rollout_id: str, *, reason: str, expected_epoch: int | None = None
    ) -> Acted | AwaitingApproval:
        """Take every affected charger back, and stop the release for good."""
        return self._about_rollout(actor, Action.ROLL_BACK, rollout_id, reason, expected_epoch)

    def promote(
        self, actor: Principal, rollout_id: str, *, reason: str, expected_epoch: int | None = None
    ) -> Acted | AwaitingApproval:
        """Pass the present wave without or against a verdict: two persons, and unproven for ever."""
        return self._about_rollout(actor, Action.PROMOTE, rollout_id, reason, expected_epoch)

    def register_sites(self, actor: Principal, sites: Sequence[Site]) -> Acted | AwaitingApproval:
        """Register or change sites; the answer of `Acted` is a `Registered`."""
        rows = given_as_json(rows=[to_plain(site) for site in sites])
        return self._acts.do(actor, Act(Action.REGISTER_SITES, "sites", "", rows))

    def register_chargers(self, actor: Principal, chargers: Sequence[ChargerRow]) -> Acted | AwaitingApproval:
        """Register or change chargers; the answer of `Acted` is a `Registered`."""
        rows = given_as_json(rows=[to_plain(row) for row in chargers])
        return self._acts.do(actor, Act(Action.REGISTER_CHARGERS, "chargers", "", rows))

    def issue_token(
        self, actor: Principal, device_id: str, *, reason: str = "", ttl_s: int = DEFAULT_TOKEN_TTL_S
    ) -> Acted | AwaitingApproval:
        """A one-time token for enrolment; the answer of `Acted` is an `IssuedToken`."""
        return self._acts.do(actor, Act(Action.ISSUE_TOKEN, device_id, reason, given_as_json(ttl_s=ttl_s)))

    def out_of_service(self, actor: Principal, device_id: str, *, reason: str) -> Acted | AwaitingApproval:
        """A person says that this charger is out of service; it holds no place."""
        return self._acts.do(actor, Act(Action.OUT_OF_SERVICE, device_id, reason))

    def back_in_service(self, actor: Principal, device_id: str, *, reason: str) -> Acted | AwaitingApproval:
        """It is back."""
        return self._acts.do(actor, Act(Action.BACK_IN_SERVICE, device_id, reason))

    def isolate(self, actor: Principal, device_ids: Sequence[str], *, reason: str) -> Acted | AwaitingApproval:
        """No install permits for these chargers until two persons re-enable them."""
        if not 1 <= len(device_ids) <= MAX_ISOLATED:
            raise Misuse("isolate.bad_list", f"name 1 to {MAX_ISOLATED} chargers")
        return self._acts.do(actor, Act(Action.ISOLATE, ",".join(sorted(set(device_ids))), reason))

    def reenable(self, actor: Principal, device_id: str, *, reason: str) -> Acted | AwaitingApproval:
        """End a quarantine: two persons."""
        return self._acts.do(actor, Act(Action.REENABLE, device_id, reason))

    def latch(self, actor: Principal, scope: str, *, reason: str) -> Acted | AwaitingApproval:
        """Stop install permits in a scope above rollouts: `fleet`, `product:<slug>`, `site:<site id>`."""
        return self._acts.do(actor, Act(Action.LATCH, scope, reason))

    def unlatch(self, actor: Principal, scope: str, *, reason: str) -> Acted | AwaitingApproval:
        """Lift a latch: two persons."""
        return self._acts.do(actor, Act(Action.UNLATCH, scope, reason))

    def approve(self, actor: Principal, approval_id: str) -> Acted:
        """Approve what another person asked for, and do it. See `ActService.approve`."""
        acted = self._acts.approve(actor, approval_id)
        self._published(acted)
        return acted

    def open_approvals(self) -> tuple[Approval, ...]:
        """What waits for a second person."""
        return self._acts.open_approvals()

    def _about_rollout(
        self, actor: Principal, action: Action, rollout_id: str, reason: str, expected_epoch: int | None
    ) -> Acted | AwaitingApproval:
        return self._published(self._acts.do(actor, Act(action, rollout_id, reason), expected_epoch=expected_epoch))

    def _published(self, acted: Acted | AwaitingApproval) -> Acted | AwaitingApproval:
        if isinstance(acted, Acted) and acted.action in ABOUT_ROLLOUTS:
            self._publishing.publish_if_possible(acted.subject, at_once=True)
        return acted
