"""The test of the tester: every planted bug is found, and by the promise that it breaks."""

import pytest

from ops.simulation.planted import PLANTED
from ops.simulation.run import first_broken, replay_command, run_seed

LIMIT_S = 600


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_bug_is_found(name: str) -> None:
    """A simulation that misses this bug would miss it in the code as well."""
    bug = PLANTED[name]
    found = first_broken(bug)
    assert found is not None, f"{name} ({bug.tale}) was not found in {bug.within} seeds"
    assert found.broken is not None
    assert found.broken.startswith(bug.promise)
    complaint = found.complaint(name)
    assert f"seed {found.seed}:" in complaint
    assert replay_command(found.seed, bug.worlds, name) in complaint
    assert len(complaint.splitlines()) > 3


def test_a_planted_bug_is_gone_afterwards() -> None:
    """A bug that stayed would make every later test of the suite lie."""
    bug = PLANTED["shrinking"]
    assert first_broken(bug) is not None
    assert run_seed(0, worlds=bug.worlds).broken is None
