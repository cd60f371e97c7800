"""One rollout through the doors: people and chargers over real HTTP, a real repository, a real database."""

from dataclasses import replace
from typing import Any

import pytest

from otacore.clock import SystemClock
from otacore.envelope import PERMIT_REQUEST_TYPE, PERMIT_TYPE, REPORT_TYPE, verify
from otacore.wire.codec import from_plain
from otacore.wire.device_api import SignedMessage
from otacore.wire.permit import Permit
from otacore.wire.release import EMERGENCY_PACE
from otacore.wire.report import Fact
from rollout.domain.people import Role
from rollout.domain.planning import PlanRequest, WaveRequest
from tests.fakes.caller import Caller
from tests.fakes.http_charger import HttpCharger
from tests.fakes.running_stack import PRODUCT, Running, commission, started, unproven_judge

pytestmark = pytest.mark.xdist_group("rollout-http")  # versions rise in the order of these tests

API = "/api/v1"
WHY = {"reason": "a test"}


def _epoch(running: Running, name: str) -> int:
    return int(running.admin.get(f"{API}/rollouts/{name}").json["rollout"]["epoch"])


def _permit(charger: HttpCharger, name: str, digest: str, epoch: int) -> Any:
    answered = charger.ask(charger.request(name, digest, epoch))
    assert answered.status == 200, answered
    return answered.json


def test_a_release_reaches_every_charger_through_the_doors(running: Running) -> None:
    """Every door may work by itself and the flow still lead nowhere."""
    chargers = commission(running, sites=4, per_site=1, prefix="whole")
    digest = started(running, "whole", "1.1.0")
    keys = running.stack.world.client(running.directory / "a-client")
    keys.refresh(now_ms=SystemClock().now_ms())
    for charger in chargers:
        offer = charger.poll()
        assert (offer["answer"], offer["release_digest"], offer["rollout_id"]) == ("install", digest, "whole")
        request = charger.request("whole", digest, offer["epoch"])
        granted = charger.ask(request).json
        assert granted["reason"] == "granted"
        permit = verify(
            from_plain(SignedMessage, granted["permit"]), Permit, payload_type=PERMIT_TYPE, keys=keys.permit_keys()
        )
        assert (permit.device_id, permit.nonce, permit.epoch) == (charger.device_id, request.nonce, offer["epoch"])
        charger.installs("whole", digest, "1.1.0", permit.nonce)
    counters = running.admin.get(f"{API}/rollouts/whole").json["counters"]
    assert counters["confirmed"] == len(chargers)
    why = running.admin.get(f"{API}/rollouts/whole/why/{chargers[0].device_id}").json
    assert (why["offered"], why["stage"]) == (False, "confirmed")


def test_after_a_halt_no_permit_is_given_and_two_persons_resume(running: Running) -> None:
    """R1, as a person with one HTTP call sees it; A2, as the same person alone cannot undo it."""
    first, second, third = commission(running, sites=3, per_site=1, prefix="halt")
    digest = started(running, "halt", "1.2.0")
    epoch = _epoch(running, "halt")
    assert _permit(first, "halt", digest, epoch)["permit"] is not None
    halted = running.as_(Role.OPERATOR).post(f"{API}/rollouts/halt/halt", WHY)
    assert halted.status == 200
    assert halted.json == {
        "rollout_id": "halt",
        "epoch": halted.json["epoch"],
        "permits_open": 1,
        "permits_young": 1,
        "publication": "published",
    }
    assert halted.json["epoch"] > epoch
    for asked_epoch in (epoch, halted.json["epoch"]):
        assert _permit(second, "halt", digest, asked_epoch)["permit"] is None
    operator, engineer = running.as_(Role.OPERATOR), running.as_(Role.ENGINEER)
    asked = operator.post(f"{API}/rollouts/halt/resume", WHY)
    assert (asked.status, asked.json["outcome"]) == (202, "awaiting_approval")
    approval = asked.json["approval"]["approval_id"]
    assert [one["approval_id"] for one in operator.get(f"{API}/approvals").json] == [approval]
    alone = operator.post(f"{API}/approvals/{approval}/approve")
    assert (alone.status, alone.code) == (403, "approval.same_person")
    assert _permit(third, "halt", digest, _epoch(running, "halt"))["permit"] is None
    assert engineer.post(f"{API}/approvals/{approval}/approve").json["outcome"] == "done"
    assert _permit(third, "halt", digest, _epoch(running, "halt"))["permit"] is not None
    again = engineer.post(f"{API}/approvals/{approval}/approve")
    assert (again.status, again.code) == (400, "approval.used")


