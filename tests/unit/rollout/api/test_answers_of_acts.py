"""What an act is answered once it stands."""

import json
from types import SimpleNamespace
from typing import cast

from otacore.errors import Unavailable
from rollout.api.operator.calls import acted
from rollout.api.services import Services
from rollout.domain.approvals import Action
from rollout.service.acts import Acted


class _LostView:
    """Process memory that cannot follow: the database went right after the commit."""

    def catch_up(self) -> None:
        raise Unavailable("store.unreachable", "later")


def test_an_act_that_stands_is_answered_as_done_though_memory_cannot_follow() -> None:
    """Answered 503, it would be done a second time, or believed not to have been done at all."""
    room = cast("Services", SimpleNamespace(view=_LostView()))
    answer = acted(room, Acted(Action.PAUSE, "spring", epoch=7))
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"7"'
    assert json.loads(bytes(answer.body))["outcome"] == "done"
