"""scripts/bootstrap.sh and its installers as they are, and an index that has moved on since the locks were written.

What stands in: the packages (wheels of one empty module), the locks, the checkout and its build backend. The index
serves what the locks name and a newer version of each. Unless told to resolve nothing, Debian's pip 23.0.1 follows
`beta[extra]` to the newer one and gives up; uv and newer pips do not, but look for what a lock leaves out.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import uv

ROOT = Path(__file__).parents[2]
LOCKED, NEWER = "1.0", "2.0"
# What each package asks for, by extra.
PACKAGES: Mapping[str, Mapping[str, str]] = {
    "alpha": {"": "beta[extra]>={version}"},
    "beta": {"extra": "gamma>={version}"},
    "gamma": {},
    "delta": {"": "alpha>={version}"},
    "epsilon": {"": "beta[extra]>={version}"},
    "builder": {"": "beta[extra]>={version}"},
}
CHARGER = ("alpha", "beta", "gamma")
LOCKS = {
    "base": CHARGER,
    "run": (*CHARGER, "delta"),
    "dev": (*CHARGER, "delta", "epsilon"),
    "build": ("beta", "builder", "gamma"),
}
PYPROJECT = """
[build-system]
requires = ["builder>=1.0"]
build-backend = "backend"
backend-path = ["backend"]

[project]
name = "tidegate"
version = "0.0"
dependencies = ["alpha>=1.0"]
"""
# The import fails unless build.lock was installed before, into the same environment.
BACKEND = """
import pathlib, shutil
import builder

def build_editable(directory, settings=None, metadata_directory=None):
    (wheel,) = pathlib.Path(__file__).parent.glob("*.whl")
    return pathlib.Path(shutil.copy(wheel, directory)).name

build_wheel = build_editable
"""
# Which installer the script chooses is up to what the Python that it is given seems to lack.
PYTHON = """#!/bin/sh
case "$*" in
{seems_to_lack}) exit 1 ;;
esac
exec "{python}" "$@"
"""
LOOK = """
import importlib.metadata, json
found = importlib.metadata.distributions()
print(json.dumps({one.name: [one.version, one.read_text("INSTALLER").strip()] for one in found}))
"""


@dataclass(frozen=True, slots=True)
class Installer:
    """One of the three that the script knows: the case in which it is chosen, and what it leaves to be seen."""

    seems_to_lack: str
    signs: str
    seeds: frozenset[str] = frozenset()


INSTALLERS: Mapping[str, Installer] = {
    "ensurepip": Installer("nothing", signs="pip", seeds=frozenset({"pip", "setuptools"})),
    "the system's pip": Installer('*"import ensurepip"*', signs="pip"),
    "uv": Installer('*"import ensurepip"* | *"pip --version"*', signs="uv"),
}
WITHOUT_ENSUREPIP = ("the system's pip", "uv")
EACH_INSTALLER = (pytest.param("ensurepip", marks=pytest.mark.needs("ensurepip")), *WITHOUT_ENSUREPIP)


def _make_wheel(folder: Path, name: str, *, version: str, lines: Iterable[str] = (), script: str = "") -> Path:
    """Write a wheel of one empty module."""
    wheel, about = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{about}/METADATA": "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""]),
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if script:
        files[f"{about}/entry_points.txt"] = f"[console_scripts]\n{script} = {name}:main\n"
    files[f"{about}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{about}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return wheel


def _asks(name: str, *, version: str) -> Iterator[str]:
    for extra, requirement in PACKAGES[name].items():
        if extra:
            yield f"Provides-Extra: {extra}"
        marker = f' ; extra == "{extra}"' if extra else ""
        yield f"Requires-Dist: {requirement.format(version=version)}{marker}"


@dataclass(frozen=True, slots=True)
class MovedIndex:
    """An index on this machine that serves more than the locks name."""

    url: str
    sums: Mapping[str, str]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovedIndex]:
    """Serve a folder of wheels for each package; the listing of a folder is what an index answers (PEP 503)."""
    folder = tmp_path_factory.mktemp("index")
    sums = {}
    for name in PACKAGES:
        for version in (NEWER, LOCKED):
            wheel = _make_wheel(folder / name, name, version=version, lines=_asks(name, version=version))
            sums[name] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield MovedIndex(url=f"http://127.0.0.1:{server.server_address[1]}/", sums=sums)
        server.shutdown()
        thread.join()


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout with small locks, on a machine that knows one index."""

    folder: Path
    index: MovedIndex

    def lock(self, lock: str, sums: Mapping[str, str]) -> None:
        """Write a lock of the older version of these."""
        lines = (f"{name}=={LOCKED} \\\n    --hash=sha256:{found}\n" for name, found in sums.items())
        (self.folder / "requirements" / f"{lock}.lock").write_text("".join(lines))

    def bootstrap(self, profile: str, *, installer: str) -> subprocess.CompletedProcess[str]:
        """Run the script with a Python that makes it choose this installer."""
        home = self.folder.parent
        python = home / "python"
        python.write_text(PYTHON.format(seems_to_lack=INSTALLERS[installer].seems_to_lack, python=sys.executable))
        python.chmod(0o755)
        environment = {
            "HOME": str(home),
            "PATH": f"{Path(uv.find_uv_bin()).parent}:{os.environ['PATH']}",
            "PYTHON": str(python),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": self.index.url,
            "UV_NO_CONFIG": "1",
            "UV_DEFAULT_INDEX": self.index.url,
        }
        script = self.folder / "scripts" / "bootstrap.sh"
        return subprocess.run(
            ["/bin/sh", str(script), profile], env=environment, capture_output=True, text=True, check=False
        )

    def installed(self, *, installer: str) -> dict[str, str]:
        """Give name and version of what this installer put into the environment, the checkout itself set aside."""
        look = (self.folder / ".venv" / "bin" / "python", "-I", "-c", LOOK)
        done = subprocess.run(look, env={}, capture_output=True, text=True, check=True)
        found: dict[str, tuple[str, str]] = json.loads(done.stdout)
        assert ("pip" in found) == ("pip" in INSTALLERS[installer].seeds)
        assert {signed for _version, signed in found.values()} <= {INSTALLERS[installer].signs}
        apart = INSTALLERS[installer].seeds | {"tidegate"}
        return {name: version for name, (version, _signed) in found.items() if name not in apart}


