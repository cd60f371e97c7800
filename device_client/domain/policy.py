"""Taking over signed policy: what is revoked or stopped adds up; the floor rises late, on a charger that is ready.

Rules (docs/adr/0003-the-floor.md):
1. Revoked and stopped releases are never forgotten here, whatever a later file leaves out.
2. The floor rises only by the signed file, only on a charger that has confirmed at least its `from_version`, and only
   when both slots stay bootable above it: the other slot is refilled with the running image first.
3. It never rises because something was confirmed, and it never falls.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from device_client.domain.findings import Policies
from device_client.domain.journal import MAX_CLOSED, PolicyMemory
from device_client.domain.slots import SlotStatus
from device_client.domain.state import AgentState
from otacore.ids import version_key
from otacore.wire.policy import Floor
from otacore.wire.release import ReleaseKind


class FloorMove(StrEnum):
    """What a floor file asks of this charger now."""

    NONE = "none"
    REFILL = "refill"
    """Copy the running image into the other slot first."""
    RAISE = "raise"
    """Both slots are above it already."""


@dataclass(frozen=True, slots=True)
class FloorDecision:
    """The move and its reason."""

    move: FloorMove
    reason: str


def absorbed(memory: PolicyMemory, found: Policies) -> PolicyMemory:
    """Add what was found. A file with a lower serial than the one seen adds its entries but lowers nothing."""
    stop, revoked, floor = found.stop, found.revoked, found.floor
    if stop is not None:
        stopped = _union(stop.stopped, memory.stopped)
        memory = replace(memory, stop_serial=max(stop.serial, memory.stop_serial), stopped=stopped)
    if revoked is not None:
        closed = _union(revoked.revoked, memory.revoked)
        memory = replace(memory, revoked_serial=max(revoked.serial, memory.revoked_serial), revoked=closed)
    if floor is not None:
        memory = replace(memory, floor_serial=max(floor.serial, memory.floor_serial))
    return memory


def floor_move(state: AgentState, floor: Floor | None) -> FloorDecision:
    """Decide what to do about the floor file."""
    if floor is None or floor.product != state.charger.product or floor.serial < state.policy.floor_serial:
        return FloorDecision(FloorMove.NONE, "device.policy_missing")
    if floor.security_version <= state.policy.security_floor:
        return FloorDecision(FloorMove.NONE, "device.floor_in_force")
    highest = state.journal.highest_firmware
    if highest is None or version_key(highest) < version_key(floor.from_version):
        return FloorDecision(FloorMove.NONE, "device.floor_from_version_not_confirmed")
    pair = state.pair(ReleaseKind.FIRMWARE)
    running, other = pair.slot(pair.running), pair.slot(pair.running.other)
    if running.status is not SlotStatus.CONFIRMED or running.image is None or pair.running is not pair.primary:
        return FloorDecision(FloorMove.NONE, "device.undecided")
    if running.image.security_version < floor.security_version:
        return FloorDecision(FloorMove.NONE, "device.running_below_floor")
    ready = other.image is not None and other.image.security_version >= floor.security_version
    if other.status is SlotStatus.CONFIRMED and ready:
        return FloorDecision(FloorMove.RAISE, "device.floor_raised")
    return FloorDecision(FloorMove.REFILL, "device.refill_needed")


def with_floor(memory: PolicyMemory, floor: Floor) -> PolicyMemory:
    """Put the floor in force. It never falls."""
    if floor.security_version <= memory.security_floor:
        return memory
    return replace(memory, floor=floor, floor_serial=max(memory.floor_serial, floor.serial))


def _union(newest: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Sorted union, bounded; the newest list goes first when it does not fit."""
    if set(newest) <= set(known):
        return known
    rest = [entry for entry in known if entry not in set(newest)]
    return tuple(sorted((*newest, *rest)[:MAX_CLOSED]))
