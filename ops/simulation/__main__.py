"""`python -m ops.simulation`: the door of the simulation."""

import sys

from ops.simulation.cli import main

sys.exit(main())
