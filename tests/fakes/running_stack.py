"""A whole stack over real HTTP, and one person of each role who calls it."""

from dataclasses import dataclass, replace
from pathlib import Path

from ops.stack import Stack
from otacore.wire.codec import to_plain
from otacore.wire.release import EMERGENCY_PACE
from rollout.domain.fleet import WEEK_MINUTES, Site, Window
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.judge.presets import demo_plan
from rollout.domain.people import Role
from rollout.domain.planning import PlanRequest, WaveRequest
from rollout.domain.registration import ChargerRow
from tests.fakes.caller import Caller
from tests.fakes.http_charger import HttpCharger

PRODUCT = "acme-dc50"
PASSPHRASE = "a passphrase of tests"


@dataclass(frozen=True, slots=True)
class People:
    """One person of each role, at a server."""

    url: str
    admin: Caller
    people: dict[str, Caller]

    def as_(self, role: Role) -> Caller:
        """The person with this role."""
        return self.people[role.value]


@dataclass(frozen=True, slots=True)
class Running(People):
    """A stack in this process, and its people."""

    stack: Stack
    directory: Path


def running_of(stack: Stack, directory: Path) -> Running:
    """A stack that was entered, with people made over its API."""
    people = people_of(stack.url, stack.admin_token)
    return Running(people.url, people.admin, people.people, stack, directory)


def people_of(url: str, admin_token: str) -> People:
    """One person of each role, made over the API."""
    admin = Caller(url, admin_token)
    made = {}
    for role in Role:
        answered = admin.put(f"/api/v1/principals/a-{role}", {"role": role.value, "is_person": True})
        if answered.status == 409:
            answered = admin.post(f"/api/v1/principals/a-{role}/renew")
        made[role.value] = Caller(url, answered.json["token"])
    return People(url, admin, made)


def commission(people: People, *, sites: int, per_site: int, prefix: str = "c") -> list[HttpCharger]:
    """Register, issue tokens and enrol chargers over the API; each has told its state once."""
    operator = people.as_(Role.OPERATOR)
    rows = [
        ChargerRow(f"{prefix}-{site}-{number}", f"{prefix}-site-{site}", PRODUCT, "rev-a", 22_000)
        for site in range(sites)
        for number in range(per_site)
    ]
    always = (Window(0, WEEK_MINUTES),)  # so that a site's last working charger may go, too
    named = [Site(f"{prefix}-site-{site}", "depot", consent=always) for site in range(sites)]
    assert operator.post("/api/v1/fleet/sites", {"sites": to_plain(named)}).status == 200
    assert operator.post("/api/v1/fleet/chargers", {"chargers": to_plain(rows)}).status == 200
    chargers = []
    for row in rows:
        token = operator.post(f"/api/v1/fleet/chargers/{row.device_id}/token", {}).json["token"]
        charger = HttpCharger(row.device_id, people.url)
        assert charger.enrol(token).status == 200
        charger.report()
        chargers.append(charger)
    return chargers


def started(running: Running, name: str, version: str, *, judge: JudgePlan | None = None) -> str:
    """Publish a release and open it to everybody; gives its digest."""
    digest = running.stack.world.release_firmware(PRODUCT, version, version.encode(), pace=EMERGENCY_PACE).digest
    opened(running, name, version, judge=judge)
    return digest


def opened(people: People, name: str, version: str, *, judge: JudgePlan | None = None) -> None:
    """Create, plan with one wave of everybody, start by two persons."""
    engineer, admin = people.as_(Role.ENGINEER), people.as_(Role.ADMIN)
    assert engineer.put(f"/api/v1/rollouts/{name}", {"product": PRODUCT, "version": version}).status == 201
    plan = PlanRequest(waves=(WaveRequest(percent=100, soak_s=1),), judge=judge or unproven_judge())
    assert engineer.post(f"/api/v1/rollouts/{name}/plan", plan).status == 200
    asked = engineer.post(f"/api/v1/rollouts/{name}/start", {"reason": "a test"})
    if asked.status == 202:
        approval = asked.json["approval"]["approval_id"]
        asked = admin.post(f"/api/v1/approvals/{approval}/approve")
    assert asked.status == 200, asked


def unproven_judge() -> JudgePlan:
    """For fleets too small to prove anything."""
    draft = demo_plan((), start_deadline_ms=60_000, settle_ms=1_000, warm_up_ms=0, horizon_ms=1_000, silence_ms=20_000)
    return replace(draft, promote_unproven_after_soak=True)
