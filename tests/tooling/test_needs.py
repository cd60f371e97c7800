"""The `needs(name)` plugin: what a machine lacks is left out and told; where all is required its absence fails."""

from collections.abc import Sequence
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
SUITE = """
    import pytest

    @pytest.mark.needs("redis")
    def test_of_redis(): pass

    def test_of_nothing(): pass
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make a suite of two tests, one of them of Redis, on a machine without a single command."""
    pytester.makepyfile(SUITE)
    pytester.makeini("[pytest]\nstrict = true\nmarkers = needs(name): of a real component\n")
    monkeypatch.setenv("PATH", str(pytester.mkdir("empty")))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("TIDEGATE_REQUIRE", raising=False)
    return pytester


def _run(suite: pytest.Pytester, *, arguments: Sequence[str] = ()) -> pytest.RunResult:
    return suite.runpytest_subprocess("-p", "tests.needs", "-p", "no:cacheprovider", *arguments)


@pytest.mark.parametrize("arguments", [(), ("-n", "2", "--dist", "loadgroup")], ids=["alone", "workers"])
def test_what_is_missing_is_left_out_and_named(suite: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    """Otherwise a newcomer's run would fail for want of a server, or grow quiet about what it did not test."""
    result = _run(suite, arguments=arguments)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*not run here*", "*test_of_redis: needs redis (apt-get install -y redis-server)"])
    assert result.parseoutcomes()["passed"] == 1
    assert "skipped" not in result.parseoutcomes()


@pytest.mark.parametrize("arguments", [(), ("-n", "2", "--dist", "loadgroup")], ids=["alone", "workers"])
def test_where_all_is_required_absence_fails(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """Otherwise a build machine that lost its Redis would go on reporting green."""
    monkeypatch.setenv("TIDEGATE_REQUIRE", "all")
    result = _run(suite, arguments=arguments)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*this machine lacks redis: apt-get install -y redis-server*"])
    assert result.parseoutcomes() == {"passed": 1, "errors": 1}


def test_what_is_there_runs(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise tests of real components would never run, anywhere."""
    server = suite.mkdir("bin") / "redis-server"
    server.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(server.parent))
    result = _run(suite)
    assert result.parseoutcomes() == {"passed": 2}
    assert "not run here" not in result.stdout.str()


def test_an_unknown_component_is_an_error_of_the_run(suite: pytest.Pytester) -> None:
    """Otherwise a misspelt name would leave its test out for ever."""
    suite.makepyfile('import pytest\n\n@pytest.mark.needs("reddis")\ndef test_it(): pass\n')
    result = _run(suite)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*needs 'reddis'*"])


def test_an_unknown_demand_is_an_error_of_the_run(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a misspelt TIDEGATE_REQUIRE would require nothing."""
    monkeypatch.setenv("TIDEGATE_REQUIRE", "al")
    result = _run(suite)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*TIDEGATE_REQUIRE=al is not known*"])