def test_a_program_never_counts_as_one_of_two_persons(running: Running) -> None:
    """Two tokens in one script would be two persons otherwise."""
    token = running.admin.put(f"{API}/principals/robot", {"role": "admin", "is_person": False}).json["token"]
    robot = Caller(running.stack.url, token)
    assert robot.post(f"{API}/fleet/latches/product:{PRODUCT}", WHY).status == 200
    asked = robot.post(f"{API}/fleet/latches/product:{PRODUCT}/lift", WHY)
    assert (asked.status, asked.code) == (403, "approval.not_a_person")
    asked = running.as_(Role.OPERATOR).post(f"{API}/fleet/latches/product:{PRODUCT}/lift", WHY)
    approval = asked.json["approval"]["approval_id"]
    assert robot.post(f"{API}/approvals/{approval}/approve").code == "approval.not_a_person"
    assert running.as_(Role.ENGINEER).post(f"{API}/approvals/{approval}/approve").status == 200


def test_two_operators_at_once_do_not_undo_each_other(running: Running) -> None:
    """Who acts on what he no longer sees resumes a rollout that somebody halted a second ago."""
    commission(running, sites=1, per_site=1, prefix="race")
    started(running, "race", "1.3.0")
    seen = running.admin.get(f"{API}/rollouts/race").headers["etag"]
    assert running.as_(Role.OPERATOR).post(f"{API}/rollouts/race/pause", WHY, if_match=seen).status == 200
    stale = running.as_(Role.ENGINEER).post(f"{API}/rollouts/race/rollback", WHY, if_match=seen)
    assert (stale.status, stale.code) == (409, "rollout.epoch_moved")
    assert running.admin.get(f"{API}/rollouts/race").json["rollout"]["state"] == "paused"
    bad = running.as_(Role.ENGINEER).post(f"{API}/rollouts/race/rollback", WHY, if_match="yesterday")
    assert (bad.status, bad.code) == (400, "http.bad_if_match")


def test_creating_twice_under_one_name_creates_once(running: Running) -> None:
    """A create whose answer was lost is repeated; it must neither fail nor make a second rollout."""
    running.stack.world.release_firmware(PRODUCT, "1.4.0", b"one", pace=EMERGENCY_PACE)
    running.stack.world.release_firmware(PRODUCT, "1.5.0", b"two")
    engineer = running.as_(Role.ENGINEER)
    first = engineer.put(f"{API}/rollouts/once", {"product": PRODUCT, "version": "1.4.0"})
    again = engineer.put(f"{API}/rollouts/once", {"product": PRODUCT, "version": "1.4.0"})
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    other = engineer.put(f"{API}/rollouts/once", {"product": PRODUCT, "version": "1.5.0"})
    assert (other.status, other.code) == (409, "rollout.exists")


def test_a_dry_run_plans_and_stores_nothing(running: Running) -> None:
    """Looking at a plan must not change the one that stands."""
    commission(running, sites=2, per_site=1, prefix="dry")
    running.stack.world.release_firmware(PRODUCT, "1.6.0", b"three", pace=EMERGENCY_PACE)
    engineer = running.as_(Role.ENGINEER)
    assert engineer.put(f"{API}/rollouts/dry", {"product": PRODUCT, "version": "1.6.0"}).status == 201
    before = running.admin.get(f"{API}/rollouts/dry").json
    request = PlanRequest(waves=(WaveRequest(percent=100),), judge=unproven_judge())
    layout = engineer.post(f"{API}/rollouts/dry/plan?dry_run=true", request)
    assert layout.status == 200
    assert layout.json["waves"][0]["planned"] > 0
    assert running.admin.get(f"{API}/rollouts/dry").json == before