@pytest.fixture
def checkout(tmp_path: Path, index: MovedIndex) -> Checkout:
    """Make a checkout of what the script reads."""
    folder = tmp_path / "checkout"
    for name in ("scripts", "requirements", "backend"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "bootstrap.sh", folder / "scripts")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend" / "backend.py").write_text(BACKEND)
    _make_wheel(folder / "backend", "tidegate", version="0.0", script="tidegate")
    checkout = Checkout(folder=folder, index=index)
    for lock, names in LOCKS.items():
        checkout.lock(lock, {name: index.sums[name] for name in names})
    return checkout


@pytest.mark.parametrize("profile", ["base", "run", "dev"])
@pytest.mark.parametrize("installer", EACH_INSTALLER)
def test_an_environment_is_what_its_locks_name(checkout: Checkout, installer: str, profile: str) -> None:
    """Otherwise yesterday's clone and today's would differ, or today's would not come up at all."""
    done = checkout.bootstrap(profile, installer=installer)
    assert done.returncode == 0, done.stderr
    assert checkout.installed(installer=installer) == dict.fromkeys((*LOCKS[profile], *LOCKS["build"]), LOCKED)


@pytest.mark.parametrize("installer", WITHOUT_ENSUREPIP)
def test_no_installer_resolves(checkout: Checkout, installer: str) -> None:
    """Otherwise what a package asks for, and not the lock, would say what is installed."""
    checkout.lock("base", {"alpha": checkout.index.sums["alpha"]})
    checkout.lock("build", {"builder": checkout.index.sums["builder"]})
    done = checkout.bootstrap("base", installer=installer)
    assert done.returncode == 0, done.stderr
    assert checkout.installed(installer=installer) == {"alpha": LOCKED, "builder": LOCKED}


@pytest.mark.parametrize("installer", WITHOUT_ENSUREPIP)
def test_a_file_that_changed_under_its_name_is_refused(checkout: Checkout, installer: str) -> None:
    """Otherwise whoever holds the index could swap a wheel that everybody has looked at."""
    swapped = hashlib.sha256(b"what was there when the lock was written").hexdigest()
    checkout.lock("base", {name: checkout.index.sums[name] for name in CHARGER} | {"alpha": swapped})
    done = checkout.bootstrap("base", installer=installer)
    assert done.returncode != 0
    assert swapped in done.stderr
    assert checkout.installed(installer=installer) == {}
    assert not (checkout.folder / ".venv" / ".stamp").exists()
