"""Approvals and the audit chain: what binds two persons, and what gives a changed bit away."""

from dataclasses import fields, replace
from typing import Any

import pytest

from otacore.errors import Conflict, Misuse, Refused
from rollout.domain.approvals import APPROVAL_TTL_MS, Action, ask, check_approval
from rollout.domain.audit import link, verify
from rollout.domain.people import Approval, AuditEntry, Principal, Role
from tests.fakes.rollout_world import ANNA, BERT, ROBOT

ASKED = ask(
    "ap-1", asker=ANNA, action=Action.RESUME, subject="r-1", parameters="{}", epoch=9, reason="why", now_ms=1_000
)


def test_another_person_may_approve_until_the_request_expires() -> None:
    """A request that is older than its minute of truth must not be acted upon."""
    last_ms = ASKED.requested_at_ms + APPROVAL_TTL_MS - 1
    check_approval(ASKED, by=BERT, epoch=9, now_ms=last_ms)
    with pytest.raises(Misuse) as refused:
        check_approval(ASKED, by=BERT, epoch=9, now_ms=last_ms + 1)
    assert refused.value.code == "approval.expired"


@pytest.mark.parametrize(
    ("approval", "by", "epoch", "code"),
    [
        (ASKED, ANNA, 9, "approval.same_person"),
        (ASKED, ROBOT, 9, "approval.not_a_person"),
        (ASKED, BERT, 10, "approval.stale"),
        (replace(ASKED, parameters='{"x":1}'), BERT, 9, "approval.stale"),
        (replace(ASKED, subject="r-2"), BERT, 9, "approval.stale"),
        (replace(ASKED, action="promote"), BERT, 9, "approval.stale"),
        (replace(ASKED, approved_at_ms=1_001, approved_by="bert"), BERT, 9, "approval.used"),
    ],
)
def test_nothing_else_counts_as_a_second_person(approval: Approval, by: Principal, epoch: int, code: str) -> None:
    """One person twice, a program, or yes to something else is what two persons are there to prevent."""
    with pytest.raises((Refused, Misuse, Conflict)) as refused:
        check_approval(approval, by=by, epoch=epoch, now_ms=2_000)
    assert refused.value.code == code


def test_a_program_cannot_even_ask() -> None:
    """Its request would put one person's yes in the place of two."""
    with pytest.raises(Refused):
        ask("a", asker=ROBOT, action=Action.RESUME, subject="r", parameters="{}", epoch=1, reason="", now_ms=1)


def test_roles_cover_those_below_them() -> None:
    """A viewer that could halt, or an administrator that could not look, would both be wrong."""
    order = tuple(Role)
    for index, role in enumerate(order):
        assert [role.covers(needed) for needed in order] == [position <= index for position in range(len(order))]


def _chain(length: int) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for number in range(length):
        previous = entries[-1] if entries else None
        entries.append(
            link(previous, at_ms=number, actor="anna", action="halt", subject="r-1", detail={"number": number})
        )
    return entries


def test_a_chain_holds_from_its_beginning_and_from_any_known_entry() -> None:
    """Checking an export must not need the whole history."""
    entries = _chain(5)
    assert verify(entries) is None
    assert verify(entries[3:], after=entries[2]) is None


@pytest.mark.parametrize("name", [field.name for field in fields(AuditEntry)])
def test_one_changed_bit_anywhere_is_found(name: str) -> None:
    """A1: an audit log that can be edited proves nothing."""
    entries = _chain(4)
    value: Any = getattr(entries[1], name)
    changed = value + 1 if isinstance(value, int) else f"{value[:-1]}{chr(ord(value[-1]) ^ 1)}"
    change: Any = {name: changed}
    tampered = [entries[0], replace(entries[1], **change), *entries[2:]]
    broken = verify(tampered)
    assert broken is not None
    assert broken.sequence in (2, 3)


def test_an_entry_that_is_missing_or_moved_is_found() -> None:
    """Leaving an act out is the easiest way to hide it."""
    first, second, third, fourth = _chain(4)
    for tampered in ([first, third, fourth], [second, third], [first, third, second, fourth]):
        assert verify(tampered) is not None