@pytest.fixture(scope="module")
def two(running: Running) -> tuple[HttpCharger, HttpCharger]:
    """Two enrolled chargers."""
    one, other = commission(running, sites=2, per_site=1, prefix="two")
    return one, other


def test_a_report_of_another_charger_is_refused(two: tuple[HttpCharger, HttpCharger]) -> None:
    """A thief of one charger's key must not speak for another."""
    one, other = two
    report = one.made(Fact.STATE)
    foreign_key = one.send("report", one.signed(report, REPORT_TYPE, key=other.key))
    assert (foreign_key.status, foreign_key.code) == (422, "envelope.unknown_key")
    foreign_token = one.send("report", one.signed(report, REPORT_TYPE), token=other.token)
    assert foreign_token.status == 422
    wrong_kind = one.send("report", one.signed(report, PERMIT_REQUEST_TYPE))
    assert (wrong_kind.status, wrong_kind.code) == (422, "envelope.wrong_type")
    assert one.send("report", one.signed(report, REPORT_TYPE)).json["accepted"] is True


def test_a_tampered_report_is_refused(two: tuple[HttpCharger, HttpCharger]) -> None:
    """One changed byte is another report."""
    one, _ = two
    message = one.signed(one.made(Fact.STATE), REPORT_TYPE)
    payload = message.payload[:-8] + ("A" if message.payload[-8] != "A" else "B") + message.payload[-7:]
    answered = one.send("report", replace(message, payload=payload))
    assert answered.status == 422


def test_a_replayed_report_is_known_and_a_used_counter_is_an_alarm(
    running: Running, two: tuple[HttpCharger, HttpCharger]
) -> None:
    """A repeat whose answer was lost is harmless; two contents under one counter are two holders of one key."""
    _, other = two
    message = other.signed(other.made(Fact.STATE), REPORT_TYPE)
    first, again = other.send("report", message), other.send("report", message)
    assert (first.status, again.status) == (200, 200)
    assert again.json["counter"] == other.counter
    other.counter -= 1
    other.boot_id = "another-boot"
    twin = other.send("report", other.signed(other.made(Fact.STATE), REPORT_TYPE))
    assert twin.status == 200
    assert twin.json["accepted"] is False
    sheet = running.admin.get(f"{API}/fleet/chargers/{other.device_id}").json
    assert sheet["device"]["quarantine"] == "clone"
    assert sheet["device"]["token_hash"] is None


def test_a_permit_request_of_another_charger_gives_no_permit(two: tuple[HttpCharger, HttpCharger]) -> None:
    """A permit fits one charger and one nonce, whoever carries the request."""
    one, other = two
    request = one.request("whole", "a" * 64, 1)
    assert one.send("permit", one.signed(request, PERMIT_REQUEST_TYPE, key=other.key)).code == "envelope.unknown_key"
    carried = one.send("permit", one.signed(request, PERMIT_REQUEST_TYPE), token=other.token)
    assert carried.status == 422
    unknown = one.ask(one.request("no-such-rollout", "a" * 64, 1)).json
    assert unknown["permit"] is None
    assert unknown["retry_after_s"] >= 1


def test_a_used_or_foreign_one_time_token_enrols_nobody(running: Running) -> None:
    """A token that worked twice would let a second key speak for a charger."""
    (charger,) = commission(running, sites=1, per_site=1, prefix="enrol")
    for token in ("", "0" * 64, running.stack.admin_token):
        thief = HttpCharger(charger.device_id, running.stack.url)
        answered = thief.enrol(token)
        assert (answered.status, answered.code) == (422, "enrol.bad_token")
    asked = running.as_(Role.OPERATOR).post(f"{API}/fleet/chargers/{charger.device_id}/token", {"reason": "lost"})
    assert asked.status == 202
