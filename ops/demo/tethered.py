"""`tidegate ...` on a line: it ends when its standard input does, so it never outlives who started it."""

import os
import signal
import sys
import threading

from ops.cli import main


def _hang_up() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_hang_up, name="tether", daemon=True).start()
    sys.exit(main())
