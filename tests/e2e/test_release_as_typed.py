"""`tidegate release stage --product acme-dc50 --version 1.1.0 --file IMAGE`, as it stands there: no further option."""

from pathlib import Path

import pytest

from signer.adapters.passphrases import PASSPHRASE_VARIABLE
from tests.fakes.desk import Desk, desk_after_ceremony

STAGE = "release stage --product acme-dc50 --version 1.1.0 --file IMAGE"
FOLDER = "acme-dc50-1.1.0"
IMAGE = b"a program"


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk in whose directory an image lies; where repository, keys and root are is told by the environment."""
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    desk = desk_after_ceremony(tmp_path, capsys)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEGATE_REPOSITORY", str(tmp_path / "repository"))
    monkeypatch.setenv("TIDEGATE_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("TIDEGATE_ROOT", str(tmp_path / "keys" / "root.json"))
    (tmp_path / "IMAGE").write_bytes(IMAGE)
    return desk


def test_a_release_is_made_with_what_one_has_to_type_and_no_more(desk: Desk) -> None:
    """Paths that never change, typed anew each time, are where releases go to the wrong repository."""
    assert f"staged in {FOLDER}" in desk.does(STAGE)
    for holder in ("anna", "boris"):
        desk.does(f"release sign {FOLDER} --key file:~/keys/offline/{holder}/firmware-acme-dc50.pem --yes")
    desk.does(f"release publish {FOLDER}")
    assert desk.client().read("firmware/acme-dc50/1.1.0/image.bin", limit_bytes=100) == IMAGE
    desk.does("repository check")


def test_a_folder_that_is_there_already_is_left_alone(desk: Desk) -> None:
    """A bundle that a holder has signed must not be overwritten by typing the same line again."""
    desk.does(STAGE)
    desk.does(f"release sign {FOLDER} --key file:~/keys/offline/anna/firmware-acme-dc50.pem --yes")
    before = {path: path.read_bytes() for path in (desk.home / FOLDER).rglob("*") if path.is_file()}
    status, said = desk.types(STAGE)
    assert (status, said) == (
        3,
        f"signer.folder_not_empty: {FOLDER} holds something already: choose another folder\n",
    )
    assert {path: path.read_bytes() for path in (desk.home / FOLDER).rglob("*") if path.is_file()} == before


def test_what_is_typed_counts_before_the_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise nobody could reach a second repository."""
    monkeypatch.setenv("TIDEGATE_REPOSITORY", str(desk.home / "nowhere"))
    assert desk.types(STAGE)[0] == 1
    assert "staged in mine" in desk.does(f"{STAGE} --repository ~/repository --out mine")


def test_without_the_environment_it_says_what_is_missing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer has set nothing yet."""
    monkeypatch.delenv("TIDEGATE_REPOSITORY")
    status, said = desk.types(STAGE)
    assert status == 2
    assert "--repository" in said
    assert "TIDEGATE_REPOSITORY" in said
    assert not (desk.home / FOLDER).exists()
