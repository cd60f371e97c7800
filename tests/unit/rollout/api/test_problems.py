"""Errors become problem answers that say what to do and give nothing away."""

import json

import pytest

from otacore.errors import Broken, Conflict, Misuse, OtaError, Refused, Unavailable
from rollout.api.problems import answer, answer_any, malformed, problem_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("trust.bad_signature", "sign it again"), 422),
        (Refused("access.token_missing", "send a token"), 401),
        (Refused("access.token_unknown", "ask for one"), 401),
        (Refused("poll.unknown_token", "enrol"), 401),
        (Refused("role.too_low", "ask an operator"), 403),
        (Unavailable("store.busy", "try again"), 503),
        (Conflict("rollout.stale", "look again"), 409),
        (Misuse("rollout.no_such_transition", "look at its state"), 400),
        (Misuse("rollout.unknown", "look at the list"), 404),
        (Misuse("http.body_too_large", "make it smaller"), 413),
        (Broken("store.damaged", "restore"), 500),
    ],
    ids=lambda value: getattr(value, "code", value),
)
def test_the_status_says_what_the_caller_must_do(error: OtaError, status: int) -> None:
    """A wrong status makes a client give up on what would pass later, or repeat for ever what never will."""
    written = answer_any(error)
    assert written.status_code == status
    assert written.headers["content-type"] == "application/problem+json"
    told = json.loads(bytes(written.body))
    assert told == {
        "type": f"urn:tidegate:problem:{error.code}",
        "title": told["title"],
        "status": status,
        "code": error.code,
        "detail": error.hint,
    }


def test_unavailable_says_when_to_come_again() -> None:
    """Without Retry-After a fleet hammers a server that asked for rest."""
    assert int(answer_any(Unavailable("store.busy", "try again")).headers["retry-after"]) >= 1


def test_an_unknown_caller_is_told_how_to_name_itself() -> None:
    """RFC 9110 demands the scheme with every 401."""
    assert answer_any(Refused("access.token_missing", "send a token")).headers["www-authenticate"] == "Bearer"


def test_what_nobody_foresaw_is_answered_without_its_words() -> None:
    """The text of a crash may hold a token, a path or a customer's data."""
    written = answer_any(ValueError("secret-token-1234"))
    assert written.status_code == 500
    assert b"secret" not in bytes(written.body)


def test_faults_of_a_body_are_listed_without_what_was_sent_and_not_without_end() -> None:
    """Echoing what was sent would mirror attacks and secrets; a body with 10,000 faults would make a huge answer."""
    errors = [{"loc": ("body", number), "msg": "wrong", "input": "secret"} for number in range(10_000)]
    body = bytes(answer(malformed(errors)).body)
    assert b"secret" not in body
    assert len(body) < 4000
    assert problem_of(Refused("a.b", "c")).faults == ()
