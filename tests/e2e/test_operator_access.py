"""Who may call what: every route of the operator API, by its own list."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from rollout.domain.people import Role
from tests.fakes.caller import Caller
from tests.fakes.running_stack import Running

API = "/api/v1"
NEEDED: dict[str, Role] = {
    "GET /rollouts": Role.VIEWER,
    "PUT /rollouts/{rollout_id}": Role.ENGINEER,
    "GET /rollouts/{rollout_id}": Role.VIEWER,
    "POST /rollouts/{rollout_id}/plan": Role.ENGINEER,
    "POST /rollouts/{rollout_id}/start": Role.ENGINEER,
    "POST /rollouts/{rollout_id}/pause": Role.OPERATOR,
    "POST /rollouts/{rollout_id}/halt": Role.OPERATOR,
    "POST /rollouts/{rollout_id}/resume": Role.OPERATOR,
    "POST /rollouts/{rollout_id}/rollback": Role.OPERATOR,
    "POST /rollouts/{rollout_id}/promote": Role.ENGINEER,
    "GET /rollouts/{rollout_id}/leftovers": Role.VIEWER,
    "GET /rollouts/{rollout_id}/needs-hands": Role.VIEWER,
    "GET /rollouts/{rollout_id}/why/{device_id}": Role.VIEWER,
    "GET /rollouts/{rollout_id}/dry-run": Role.VIEWER,
    "POST /fleet/sites": Role.OPERATOR,
    "POST /fleet/chargers": Role.OPERATOR,
    "GET /fleet/chargers": Role.VIEWER,
    "GET /fleet/chargers/{device_id}": Role.VIEWER,
    "POST /fleet/chargers/{device_id}/token": Role.OPERATOR,
    "POST /fleet/chargers/{device_id}/out-of-service": Role.OPERATOR,
    "POST /fleet/chargers/{device_id}/back-in-service": Role.OPERATOR,
    "POST /fleet/chargers/{device_id}/reenable": Role.OPERATOR,
    "POST /fleet/isolate": Role.OPERATOR,
    "POST /fleet/latches/{scope}": Role.OPERATOR,
    "POST /fleet/latches/{scope}/lift": Role.OPERATOR,
    "GET /whoami": Role.VIEWER,
    "GET /principals": Role.ADMIN,
    "PUT /principals/{name}": Role.ADMIN,
    "POST /principals/{name}/renew": Role.ADMIN,
    "POST /principals/{name}/disable": Role.ADMIN,
    "GET /approvals": Role.VIEWER,
    "POST /approvals/{approval_id}/approve": Role.OPERATOR,
    "GET /audit": Role.VIEWER,
    "GET /audit/verify": Role.VIEWER,
    "GET /audit/export": Role.VIEWER,
}
"""Written a second time on purpose: a route that asks for less than it should must not pass by agreeing with itself."""


def _routes(caller: Caller) -> dict[str, str]:
    """Every route that the API describes, with example values in its address."""
    document = caller.get("/api/openapi.json").json
    return {
        f"{method.upper()} {path.removeprefix(API)}": re.sub(r"\{.*?\}", "nobody", path)
        for path, methods in document["paths"].items()
        for method in methods
    }


def test_the_list_names_every_route(running: Running) -> None:
    """A route that is not on the list is a route whose access nobody decided."""
    assert set(_routes(running.admin)) == set(NEEDED)


@pytest.mark.parametrize("route", NEEDED)
def test_a_route_is_closed_to_nobody_and_to_strangers(running: Running, route: str) -> None:
    """One open route that halts or registers is enough for anybody on the network."""
    method, path = route.split(maxsplit=1)[0], _routes(running.admin)[route]
    for token in (None, "tgo_" + "0" * 64, "", "x" * 300):
        answered = Caller(running.stack.url, token).call(method, path)
        assert answered.status == 401
        assert answered.code in {"access.token_missing", "access.token_unknown"}
        assert answered.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("route", NEEDED)
def test_a_route_is_closed_below_its_role_and_open_from_it_on(running: Running, route: str) -> None:
    """A viewer who could halt, or an operator who could make admins, is no role at all."""
    method, path = route.split(maxsplit=1)[0], _routes(running.admin)[route]
    for role in Role:
        answered = running.as_(role).call(method, path)
        if role.covers(NEEDED[route]):
            assert answered.status not in {401, 403}
        else:
            assert (answered.status, answered.code) == (403, "role.too_low")


def test_what_was_refused_for_its_role_changed_nothing(running: Running) -> None:
    """A refusal that comes after the act is none."""
    before = running.admin.get(f"{API}/audit/verify").json
    answered = running.as_(Role.VIEWER).post(f"{API}/fleet/latches/fleet", {"reason": "mischief"})
    assert answered.status == 403
    assert running.admin.get(f"{API}/audit/verify").json == before


def test_the_description_of_the_api_holds_together(running: Running) -> None:
    """Clients are made from it: a reference that leads nowhere or a call without a word makes none."""
    document = running.admin.get("/api/openapi.json").json
    schemas = document["components"]["schemas"]
    for reference in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document)):
        assert reference in schemas
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            assert said["summary"], (method, path)
            assert "401" in said["responses"] or path.endswith("/export"), (method, path)
            if method == "put":
                assert said["requestBody"]["required"], (method, path)


def test_a_renewed_token_ends_the_old_one(running: Running) -> None:
    """Renewing is what one does with a token that leaked."""
    first = running.admin.put(f"{API}/principals/carol", {"role": "operator", "is_person": True}).json["token"]
    assert Caller(running.stack.url, first).get(f"{API}/whoami").json["name"] == "carol"
    second = running.admin.post(f"{API}/principals/carol/renew").json["token"]
    assert Caller(running.stack.url, first).get(f"{API}/whoami").status == 401
    assert Caller(running.stack.url, second).get(f"{API}/whoami").status == 200
    assert running.admin.post(f"{API}/principals/carol/disable").json["disabled"] is True
    assert Caller(running.stack.url, second).get(f"{API}/whoami").status == 401


def test_a_name_is_given_once(running: Running) -> None:
    """Two persons under one name could not be told apart in the audit log, nor counted as two."""
    assert running.admin.put(f"{API}/principals/dora", {"role": "viewer"}).status == 201
    again = running.admin.put(f"{API}/principals/dora", {"role": "admin"})
    assert (again.status, again.code) == (409, "principal.exists")


def test_the_last_admin_stays(running: Running) -> None:
    """Nobody could ever let anybody in again."""
    assert running.admin.post(f"{API}/principals/a-admin/disable").status == 200
    answered = running.admin.post(f"{API}/principals/admin/disable")
    assert (answered.status, answered.code) == (400, "principal.last_admin")
    running.people["admin"] = Caller(
        running.stack.url, running.admin.post(f"{API}/principals/a-admin/renew").json["token"]
    )


def test_tokens_are_stored_as_hashes_and_shown_once(running: Running) -> None:
    """Whoever reads the database or its backup must not be able to act as anybody."""
    token = running.admin.put(f"{API}/principals/emil", {"role": "viewer"}).json["token"]
    stored = b"".join(file.read_bytes() for file in running.directory.glob("rollout.db*"))
    assert token.encode() not in stored
    assert hashlib.sha256(token.encode()).hexdigest().encode() in stored
    assert token not in running.admin.get(f"{API}/principals").body.decode()
    assert token not in running.admin.get(f"{API}/audit").body.decode()


def test_the_first_admins_token_is_for_its_owner_alone(running: Running) -> None:
    """Other users of the machine must not read it."""
    file: Path = running.directory / "admin.token"
    assert file.stat().st_mode & 0o777 == 0o600
