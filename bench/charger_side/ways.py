"""One way to get an image onto a charger, measured from inside: `python -m bench.charger_side.ways WAY ...`.

Ways: `update` (our agent), `urllib` (read and hash), `tuf` (download_target), `import` (device_client), `bare`.
Only what a way needs is imported, and that counts into its memory.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence

_KIB_PER_MIB = 1024


def main(words: Sequence[str]) -> None:
    way, *rest = words
    began, cpu, written = time.perf_counter(), _cpu_s(), _written()
    WAYS[way](*rest)
    told = {
        "seconds": time.perf_counter() - began,
        "cpu_s": _cpu_s() - cpu,
        "written": _written() - written,
        "peak_mib": _number_in("/proc/self/status", "VmHWM:") / _KIB_PER_MIB,
    }
    print(json.dumps(told))


def _update(home: str, url: str, release: str) -> None:
    from bench.charger_side.charger import update  # noqa: PLC0415 -- its memory is this way's

    update(home, url, json.loads(release))


def _urllib(_home: str, url: str, release: str) -> None:
    import hashlib  # noqa: PLC0415 -- its memory is this way's
    import urllib.request  # noqa: PLC0415 -- the same

    given = json.loads(release)
    digest = hashlib.sha256()
    with urllib.request.urlopen(f"{url}/targets/{given['file']}") as answer:  # noqa: S310 -- http to this machine
        while piece := answer.read(256 * 1024):
            digest.update(piece)
    assert digest.hexdigest() == given["sha256"]


def _tuf(home: str, url: str, release: str) -> None:
    from pathlib import Path  # noqa: PLC0415 -- its memory is this way's

    from tuf.ngclient import Updater  # noqa: PLC0415 -- the same

    given = json.loads(release)
    for folder in ("metadata", "targets"):
        (Path(home) / folder).mkdir(parents=True)
    updater = Updater(
        metadata_dir=f"{home}/metadata",
        metadata_base_url=f"{url}/metadata/",
        target_dir=f"{home}/targets",
        target_base_url=f"{url}/targets/",
        bootstrap=Path(given["factory_root"]).read_bytes(),
    )
    updater.refresh()
    target = updater.get_targetinfo(given["path"])
    assert target is not None
    updater.download_target(target)


def _import() -> None:
    import device_client.adapters.wiring  # noqa: F401, PLC0415 -- that it is imported is the point


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _written() -> int:
    """Bytes handed to write calls so far; sockets are written by send calls and do not count."""
    return _number_in("/proc/self/io", "wchar:")


def _number_in(path: str, name: str) -> int:
    """What getrusage says would do for memory, were its peak not inherited from the process that started this one."""
    with open(path, encoding="ascii") as file:  # noqa: PTH123 -- pathlib would count into the bare way
        return int(next(line for line in file if line.startswith(name)).split()[1])


WAYS: Mapping[str, Callable[..., None]] = {
    "update": _update,
    "urllib": _urllib,
    "tuf": _tuf,
    "import": _import,
    "bare": lambda: None,
}

if __name__ == "__main__":
    main(sys.argv[1:])
