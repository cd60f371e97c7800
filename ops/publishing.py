"""The rollout room's way to the repository room, both in one process: the port `CampaignPublisher` over the desk.

What the repository says of itself becomes what the rollout can act on: publish later, or never. A repository whose own
state is not to be trusted is "later" for the rollout, since a halt stands whatever the repository does; the log tells.
"""

from collections.abc import Callable

import structlog

from otacore.errors import Broken, Conflict, Misuse, Unavailable
from otacore.wire.campaign import CampaignOrder
from repository.service.desk import CampaignDesk

_log = structlog.get_logger("ops.publishing")


class DeskPublisher:
    """Publishes by the campaign desk of this process."""

    def __init__(self, desk: CampaignDesk, *, on_published: Callable[[], None]) -> None:
        self._desk = desk
        self._on_published = on_published

    def publish(self, order: CampaignOrder) -> None:
        """See the port `CampaignPublisher`. Raises: Unavailable, Refused."""
        try:
            self._desk.publish(order)
        except Conflict as error:
            raise Unavailable("campaign.contended", "others publish at this moment; try again") from error
        except (Broken, Misuse) as error:
            _log.error("publication_failed", rollout_id=order.manifest.rollout_id, code=error.code, hint=error.hint)
            raise Unavailable("campaign.repository_broken", f"{error.code}: {error.hint}") from error
        self._on_published()
