"""`tidegate up` on a line: it ends when its standard input does, so it never outlives who started it."""

import os
import signal
import sys
import threading

from ops.commands.up import main


def _hang_up() -> None:
    while os.read(sys.stdin.fileno(), 1024):  # past Python's own buffer, whose lock would outlive this thread
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_hang_up, name="tether", daemon=True).start()
    sys.exit(main(sys.argv[1:]))
