"""Who may call: named principals with hashed tokens and a role.

It keeps no session and no password: a token is 256 random bits, shown once, stored as its SHA-256. It decides nothing
about approvals; two persons are two principals.

Rules:
1. Whoever is made, given a new token or disabled stands in the audit log, in the same transaction.
2. A token tells nothing about its principal, and its hash nothing about the token.
3. The last enabled admin cannot be disabled or made smaller: somebody must be able to let people in.
"""

import hashlib
import hmac
from dataclasses import dataclass, replace

from otacore.clock import Clock
from otacore.errors import Conflict, Misuse, Refused
from rollout.domain.people import Principal, Role
from rollout.service.journal import record_act
from rollout.service.ports import Entropy, Store, Transaction

TOKEN_PREFIX = "tgo_"  # noqa: S105 -- what every operator token begins with, so that scanners find a leaked one
TOKEN_BYTES = 32
MAX_TOKEN_CHARACTERS = 200
INSTALLER = "installer"
"""Actor of the first admin's entry: nobody was there before."""


@dataclass(frozen=True, slots=True)
class IssuedPrincipal:
    """A principal and its token, shown this once."""

    principal: Principal
    token: str


class PrincipalService:
    """Makes principals and knows them again by their tokens."""

    def __init__(self, *, store: Store, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy

    def authenticate(self, token: str) -> Principal:
        """Who holds this token. Raises: Refused("access.token_unknown"), Unavailable."""
        hashed = token_hash(token)
        with self._store.reading() as rows:
            principal = rows.principal_with_token(hashed)
        if principal is None or principal.disabled or not hmac.compare_digest(principal.token_hash, hashed):
            raise Refused("access.token_unknown", "this token is not known or no longer valid: ask an admin for one")
        return principal

    def make_first(self, name: str) -> IssuedPrincipal | None:
        """The first admin of a new database; None when somebody is there already."""
        with self._store.transaction() as rows:
            if rows.principals():
                return None
            return self._put(rows, Principal(name=name, role=Role.ADMIN, is_person=True), actor=INSTALLER, act="make")

    def make(self, actor: Principal, *, name: str, role: Role, is_person: bool) -> IssuedPrincipal:
        """A new principal. Raises: Misuse("principal.name_invalid"), Conflict("principal.exists")."""
        if not name or name != name.strip():
            raise Misuse("principal.name_invalid", "give a name without spaces at its ends")
        with self._store.transaction() as rows:
            if rows.principal(name) is not None:
                raise Conflict("principal.exists", f"{name} exists already: choose another name, or renew its token")
            return self._put(rows, Principal(name=name, role=role, is_person=is_person), actor=actor.name, act="make")

    def renew(self, actor: Principal, *, name: str) -> IssuedPrincipal:
        """A new token in the place of the old one. Raises: Misuse("principal.unknown")."""
        with self._store.transaction() as rows:
            return self._put(rows, _known(rows, name), actor=actor.name, act="renew")

    def disable(self, actor: Principal, *, name: str) -> Principal:
        """Its token no longer works. Raises: Misuse("principal.unknown" | "principal.last_admin")."""
        with self._store.transaction() as rows:
            principal = _known(rows, name)
            others = [one for one in rows.principals() if one.role is Role.ADMIN and not one.disabled]
            if others == [principal]:
                raise Misuse("principal.last_admin", "this is the last admin: make another one first")
            disabled = replace(principal, disabled=True, token_hash="")
            rows.put_principal(disabled)
            self._tell(rows, disabled, actor=actor.name, act="disable")
            return disabled

    def everyone(self) -> tuple[Principal, ...]:
        """All principals, by name."""
        with self._store.reading() as rows:
            return rows.principals()

    def _put(self, rows: Transaction, principal: Principal, *, actor: str, act: str) -> IssuedPrincipal:
        token = TOKEN_PREFIX + self._entropy.hex(TOKEN_BYTES)
        stored = replace(principal, token_hash=token_hash(token), disabled=False)
        rows.put_principal(stored)
        self._tell(rows, stored, actor=actor, act=act)
        return IssuedPrincipal(stored, token)

    def _tell(self, rows: Transaction, principal: Principal, *, actor: str, act: str) -> None:
        record_act(
            rows,
            actor=actor,
            action=f"{act}_principal",
            subject=principal.name,
            detail={"role": principal.role.value, "is_person": principal.is_person},
            now_ms=self._clock.now_ms(),
        )


def token_hash(token: str) -> str:
    """What is stored of a token. Raises: Refused("access.token_unknown")."""
    if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
        raise Refused("access.token_unknown", "this is no token of ours: ask an admin for one")
    return hashlib.sha256(token.encode()).hexdigest()


def _known(rows: Transaction, name: str) -> Principal:
    principal = rows.principal(name)
    if principal is None:
        raise Misuse("principal.unknown", f"there is nobody called {name}")
    return principal
