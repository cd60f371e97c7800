"""Rollouts: create, plan, start, pause, resume, halt, roll back, promote; progress, leftovers, why."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from otacore.errors import Misuse
from otacore.ids import MAX_INTEGER
from otacore.wire.release import ReleaseKind
from rollout.api.documents import body_of, documented, told
from rollout.api.operator.calls import (
    Done,
    Engineer,
    Operator,
    Reason,
    Room,
    SeenEpoch,
    Viewer,
    Waiting,
    acted,
    etag,
    follow,
)
from rollout.api.services import Services
from rollout.domain.dryrun.stored import DryRunFacts
from rollout.domain.halt import HaltAnswer
from rollout.domain.people import Principal
from rollout.domain.planning import Layout, PlanRequest
from rollout.domain.records import Options, Participation, Rollout, Selector
from rollout.domain.why import Explanation
from rollout.service.planning import Creation
from rollout.service.show import MAX_PAGE, Leftovers, Progress

CREATED = 201
router = APIRouter(prefix="/rollouts", tags=["rollouts"])


@dataclass(frozen=True, slots=True)
class NewRollout:
    """A rollout as its author asks for it; its name stands in the address."""

    product: str
    version: str
    kind: ReleaseKind = ReleaseKind.FIRMWARE
    selector: Selector = field(default_factory=Selector)
    options: Options = field(default_factory=Options)


Why = Annotated[Reason, Depends(body_of(Reason))]
_ACT = documented(takes=Reason, gives=Done | Waiting)


@router.get("", summary="All rollouts, newest first", **documented(gives=tuple[Rollout, ...]))
def rollouts(room: Room, _caller: Viewer) -> Response:
    """Rows as they stand; progress is asked for one by one."""
    return told(room.show.rollouts())


@router.put(
    "/{rollout_id}",
    summary="Create a rollout of a published release",
    description="The name is the caller's, so the same call again answers with the same rollout and creates nothing.",
    **documented(takes=NewRollout, gives=Rollout),
)
def create(
    rollout_id: str, room: Room, caller: Engineer, given: Annotated[NewRollout, Depends(body_of(NewRollout))]
) -> Response:
    """Create a draft."""
    creation = Creation(rollout_id, given.product, given.kind, given.version, given.selector, given.options)
    try:
        made, status = room.rollouts.create(caller, creation), CREATED
    except Misuse as error:
        made, status = _same_as_before(room, caller, creation, error), 200
    return told(made, status=status, headers=etag(made.epoch))


@router.get("/{rollout_id}", summary="Where a rollout stands", **documented(gives=Progress))
def show(rollout_id: str, room: Room, _caller: Viewer) -> Response:
    """Progress from counters; it costs the same for any fleet."""
    progress = room.show.show(rollout_id)
    return told(progress, headers=etag(progress.rollout.epoch))


@router.post(
    "/{rollout_id}/plan",
    summary="Lay the waves out over the registered fleet",
    description=(
        "An empty body asks for a proposal; what is given are wishes. A wish that cannot be met is answered with the "
        "nearest plan that can (`wishes`: wished, proposed, why). A dry run stores nothing."
    ),
    **documented(takes=PlanRequest, gives=Layout),
)
def plan(
    rollout_id: str,
    room: Room,
    caller: Engineer,
    given: Annotated[PlanRequest, Depends(body_of(PlanRequest))],
    *,
    dry_run: bool = False,
) -> Response:
    """Plan."""
    layout = room.rollouts.plan(caller, rollout_id, given, dry_run=dry_run)
    follow(room)
    return told(layout)


@router.get(
    "/{rollout_id}/dry-run",
    summary="What a dry run needs: the stored plan and the shape of the fleet",
    description="Played by `tidegate rollout simulate` on the caller's machine. One pass over the product's chargers.",
    **documented(gives=DryRunFacts),
)
def dry_run(rollout_id: str, room: Room, _caller: Viewer) -> Response:
    """Counts only: no names, no keys."""
    return told(room.dry_run.facts(rollout_id))


@router.post("/{rollout_id}/start", summary="Open the first wave as planned", **_ACT)
def start(rollout_id: str, room: Room, caller: Engineer, why: Why, epoch: SeenEpoch) -> Response:
    """A large first wave, or one that goes on without a verdict, needs two persons."""
    return acted(room, room.rollouts.start(caller, rollout_id, reason=why.reason, expected_epoch=epoch))


@router.post("/{rollout_id}/pause", summary="Hold a rollout; one person resumes it", **_ACT)
def pause(rollout_id: str, room: Room, caller: Operator, why: Why, epoch: SeenEpoch) -> Response:
    """No further permits until it is resumed."""
    return acted(room, room.rollouts.pause(caller, rollout_id, reason=why.reason, expected_epoch=epoch))


@router.post(
    "/{rollout_id}/halt",
    summary="Halt a rollout at once; two persons resume it",
    description=(
        "Once this answers, no permit is given under the old epoch. The answer says what can still activate. A halt is "
        "never refused for a stale view. With the database gone it answers 503 and stands on this server all the same."
    ),
    **documented(takes=Reason, gives=HaltAnswer),
)
def halt(rollout_id: str, room: Room, caller: Operator, why: Why) -> Response:
    """Halt."""
    answer = room.halting.halt(caller, rollout_id, reason=why.reason)
    follow(room)
    return told(answer, headers=etag(answer.epoch))


@router.post("/{rollout_id}/resume", summary="Go on after a pause, or with two persons after a halt", **_ACT)
def resume(rollout_id: str, room: Room, caller: Operator, why: Why, epoch: SeenEpoch) -> Response:
    """Go on where it was."""
    return acted(room, room.rollouts.resume(caller, rollout_id, reason=why.reason, expected_epoch=epoch))


@router.post("/{rollout_id}/rollback", summary="Take every affected charger back and stop the release for good", **_ACT)
def rollback(rollout_id: str, room: Room, caller: Operator, why: Why, epoch: SeenEpoch) -> Response:
    """Each charger goes to its own last confirmed release."""
    return acted(room, room.rollouts.rollback(caller, rollout_id, reason=why.reason, expected_epoch=epoch))


@router.post("/{rollout_id}/promote", summary="Pass the present wave without or against a verdict: two persons", **_ACT)
def promote(rollout_id: str, room: Room, caller: Engineer, why: Why, epoch: SeenEpoch) -> Response:
    """The rollout counts as unproven from then on."""
    return acted(room, room.rollouts.promote(caller, rollout_id, reason=why.reason, expected_epoch=epoch))


@router.get(
    "/{rollout_id}/leftovers", summary="Chargers whose part is not over, with reasons", **documented(gives=Leftovers)
)
def leftovers(
    rollout_id: str,
    room: Room,
    _caller: Viewer,
    from_number: Annotated[int, Query(ge=0, le=MAX_INTEGER)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
) -> Response:
    """One page of the fleet at a time; go on at `next_number`."""
    return told(room.show.leftovers(rollout_id, from_number=from_number, limit=limit))


@router.get(
    "/{rollout_id}/needs-hands",
    summary="Chargers that a rollback cannot take back from here",
    **documented(gives=tuple[Participation, ...]),
)
def needs_hands(
    rollout_id: str,
    room: Room,
    _caller: Viewer,
    after: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
) -> Response:
    """By device id, with the reason of each."""
    return told(room.show.needs_hands(rollout_id, after_device_id=after, limit=limit))


@router.get(
    "/{rollout_id}/why/{device_id}",
    summary="Why a charger is or is not offered the release, predicate by predicate",
    **documented(gives=Explanation),
)
def why(rollout_id: str, device_id: str, room: Room, _caller: Viewer) -> Response:
    """The very predicates that polls and permits ask."""
    return told(room.show.why(rollout_id, device_id))


def _same_as_before(room: Services, caller: Principal, creation: Creation, error: Misuse) -> Rollout:
    """A create that is repeated because its answer was lost is no error."""
    if error.code != "rollout.exists":
        raise error
    known = room.show.show(creation.rollout_id)
    asked = (creation.product, creation.kind, creation.version, creation.selector, creation.options, caller.name)
    made = known.rollout
    stands = (made.product, made.kind, known.release.version, made.selector, made.options, made.created_by)
    if asked != stands:
        raise error
    return made
