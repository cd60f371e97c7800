"""What the doors call: the services that `rollout.main` built, in one value."""

from dataclasses import dataclass

from fastapi import Request

from rollout.adapters.local_stop import LocalStops
from rollout.api.access import Gate
from rollout.api.halting import HaltDoor
from rollout.service.audit_log import AuditService
from rollout.service.controller import ControllerService
from rollout.service.dryrun import DryRunService
from rollout.service.enrolment import EnrolmentService
from rollout.service.fleet import FleetService
from rollout.service.intake import IntakeService
from rollout.service.operate import RolloutService
from rollout.service.permit import PermitService
from rollout.service.poll import PollService
from rollout.service.principals import PrincipalService
from rollout.service.show import ShowService
from rollout.service.view import FleetView


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a process of the rollout room does."""

    view: FleetView
    enrolment: EnrolmentService
    poll: PollService
    permit: PermitService
    intake: IntakeService
    rollouts: RolloutService
    show: ShowService
    dry_run: DryRunService
    fleet: FleetService
    audit: AuditService
    principals: PrincipalService
    controller: ControllerService
    local_stops: LocalStops
    halting: HaltDoor
    gate: Gate


async def services(request: Request) -> Services:
    """The dependency by which a route gets at them; asynchronous, for it need not wait for a thread."""
    found: Services = request.app.state.services
    return found
