"""`python -m tests.fakes.tidegate ...`: the command line, from the checkout."""

import sys

from ops.cli import main

if __name__ == "__main__":
    sys.exit(main())
