"""Writing an entry of the audit chain in the transaction of the act it tells of."""

from collections.abc import Mapping

from rollout.domain.audit import link
from rollout.service.ports import Transaction


def record_act(
    tx: Transaction, *, actor: str, action: str, subject: str, detail: Mapping[str, object], now_ms: int
) -> None:
    """Append the next link."""
    entry = link(tx.last_audit(), at_ms=now_ms, actor=actor, action=action, subject=subject, detail=detail)
    tx.append_audit(entry)
