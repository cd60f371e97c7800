"""A whole stack over real HTTP, and one person of each role who calls it."""

from dataclasses import dataclass
from pathlib import Path

from ops.stack import Stack
from rollout.domain.people import Role
from tests.fakes.caller import Caller

PASSPHRASE = "a passphrase of tests"


@dataclass(frozen=True, slots=True)
class Running:
    """A stack without its timer, so that a test says when it ticks, and one person of each role."""

    stack: Stack
    directory: Path
    admin: Caller
    people: dict[str, Caller]

    def as_(self, role: Role) -> Caller:
        """The person with this role."""
        return self.people[role.value]


def people_of(stack: Stack) -> dict[str, Caller]:
    """One person of each role, made over the API."""
    admin = Caller(stack.url, stack.admin_token)
    made = {}
    for role in Role:
        answered = admin.put(f"/api/v1/principals/a-{role}", {"role": role.value, "is_person": True})
        if answered.status == 409:
            answered = admin.post(f"/api/v1/principals/a-{role}/renew")
        made[role.value] = Caller(stack.url, answered.json["token"])
    return made
