"""The door `tidegate` finds a command, and says what to install where its extra is missing."""

from pathlib import Path

import pytest

from ops.cli import MISUSE_EXIT, Command, main

HELLO = Command(summary="Say hello.", module="planted_hello", extra="signer")
LACKING = Command(summary="Needs what is not there.", module="planted_lacking", extra="server")
BROKEN = Command(summary="Ours, and wrong.", module="ops.no_such_module", extra="server")
COMMANDS = {"hello": HELLO, "lacking": LACKING, "broken": BROKEN}


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_hello.py").write_text("def main(arguments):\n    print(*arguments)\n    return 7\n")
    (tmp_path / "planted_lacking.py").write_text("import no_such_library.part\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_command_gets_its_words_and_gives_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise an option after the command would be lost, or a failure reported as success."""
    assert main(["hello", "--to", "all"], commands=COMMANDS) == 7
    assert capsys.readouterr().out == "--to all\n"


def test_a_missing_extra_answers_with_the_pip_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise somebody with the base distribution would get a traceback instead of the line that helps."""
    assert main(["lacking"], commands=COMMANDS) == MISUSE_EXIT
    assert capsys.readouterr().err == "tidegate lacking needs no_such_library: pip install 'tidegate[server]'\n"


def test_a_missing_module_of_ours_is_no_missing_extra() -> None:
    """Otherwise a broken installation would send people to pip for nothing."""
    with pytest.raises(ModuleNotFoundError):
        main(["broken"], commands=COMMANDS)


@pytest.mark.parametrize("words", [[], ["no-such-command"], ["--no-such-option"]])
def test_other_words_show_the_commands_and_fail(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """Otherwise a misspelt command in a script would pass for done."""
    assert main(words, commands=COMMANDS) == MISUSE_EXIT
    assert "hello        Say hello." in capsys.readouterr().err


@pytest.mark.parametrize(("option", "told"), [("--help", "usage: tidegate"), ("--version", "tidegate ")])
def test_help_and_version_succeed(capsys: pytest.CaptureFixture[str], option: str, told: str) -> None:
    """Otherwise the first two things a newcomer types would look like errors."""
    assert main([option], commands=COMMANDS) == 0
    assert capsys.readouterr().out.startswith(told)
