"""`otacore.trust` alone touches tuf's client; whoever writes metadata may use tuf's data model, `tuf.api`.

Names are read from the syntax, so that imports inside functions and by name are seen as well.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("otacore", "signer", "repository", "rollout", "device_client", "ops")
WRAPPER = ROOT / "otacore" / "trust"
CLIENT = "tuf.ngclient"


def _named(tree: ast.AST) -> Iterator[str]:
    """Every module, or name in a module, that is imported; and every text, for it may be imported by name."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{one.name}" for one in names)
            case ast.Constant(value=str(text)):
                yield text.strip()
            case _:
                pass


def _touches_client(source: str) -> bool:
    return any(name == CLIENT or name.startswith(f"{CLIENT}.") for name in _named(ast.parse(source)))


def _touching() -> set[Path]:
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {path for path in files if _touches_client(path.read_text())}


def test_only_the_wrapper_touches_tufs_client() -> None:
    """A second way into tuf would know nothing of the floors, the given time and the bounded fetch."""
    touching = _touching()
    assert touching, "the wrapper itself is not seen: this test looks in the wrong place"
    assert [str(path.relative_to(ROOT)) for path in sorted(touching) if not path.is_relative_to(WRAPPER)] == []


@pytest.mark.parametrize(
    "line",
    [
        "import tuf.ngclient",
        "from tuf import ngclient",
        "from tuf.ngclient import Updater",
        "from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet",
        "def late():\n    from tuf.ngclient.fetcher import FetcherInterface",
        "import importlib\nimportlib.import_module('tuf.ngclient')",
    ],
)
def test_a_planted_use_is_seen(line: str) -> None:
    """Otherwise the rule could be walked around without a sound."""
    assert _touches_client(line)


@pytest.mark.parametrize("line", ["from tuf.api.metadata import Metadata", "import tuf.api", "x = 'see tuf.ngclient'"])
def test_the_data_model_is_free(line: str) -> None:
    """The repository and the signer write metadata with it."""
    assert not _touches_client(line)
