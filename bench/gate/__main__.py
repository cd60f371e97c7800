"""`python -m bench.gate`: measure the gate and print observed against limit."""

import argparse
import json
import sys
from pathlib import Path

from bench.gate import run
from bench.resumable import told_row


def main() -> int:
    """Print a line per row; exit 1 when a limit is not kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.gate", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full number of rollouts")
    parser.add_argument("--keep", type=Path, help="file that keeps measured rows, so that a run can be resumed")
    parser.add_argument("--only", nargs="*", default=[""], help="measure rows whose name holds one of these texts")
    parser.add_argument("--json", type=Path, help="write the rows here")
    asked = parser.parse_args()
    found = run(asked.scale, keep=asked.keep, only=asked.only, tell=told_row)
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    minutes = sum(row["seconds"] for row in found["rows"]) / 60
    print(f"\n{len(found['rows'])} rows, {minutes:.1f} min; not kept: {', '.join(found['not_kept']) or 'none'}")
    return 1 if found["not_kept"] else 0


if __name__ == "__main__":
    sys.exit(main())
