"""Who calls, and whether they may: bearer tokens of principals, and the role that a call needs.

It decides nothing about two persons; the services do.

Rules:
1. A call without a token, or with one that is not known, is answered 401; with too small a role 403, before its body
   means anything.
2. While the database is away or damaged, tokens that were seen before are still known, so that a halt can be heard.
   Nothing else works then, for everything else needs the database.
"""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from fastapi import Request
from starlette.datastructures import Headers

from otacore.errors import Broken, Refused, Unavailable
from rollout.domain.people import Principal, Role
from rollout.service.acts import require_role
from rollout.service.principals import PrincipalService, token_hash

MAX_REMEMBERED = 1000


class Gate:
    """Knows callers by their tokens."""

    def __init__(self, principals: PrincipalService) -> None:
        self._principals = principals
        self._lock = Lock()
        self._seen: OrderedDict[str, Principal] = OrderedDict()

    def caller(self, headers: Headers, *, needed: Role) -> Principal:
        """Who calls.

        Raises: Refused("access.token_missing" | "access.token_unknown" | "role.too_low"),
        Unavailable("access.not_checked"), Broken when a stranger's token cannot be looked up.
        """
        token = bearer_token(headers.get("authorization"))
        hashed = token_hash(token)
        try:
            principal = self._principals.authenticate(token)
        except Refused:
            self._forget(hashed)
            raise
        except (Unavailable, Broken) as error:
            principal = self._remembered(hashed, error)
        self._remember(hashed, principal)
        require_role(principal, needed)
        return principal

    def _remember(self, hashed: str, principal: Principal) -> None:
        with self._lock:
            self._seen[hashed] = principal
            self._seen.move_to_end(hashed)
            while len(self._seen) > MAX_REMEMBERED:
                self._seen.popitem(last=False)

    def _forget(self, hashed: str) -> None:
        with self._lock:
            self._seen.pop(hashed, None)

    def _remembered(self, hashed: str, error: Unavailable | Broken) -> Principal:
        with self._lock:
            principal = self._seen.get(hashed)
        if principal is not None:
            return principal
        if isinstance(error, Broken):
            raise error  # trying again would not help
        raise Unavailable("access.not_checked", "tokens cannot be checked while the database is away; try again")


def needs(role: Role) -> Callable[[Request], Principal]:
    """The dependency of a route that callers of at least this role may use."""

    def caller(request: Request) -> Principal:
        gate: Gate = request.app.state.gate
        return gate.caller(request.headers, needed=role)

    return caller


def bearer_token(header: str | None) -> str:
    """The token of an Authorization header. Raises: Refused("access.token_missing")."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused("access.token_missing", "send the header Authorization: Bearer <token>")
    return token.strip()
