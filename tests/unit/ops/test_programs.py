"""The demo's firmware images: each stands alone, each is another one, and only its code makes it good or bad."""

import ast
import hashlib
import sys

import pytest

from ops.fleet.programs import FACTORY, VERSIONS, image
from otacore.errors import Misuse


@pytest.mark.parametrize("version", VERSIONS)
def test_an_image_is_a_program_by_itself(version: str) -> None:
    """It would not run where only the interpreter is: `-I -S` leaves it nothing of ours."""
    tree = ast.parse(image(version))
    imported = {
        name.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported <= sys.stdlib_module_names
    assert f'VERSION = "{version}"' in image(version).decode()


def test_no_two_images_are_the_same() -> None:
    """A charger that runs one would attest another."""
    digests = {hashlib.sha256(image(version)).hexdigest() for version in VERSIONS}
    assert len(digests) == len(VERSIONS)
    assert FACTORY in VERSIONS


def test_an_unknown_image_is_refused() -> None:
    """A misspelt version would stage an empty image."""
    with pytest.raises(Misuse):
        image("9.9.9")
