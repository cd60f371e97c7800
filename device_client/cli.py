"""The door `tidegate-device`: the charger's command line.

It uses the standard library only, for it runs where memory is counted.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

MISUSE_EXIT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    parser = argparse.ArgumentParser(prog="tidegate-device", description="The update client of one charger.")
    parser.add_argument("--version", action="version", version=f"tidegate-device {version('tidegate')}")
    parser.parse_args(arguments)
    parser.print_help(sys.stderr)
    return MISUSE_EXIT
