"""Bad input at every route of the operator API: a clear problem, and nothing changed."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from rollout.domain.people import Role
from tests.fakes.caller import Caller
from tests.fakes.running_stack import Running

API = "/api/v1"
REASON = {"reason": "a test"}
GOOD_BODIES: dict[str, dict[str, Any]] = {
    "PUT /rollouts/spring": {"product": "acme-dc50", "version": "1.1.0"},
    "POST /rollouts/spring/plan": {"waves": [{"percent": 100}], "judge": {}},
    "POST /rollouts/spring/start": REASON,
    "POST /rollouts/spring/pause": REASON,
    "POST /rollouts/spring/halt": REASON,
    "POST /rollouts/spring/resume": REASON,
    "POST /rollouts/spring/rollback": REASON,
    "POST /rollouts/spring/promote": REASON,
    "POST /fleet/sites": {"sites": [{"site_id": "s1", "site_class": "depot"}]},
    "POST /fleet/chargers": {
        "chargers": [
            {"device_id": "c1", "site_id": "s1", "product": "acme-dc50", "hardware": "rev-a", "rating_w": 22_000}
        ]
    },
    "POST /fleet/chargers/c1/token": {"reason": "new"},
    "POST /fleet/chargers/c1/out-of-service": REASON,
    "POST /fleet/chargers/c1/back-in-service": REASON,
    "POST /fleet/chargers/c1/reenable": REASON,
    "POST /fleet/isolate": {"device_ids": ["c1"], "reason": "a test"},
    "POST /fleet/latches/fleet": REASON,
    "POST /fleet/latches/fleet/lift": REASON,
    "PUT /principals/zoe": {"role": "viewer"},
}


def _json(plain: Any) -> bytes:
    return json.dumps(plain).encode()


def _first(plain: dict[str, Any], value: object) -> bytes:
    key = next(iter(plain))
    return _json({**plain, key: value})


MANGLED: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "nothing": lambda _: b"",
    "no JSON": lambda _: b"{reason}",
    "cut short": lambda plain: _json(plain)[:-1],
    "no text": lambda _: b"\xff\xfe\x00",
    "null": lambda _: b"null",
    "a list": lambda plain: _json([plain]),
    "unknown key": lambda plain: _json({**plain, "extra": 1}),
    "missing key": lambda plain: _json({key: plain[key] for key in list(plain)[1:]} or {"other": 1}),
    "a number": lambda plain: _first(plain, 1),
    "a huge number": lambda plain: _first(plain, 10**40),
    "a flag": lambda plain: _first(plain, value=True),
    "an object": lambda plain: _first(plain, {"a": {}}),
    "a long text": lambda plain: _first(plain, "x" * 100_000),
    "a text that cannot be written": lambda plain: _first(plain, "\ud800"),
    "control characters": lambda plain: _first(plain, "a\x00b\n"),
    "deep": lambda _: b'{"reason":' * 50_000,
    "not a number": lambda plain: _first(plain, float("nan")),
}


def _everything(running: Running) -> tuple[Any, ...]:
    """All that could have been changed, as far as the API shows it."""
    admin = running.admin
    paths = ("/audit/verify", "/rollouts", "/fleet/chargers", "/approvals", "/principals")
    return tuple(admin.get(API + path).json for path in paths)


@pytest.mark.parametrize("route", GOOD_BODIES)
def test_a_mangled_body_is_told_and_changes_nothing(running: Running, route: str) -> None:
    """What is half understood must not be half done."""
    method, path = route.split()
    before = _everything(running)
    for name, mangle in MANGLED.items():
        answered = running.as_(Role.ADMIN).call(method, API + path, mangle(GOOD_BODIES[route]))
        assert answered.status in {400, 422}, (name, answered)
        assert answered.code, name
        if answered.code == "http.malformed" and answered.json.get("faults"):
            assert all(fault["what"] for fault in answered.json["faults"])
    assert _everything(running) == before


@pytest.mark.parametrize("route", GOOD_BODIES)
def test_a_body_beyond_the_limit_is_not_read(running: Running, route: str) -> None:
    """A body of a gigabyte would take the memory from two hundred chargers' reports."""
    method, path = route.split()
    answered = running.as_(Role.ADMIN).call(method, API + path, b"x", headers={"content-length": str(10**12)})
    assert (answered.status, answered.code) == (413, "http.body_too_large")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/rollouts/no-such", 404, "rollout.unknown"),
        ("GET", "/rollouts/%00", 404, "rollout.unknown"),
        ("GET", "/rollouts/no-such/leftovers", 404, "rollout.unknown"),
        ("GET", "/rollouts/no-such/why/c1", 404, "rollout.unknown"),
        ("GET", "/rollouts/no-such/leftovers?limit=0", 422, "http.malformed"),
        ("GET", "/rollouts/no-such/leftovers?from_number=-1", 422, "http.malformed"),
        ("GET", "/rollouts/no-such/leftovers?from_number=9999999999999999999999", 422, "http.malformed"),
        ("GET", "/fleet/chargers/no-such", 404, "device.unknown"),
        ("GET", "/fleet/chargers?limit=many", 422, "http.malformed"),
        ("GET", "/audit?after=99999999999999999999", 422, "http.malformed"),
        ("POST", "/approvals/no-such/approve", 404, "approval.unknown"),
        ("POST", "/principals/no-such/renew", 404, "principal.unknown"),
        ("GET", "/no-such-route", 404, "http.not_found"),
        ("DELETE", "/rollouts/spring", 405, "http.method_not_allowed"),
    ],
)
def test_what_is_not_there_is_told(running: Running, method: str, path: str, status: int, code: str) -> None:
    """An empty answer to a typing error reads like "all is well"."""
    answered = running.as_(Role.ADMIN).call(method, API + path)
    assert (answered.status, answered.code) == (status, code)


