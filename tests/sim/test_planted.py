"""Planted bugs: the test of the tester. Each one is a small patch of the real code, and the simulation must find it.

A bug that is not found within its seeds means that the worlds no longer reach the state in which it shows, or that the
promise that should complain has gone blind.
"""

import pytest

from ops.simulation.planted import PLANTED
from ops.simulation.run import first_broken


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_bug_is_found(name: str) -> None:
    """The named promise must be the one that complains, within the stated number of seeds."""
    bug = PLANTED[name]
    found = first_broken(bug)
    assert found is not None
    assert found.broken is not None
    assert found.broken.startswith(bug.promise)


def test_every_bug_that_must_be_found_is_in_the_catalogue() -> None:
    """The list of the simulation's specification; none may quietly leave."""
    assert set(PLANTED) >= {
        "late-flag",
        "fenced-reports",
        "never-confirmed",
        "place-by-reboot",
        "permit-after-halt",
        "wave-twice",
        "waiting-revert",
        "site-without-limit",
        "swapping",
        "shrinking",
        "second-install",
        "floor-at-confirm",
        "arrival-order",
        "late-draw",
        "silence-is-health",
    }
