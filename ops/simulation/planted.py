"""Planted bugs: each one small patch of the real code, which the simulation must find. They test the tester.

What it is: a catalogue of context managers that put a wrong function in the place of a right one.
What it does not do: change a file. Bugs of the device stand in `planted_device.py`, those of the rollout host and of
the judge in `planted_rollout.py`, those of guard, lease and caps in `planted_gate.py`.
"""

from collections.abc import Mapping

from ops.simulation.planted_device import DEVICE_BUGS
from ops.simulation.planted_gate import GATE_BUGS
from ops.simulation.planted_rollout import ROLLOUT_BUGS
from ops.simulation.planting import Planted

PLANTED: Mapping[str, Planted] = {bug.name: bug for bug in (*DEVICE_BUGS, *ROLLOUT_BUGS, *GATE_BUGS)}
