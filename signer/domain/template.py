"""A ceremony template: who holds the keys of each role, how many must sign, and for how long that stands.

It holds no secrets and names no files. Rules that no template can loosen:
1. Offline roles need at least two of their keys; online roles have one.
2. The standard life of each role is fixed here; a template may ask for at most twice as much.
3. The permit key lies on another host than the keys of the repository.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from otacore.errors import Refused
from otacore.ids import require_slug

HOURS_PER_DAY = 24
FIRMWARE = "firmware"
MAX_HOLDERS = 16
MOST_TIMES_STANDARD = 2
STANDARD_LIFE_H: Mapping[str, int] = {
    "root": 365 * HOURS_PER_DAY,
    "targets": 365 * HOURS_PER_DAY,
    FIRMWARE: 365 * HOURS_PER_DAY,
    "config": 90 * HOURS_PER_DAY,
    "campaign": 7 * HOURS_PER_DAY,
    "snapshot": 7 * HOURS_PER_DAY,
    "timestamp": 1 * HOURS_PER_DAY,
}
PERMIT = "permit"
ROLES = (*STANDARD_LIFE_H, PERMIT)
OFFLINE_ROLES = frozenset({"root", "targets", FIRMWARE, "config"})


class KeysKept(StrEnum):
    """Where the keys of a role live."""

    OFFLINE = "offline"
    ONLINE = "online"


@dataclass(frozen=True, slots=True)
class RoleTemplate:
    """One role of the ceremony; `firmware` stands for one role per product."""

    role: str
    kept: KeysKept
    holders: tuple[str, ...]
    threshold: int
    life_h: int
    """Hours until its metadata expires; 0 for `permit`, which publishes nothing."""


@dataclass(frozen=True, slots=True)
class Template:
    """All roles, in the order of `ROLES`."""

    roles: tuple[RoleTemplate, ...]

    def role(self, name: str) -> RoleTemplate:
        """The row of one role."""
        return next(row for row in self.roles if row.role == name)


def family(role: str) -> str:
    """The template row of a metadata role: every `firmware-<product>` is `firmware`."""
    return FIRMWARE if role.startswith(f"{FIRMWARE}-") else role


def longest_life_h(role: str) -> int:
    """The longest life that anybody may sign for a role."""
    return MOST_TIMES_STANDARD * STANDARD_LIFE_H[family(role)]


def parse(plain: Mapping[str, Any]) -> Template:
    """A template out of parsed TOML. Raises: Refused("signer.bad_template")."""
    rows = plain.get("roles")
    if set(plain) != {"roles"} or not isinstance(rows, Mapping) or set(rows) != set(ROLES):
        raise _bad(f"it has one table `roles` with exactly {', '.join(ROLES)}")
    template = Template(tuple(_role(name, rows[name]) for name in ROLES))
    online = set(template.role("campaign").holders) | set(template.role("snapshot").holders)
    if online & set(template.role(PERMIT).holders):
        raise _bad("the permit key and the repository's keys belong on two hosts")
    return template


def _role(name: str, row: object) -> RoleTemplate:
    wanted = {"keys", "holders", "threshold"} | ({"expires_days"} if name != PERMIT else set())
    if not isinstance(row, Mapping) or set(row) != wanted:
        raise _bad(f"roles.{name} has exactly the keys {', '.join(sorted(wanted))}")
    kept = KeysKept.OFFLINE if name in OFFLINE_ROLES else KeysKept.ONLINE
    if row["keys"] != kept.value:
        raise _bad(f"the keys of {name} are {kept.value}")
    holders = _holders(name, row["holders"])
    least = 2 if kept is KeysKept.OFFLINE else 1
    threshold = _integer(f"roles.{name}.threshold", row["threshold"], low=least, high=len(holders))
    life_h = 0
    if name != PERMIT:
        most_days = longest_life_h(name) // HOURS_PER_DAY
        life_h = HOURS_PER_DAY * _integer(f"roles.{name}.expires_days", row["expires_days"], low=1, high=most_days)
    return RoleTemplate(role=name, kept=kept, holders=holders, threshold=threshold, life_h=life_h)


def _holders(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_HOLDERS:
        raise _bad(f"roles.{name}.holders is a list of 1 to {MAX_HOLDERS} names")
    holders = tuple(require_slug("holder", str(entry)) for entry in value)
    if len(set(holders)) != len(holders):
        raise _bad(f"roles.{name}.holders names somebody twice")
    return holders


def _integer(name: str, value: object, *, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _bad(f"{name} is an integer from {low} to {high}")
    return value


def _bad(what: str) -> Refused:
    return Refused("signer.bad_template", f"the template cannot be used: {what}")
