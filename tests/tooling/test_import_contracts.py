"""The import contracts fail when they are broken: violations are planted in a copy of the tree, one for each."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("otacore", "signer", "repository", "rollout", "device_client", "ops")
# File, planted line, the contract it breaks.
PLANTS = (
    ("otacore/planted.py", "import rollout", "packages stand on otacore, ops stands on all"),
    ("repository/service/planted.py", "import ops", "packages stand on otacore, ops stands on all"),
    ("device_client/service/planted.py", "import rollout", "packages are independent"),
    ("repository/service/planted.py", "import signer.service", "packages are independent"),
    ("rollout/domain/planted.py", "import rollout.adapters", "doors over adapters over service over domain"),
    ("signer/service/planted.py", "import signer.adapters", "doors over adapters over service over domain"),
    ("rollout/domain/planted.py", "import os", "domain is pure"),
    ("device_client/domain/planted.py", "import otacore.clock", "domain is pure"),
    ("otacore/wire/planted.py", "import logging", "domain is pure"),
    ("device_client/adapters/planted.py", "import fastapi", "no server code on the charger"),
    ("otacore/planted.py", "import pydantic", "no server code on the charger"),
    ("signer/adapters/planted.py", "import urllib3", "the signer knows no network and no database"),
)


def _lint_imports(tree: Path) -> str:
    """Give what import-linter says of this tree."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def said_of_planted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Plant every violation in one copy of the packages and check it once."""
    tree = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for file, line, _contract in PLANTS:
        with (tree / file).open("a") as planted:
            planted.write(f"{line}\n")
    return _lint_imports(tree)


@pytest.mark.parametrize(("file", "line", "contract"), PLANTS)
def test_a_planted_import_breaks_its_contract(said_of_planted: str, file: str, line: str, contract: str) -> None:
    """Otherwise the rule stands in the settings and holds nothing."""
    heading = next(found for found in said_of_planted.splitlines() if found.startswith(contract))
    assert heading.partition(" (")[0].endswith("BROKEN")  # behind it stands how many imports the contract allows
    importer = file.removesuffix(".py").replace("/", ".")
    imported = line.removeprefix("import ")
    told = said_of_planted.partition("Broken contracts")[2]
    assert re.search(rf"{re.escape(importer)} -> {re.escape(imported)}\b", told)


def test_a_module_without_a_place_is_refused(tmp_path: Path) -> None:
    """Otherwise a new file beside the layers could import whatever it likes."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "rollout" / "planted.py").touch()
    assert "doors over adapters over service over domain BROKEN" in _lint_imports(tmp_path)
