"""Sessions as the progress display counts them."""

from pathlib import Path

from ops.demo.tally import Sessions, Tally

BOOT = '{"at_ms":1,"event":"boot","version":"1.2.0"}\n'
GOOD = '{"at_ms":2,"event":"session_ended","session":1,"ok":true}\n'
FAILED = '{"at_ms":3,"event":"session_ended","session":2,"ok":false}\n'


def test_each_line_is_counted_once_however_it_is_cut(tmp_path: Path) -> None:
    """A display that counts a half-written line twice would show a sick fleet as well, or the other way round."""
    log = tmp_path / "charger.log"
    text = BOOT + GOOD + FAILED + GOOD
    tally = Tally.of([log, tmp_path / "not there yet"])
    for end in range(len(text) + 1):
        log.write_text(text[:end])
        tally.look()
    assert tally.look() == {"1.2.0": Sessions(good=2, failed=1)}


def test_a_reset_forgets_the_counts_but_not_the_version(tmp_path: Path) -> None:
    """Each chapter tells its own sessions."""
    log = tmp_path / "charger.log"
    log.write_text(BOOT + GOOD)
    tally = Tally.of([log])
    tally.reset()
    log.write_text(BOOT + GOOD + FAILED)
    assert tally.look() == {"1.2.0": Sessions(failed=1)}
