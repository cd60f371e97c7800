"""scripts/bootstrap.sh on machines that have and lack things: a PATH of stub tools stands for the machine.

The stub Python answers the questions the script asks it by what the machine is said to have, and writes down what it is
told to do; `-m venv` makes a `.venv` whose Python is the same stub.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MISUSE_EXIT = 2
TOOLS = ("sh", "dirname", "cat", "cut", "sed", "sha256sum", "mkdir", "chmod", "cp", "touch")

STUB = """#!/bin/sh
has() {{ case " {has} " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }}
case "$*" in
*version_info*)
    has new-enough && version='(3, 11)' || version='(3, 10, 9)'
    exec "{python}" -c "import sys; sys.version_info = $version; exec(sys.argv[1])" "$2"
    ;;
*sys.version*) echo stub; exit ;;
*"import venv"*) has venv; exit ;;
*"import ensurepip"*) has ensurepip; exit ;;
*"pip --version"*) has pip; exit ;;
*--require-hashes*) has no-network && exit 1 ;;
esac
echo "{name} $*" >>"{log}"
case "$*" in
"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
*--editable*) touch .venv/bin/tidegate && chmod +x .venv/bin/tidegate ;;
esac
"""


@dataclass(frozen=True, slots=True)
class StubMachine:
    """A checkout on a machine that has these tools and nothing else."""

    checkout: Path
    commands: Path
    log: Path
    python: Path = field(init=False)

    def __post_init__(self) -> None:
        """Name the stub Python."""
        object.__setattr__(self, "python", self.commands / "stub-python")

    def install(self, name: str, *, has: str) -> None:
        """Put a stub on the PATH that has the named abilities."""
        stub = self.commands / name
        stub.write_text(STUB.format(name=name, has=has, log=self.log, python=sys.executable))
        stub.chmod(0o755)

    def bootstrap(self, profile: str = "run", *, python: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the script as make does."""
        environment = {"PATH": str(self.commands), "PYTHON": str(python or self.python)}
        script = self.checkout / "scripts" / "bootstrap.sh"
        return subprocess.run(
            ["/bin/sh", str(script), profile], env=environment, capture_output=True, text=True, check=False
        )

    def done(self) -> list[str]:
        """Give what the stubs were told to do, oldest first."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> StubMachine:
    """Make a checkout of the files that the script reads, and a PATH of the plainest tools."""
    checkout, commands = tmp_path / "checkout", tmp_path / "bin"
    commands.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (commands / tool).symlink_to(found)
    for folder in ("scripts", "requirements"):
        shutil.copytree(ROOT / folder, checkout / folder)
    shutil.copy(ROOT / "pyproject.toml", checkout)
    return StubMachine(checkout=checkout, commands=commands, log=tmp_path / "log")


def test_without_ensurepip_pip_and_uv_it_says_what_to_install(machine: StubMachine) -> None:
    """Otherwise a newcomer on a bare Debian gets a traceback of pip instead of the one line that helps."""
    machine.install("stub-python", has="new-enough venv")
    result = machine.bootstrap()
    assert result.returncode == MISUSE_EXIT
    assert "apt-get install -y python3-venv" in result.stderr
    assert machine.done() == []
    assert not (machine.checkout / ".venv").exists()


def test_without_the_venv_module_it_says_what_to_install(machine: StubMachine) -> None:
    """Otherwise a Python that Debian shipped in its minimal form would fail without a word that helps."""
    machine.install("stub-python", has="new-enough pip")
    result = machine.bootstrap()
    assert result.returncode == MISUSE_EXIT
    assert "apt-get install -y python3-venv" in result.stderr


def test_an_old_python_is_named(machine: StubMachine) -> None:
    """Otherwise the first sign of an old Python would be a syntax error deep inside."""
    machine.install("stub-python", has="venv ensurepip")
    result = machine.bootstrap()
    assert result.returncode == MISUSE_EXIT
    assert "3.11" in result.stderr


def test_an_unknown_profile_is_refused(machine: StubMachine) -> None:
    """Otherwise a misspelt profile would fail far from where it was misspelt."""
    machine.install("stub-python", has="new-enough venv ensurepip")
    result = machine.bootstrap("rum")
    assert result.returncode == MISUSE_EXIT
    assert "say base, run or dev" in result.stderr
    assert machine.done() == []


@pytest.mark.parametrize(
    ("abilities", "installer"),
    [
        ("new-enough venv ensurepip pip", "stub-python -m pip --disable-pip-version-check install"),
        (
            "new-enough venv pip",
            "stub-python -m pip --disable-pip-version-check --python .venv/bin/python install",
        ),
        ("new-enough venv", "uv pip install"),
    ],
    ids=["ensurepip", "the system's pip", "uv"],
)
def test_it_installs_with_what_is_there(machine: StubMachine, abilities: str, installer: str) -> None:
    """Otherwise a machine with one of three usable installers would be turned away, or one of them would resolve."""
    machine.install("stub-python", has=abilities)
    machine.install("uv", has="")
    result = machine.bootstrap()
    assert result.returncode == 0, result.stderr
    venv, locks, project = machine.done()
    assert venv.startswith("stub-python -m venv")
    assert ("--without-pip" in venv) == ("ensurepip" not in abilities)
    assert locks.startswith(installer)
    assert locks.endswith(
        "--require-hashes --no-deps --only-binary=:all: -r requirements/run.lock -r requirements/build.lock"
    )
    assert project.endswith("--no-deps --no-build-isolation --editable .")


def test_a_second_run_does_nothing(machine: StubMachine) -> None:
    """Otherwise every make target would wait for pip."""
    machine.install("stub-python", has="new-enough venv ensurepip")
    machine.bootstrap()
    first = machine.done()
    assert machine.bootstrap().returncode == 0
    assert machine.done() == first


def test_a_changed_lock_is_installed(machine: StubMachine) -> None:
    """Otherwise a pull that brings a new dependency would run with the old ones."""
    machine.install("stub-python", has="new-enough venv ensurepip")
    machine.bootstrap()
    first = machine.done()
    with (machine.checkout / "requirements" / "run.lock").open("a") as lock:
        lock.write("# changed\n")
    machine.bootstrap()
    assert machine.done() == first * 2


@pytest.mark.parametrize(
    "steps", [("base", "run", "dev"), ("base", "dev"), ("run", "dev"), ("base", "run")], ids=" then ".join
)
def test_a_smaller_environment_grows_into_a_larger_one(machine: StubMachine, steps: Sequence[str]) -> None:
    """Otherwise make demo and make test would take the environment from each other, minutes each time."""
    machine.install("stub-python", has="new-enough venv ensurepip")
    for profile in steps:
        assert machine.bootstrap(profile).returncode == 0
    made = [line for line in machine.done() if "-m venv" in line]
    locks = [line.partition("-r ")[2] for line in machine.done() if "--require-hashes" in line]
    assert len(made) == 1
    assert locks == [f"requirements/{profile}.lock -r requirements/build.lock" for profile in steps]


@pytest.mark.parametrize(
    ("larger", "smaller"),
    [("run", "base"), ("dev", "base"), ("dev", "run")],
    ids=["run for base", "dev for base", "dev for run"],
)
def test_a_larger_environment_serves_a_smaller_profile(machine: StubMachine, larger: str, smaller: str) -> None:
    """Otherwise make demo after make test would make the environment anew, and take the tests from it."""
    machine.install("stub-python", has="new-enough venv ensurepip")
    machine.bootstrap(larger)
    first = machine.done()
    assert machine.bootstrap(smaller).returncode == 0
    assert machine.bootstrap(larger).returncode == 0
    assert machine.done() == first


def test_a_changed_lock_of_the_tests_makes_the_environment_anew(machine: StubMachine) -> None:
    """Otherwise what the old lock brought and the new one dropped would stay, and hide that it is missing."""
    machine.install("stub-python", has="new-enough venv ensurepip")
    machine.bootstrap("run")
    machine.bootstrap("dev")
    with (machine.checkout / "requirements" / "dev.lock").open("a") as lock:
        lock.write("# changed\n")
    machine.bootstrap("dev")
    assert len([line for line in machine.done() if "-m venv" in line]) == 2


@pytest.mark.parametrize(("smaller", "larger"), [("base", "run"), ("base", "dev"), ("run", "dev")])
def test_an_environment_whose_lock_changed_since_does_not_grow(machine: StubMachine, smaller: str, larger: str) -> None:
    """Otherwise what the old lock of the smaller profile brought would stay in the larger environment."""
    machine.install("stub-python", has="new-enough venv ensurepip")
    machine.bootstrap(smaller)
    with (machine.checkout / "requirements" / f"{smaller}.lock").open("a") as lock:
        lock.write("# changed\n")
    machine.bootstrap(larger)
    assert len([line for line in machine.done() if "-m venv" in line]) == 2


def test_a_run_that_failed_is_done_again(machine: StubMachine) -> None:
    """Otherwise a network that broke in the middle would leave half an environment that counts as whole."""
    machine.install("stub-python", has="new-enough venv ensurepip no-network")
    assert machine.bootstrap().returncode != 0
    machine.install("stub-python", has="new-enough venv ensurepip")
    assert machine.bootstrap().returncode == 0
    assert any("--require-hashes" in line for line in machine.done())
