"""Named persons of the story: each speaks the operator API over HTTP with a token of their own.

Nothing is done in the server's process and nothing by reading its database.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.commands.operator_api import Call, OperatorApi
from ops.demo.progress import Scene, scene_of
from ops.stack import write_private
from otacore.errors import Broken
from otacore.wire.codec import to_plain
from otacore.wire.release import ReleaseKind
from rollout.domain.people import Role
from rollout.domain.planning import PlanRequest

PAGE = 1000
MAX_PAGES = 1000


@dataclass(frozen=True, slots=True)
class Person:
    """One principal."""

    name: str
    api: OperatorApi

    def create(self, rollout_id: str, *, product: str, version: str, kind: ReleaseKind) -> None:
        body = {"product": product, "version": version, "kind": kind.value}
        self.api.send(Call("PUT", f"/rollouts/{rollout_id}", body))

    def plan(self, rollout_id: str, request: PlanRequest) -> Mapping[str, Any]:
        """The layout. Raises: Refused when a wave cannot answer."""
        layout: Mapping[str, Any] = self.api.send(Call("POST", f"/rollouts/{rollout_id}/plan", to_plain(request)))
        return layout

    def start(self, rollout_id: str, reason: str) -> None:
        self._act(rollout_id, "start", reason)

    def halt(self, rollout_id: str, reason: str) -> Mapping[str, Any]:
        """What the halt announces."""
        return self._act(rollout_id, "halt", reason)

    def resume(self, rollout_id: str, reason: str) -> str:
        """Ask to resume after a halt; gives the approval that another person must give."""
        answer = self._act(rollout_id, "resume", reason)
        if answer.get("outcome") != "awaiting_approval":
            raise Broken("demo.one_person_resumed", f"a halt was resumed by one person: {answer}")
        return str(answer["approval"]["approval_id"])

    def approve(self, approval_id: str) -> None:
        self.api.send(Call("POST", f"/approvals/{approval_id}/approve"))

    def show(self, rollout_id: str) -> Scene:
        return scene_of(self.api.send(Call("GET", f"/rollouts/{rollout_id}")))

    def leftovers(self, rollout_id: str) -> tuple[Mapping[str, Any], ...]:
        """Of the first page of the fleet."""
        return tuple(self.api.send(Call("GET", f"/rollouts/{rollout_id}/leftovers"))["chargers"])

    def why(self, rollout_id: str, device_id: str) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self.api.send(Call("GET", f"/rollouts/{rollout_id}/why/{device_id}"))
        return told

    def audit(self) -> Iterator[Mapping[str, Any]]:
        """The audit log, oldest entry first."""
        after = 0
        for _ in range(MAX_PAGES):
            page = self.api.send(Call("GET", f"/audit?after={after}&limit={PAGE}"))
            if not page:
                return
            yield from page
            after = page[-1]["sequence"]

    def _act(self, rollout_id: str, action: str, reason: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.api.send(Call("POST", f"/rollouts/{rollout_id}/{action}", {"reason": reason}))
        return answer


def let_in(admin: OperatorApi, *, url: str, name: str, role: Role, token_file: Path) -> Person:
    """Make a principal; its token goes to a private file."""
    token = admin.send(Call("PUT", f"/principals/{name}", {"role": role.value, "is_person": True}))["token"]
    write_private(token_file, f"{token}\n")
    return Person(name, OperatorApi(url=url, token=token))
