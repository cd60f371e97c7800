"""Replace a key: stage the root or targets that names another key for a role, and the role itself signed anew.

Rules:
1. A new root, and targets whose keys change, are signed by the old threshold and by the new one (service.signing).
2. An offline role whose key changes is in the same bundle, one version higher, so that it never stands unverified.
3. Online roles are signed anew by the repository host, which holds both keys while the change is published.
"""

from typing import Any

from securesystemslib.signer import Key
from tuf.api.metadata import Metadata

from otacore.errors import Refused
from signer.service.bundle import ROOT, TARGETS, Bundle, Standing, parse, to_bytes
from signer.service.signing import TOP_LEVEL
from signer.service.staging import checked, renew


def stage_key_change(
    standing: Standing, *, role: str, add: tuple[Key, ...], drop: tuple[str, ...], now_ms: int
) -> Bundle:
    """A bundle in which a role gains and loses keys; `drop` holds key ids or their first digits.

    Raises: Refused("signer.unknown_role" | "signer.unknown_key"), and every objection of the signer.
    """
    above = ROOT if role in TOP_LEVEL else TARGETS
    metadata = parse(above, standing.roles[above])
    _change(metadata, role, add=add, drop=drop)
    renew(above, metadata, now_ms=now_ms)
    roles = {above: to_bytes(metadata)}
    if role in standing.roles and role != above:
        own = parse(role, standing.roles[role])
        renew(role, own, now_ms=now_ms)
        roles[role] = to_bytes(own)
    stood = {name: data for name, data in standing.roles.items() if name in {ROOT, TARGETS, role}}
    return checked(Bundle(Standing(stood), roles), now_ms=now_ms)


def _change(metadata: Metadata[Any], role: str, *, add: tuple[Key, ...], drop: tuple[str, ...]) -> None:
    try:
        named = metadata.signed.get_delegated_role(role).keyids
    except ValueError as error:
        raise Refused("signer.unknown_role", f"there is no role {role}: check the product's name") from error
    for start in drop:
        fitting = [keyid for keyid in named if keyid.startswith(start)]
        if len(fitting) != 1:
            raise Refused("signer.unknown_key", f"{start!r} fits {len(fitting)} keys of {role}: {', '.join(named)}")
        metadata.signed.revoke_key(fitting[0], role)
    for key in add:
        metadata.signed.add_key(key, role)
