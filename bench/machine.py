"""What the figures were measured on: processor, memory, Python. No names, no addresses."""

import os
import platform
import re
from pathlib import Path

from bench.figures import Figure

GIB = 2**30


def machine() -> tuple[Figure, ...]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    return (
        Figure("machine_processor", _processor(), "", "/proc/cpuinfo"),
        Figure("machine_cpus", len(os.sched_getaffinity(0)), "CPUs", "usable by this process"),
        Figure("machine_memory_gib", round(memory, 1), "GiB", "physical"),
        Figure("machine_python", platform.python_version(), "", platform.python_implementation()),
        Figure("machine_kernel", ".".join(platform.release().split(".")[:2]), "", platform.system()),
        Figure(
            "machine_load", round(os.getloadavg()[0], 2), "", "load average of the last minute, before the first bench"
        ),
    )


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return found[1] if found else platform.machine()
