"""A charger's log: what is written is read, whoever wrote it, and a line that is still being written is no line yet."""

from pathlib import Path

from ops.fleet.charger_log import ChargerLog, Line, read_log
from tests.fakes.hand_clock import HandClock


def test_what_is_written_is_read_in_order(tmp_path: Path) -> None:
    """The claims of a demo would rest on lines that somebody else imagined."""
    clock = HandClock(now_ms=1000)
    first, second = (ChargerLog(tmp_path / "log", clock) for _ in range(2))
    first.write("boot", slot="a", boots=1)
    clock.advance(5)
    second.write("kept")
    first.close()
    second.close()
    assert read_log(tmp_path / "log") == (Line(1000, "boot", {"slot": "a", "boots": 1}), Line(1005, "kept", {}))


def test_a_line_that_is_not_whole_yet_is_left_out(tmp_path: Path) -> None:
    """Reading while a charger writes would fail, now and then."""
    log = tmp_path / "log"
    log.write_bytes(b'{"at_ms":1,"event":"boot"}\n{"at_ms":2,"ev')
    assert [line.event for line in read_log(log)] == ["boot"]
    assert read_log(tmp_path / "absent") == ()
