"""What a poll is answered: an offer, a call back, or nothing with its reason. Pure; the hot path.

A hint only: manifests and permits bind. Being called back goes before any offer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from otacore.wire.device_api import Answer, PollReply, PollRequest
from rollout.domain.offer import Charger, Offering, first_refusal
from rollout.domain.rollback import must_leave

NOTHING_OPEN = "nothing_open"
OFFERED = "offered"
CALLED_BACK = "called_back"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the answer carries besides."""

    poll_after_s: int
    report_wanted: bool


def decide_poll(
    charger: Charger, request: PollRequest, offerings: Sequence[Offering], *, now_ms: int, terms: Terms
) -> PollReply:
    """Answer a poll. `offerings`: rollouts of the charger's product that give install permits, best first."""
    for work in charger.work:
        part = work.participation
        if must_leave(part, work.state, running_digest=request.running_digest):
            return PollReply(
                Answer.RECOVER,
                CALLED_BACK,
                terms.poll_after_s,
                terms.report_wanted,
                rollout_id=part.rollout_id,
                kind=part.kind,
                release_digest=part.release_digest,
            )
    reason: str | None = None
    for offering in offerings:
        refusal = first_refusal(offering, charger, now_ms=now_ms)
        if refusal is None:
            return _offer(offering, terms)
        reason = reason or refusal
    return PollReply(Answer.NOTHING, reason or NOTHING_OPEN, terms.poll_after_s, terms.report_wanted)


def _offer(offering: Offering, terms: Terms) -> PollReply:
    rollout = offering.rollout
    return PollReply(
        Answer.INSTALL,
        OFFERED,
        terms.poll_after_s,
        terms.report_wanted,
        rollout_id=rollout.rollout_id,
        kind=rollout.kind,
        release_digest=rollout.release_digest,
        epoch=rollout.epoch,
    )
