"""The door `tidegate`: the one command line of release engineers and operators.

What it is: a door that opens without any extra installed. What it does not do: import a server or signer library
before it knows that it is there.

Rules:
1. A missing extra answers with the pip line that installs it and exit 2.
2. Whatever needs an extra is imported inside the function that needs it.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

MISUSE_EXIT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    parser = argparse.ArgumentParser(prog="tidegate", description="Sign, publish and roll out charger software.")
    parser.add_argument("--version", action="version", version=f"tidegate {version('tidegate')}")
    parser.parse_args(arguments)
    parser.print_help(sys.stderr)
    return MISUSE_EXIT