@pytest.mark.parametrize("name", ["UPPER", "a/b", "..", "x" * 41, "stop", "späte", "a b", "%2e%2e%2fetc"])
def test_a_name_that_no_manifest_can_bear_makes_no_rollout(running: Running, name: str) -> None:
    """The name becomes the path of a signed file, `campaigns/<name>.json`."""
    answered = running.as_(Role.ENGINEER).put(
        f"{API}/rollouts/{quote(name)}", {"product": "acme-dc50", "version": "1.1.0"}
    )
    assert answered.status in {400, 404, 405, 422}
    assert running.admin.get(f"{API}/rollouts").json == []


CSV = {
    "no header": "",
    "an unknown column": "site_id,site_class,colour\ns1,depot,red\n",
    "a missing column": "site_id\ns1\n",
    "a column twice": "site_id,site_class,site_id\ns1,depot,s2\n",
    "too few cells": "site_id,site_class,labels\ns1,depot\n",
    "too many cells": "site_id,site_class\ns1,depot,x\n",
    "no number": "site_id,site_class,place_share_pct\ns1,depot,half\n",
    "a share beyond all": "site_id,site_class,place_share_pct\ns1,depot,101\n",
    "a name with a space": "site_id,site_class\ns 1,depot\n",
    "a window that is none": "site_id,site_class,consent\ns1,depot,monday\n",
    "an open quote": 'site_id,site_class\n"s1,depot\n',
    "the same site twice": "site_id,site_class\ns1,depot\ns1,hub\n",
    "too many lines": "site_id,site_class\n" + "".join(f"s{number},depot\n" for number in range(10_001)),
}


@pytest.mark.parametrize("content", CSV.values(), ids=CSV)
def test_a_csv_with_one_bad_line_registers_none(running: Running, content: str) -> None:
    """Half a fleet registered is worse than none: the second try then changes what the first one did."""
    before = _everything(running)
    answered = running.as_(Role.OPERATOR).call(
        "POST", f"{API}/fleet/sites", content.encode(), headers={"content-type": "text/csv"}
    )
    assert answered.status in {400, 422}
    assert answered.code
    assert _everything(running) == before


def test_a_problem_never_shows_what_was_sent_or_where_we_live(running: Running) -> None:
    """A problem answer may be logged, mailed and shown to others."""
    secret = "tgo_" + "f" * 64
    answered = running.as_(Role.ADMIN).post(f"{API}/rollouts/spring/halt", {"reason": {"token": secret}})
    stranger = Caller(running.stack.url, secret).get(f"{API}/whoami")
    for told in (answered.body.decode(), stranger.body.decode()):
        assert secret not in told
        assert str(running.directory) not in told
        assert "Traceback" not in told
