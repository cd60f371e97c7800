"""Virtual chargers as the demo has them: real programs in real slots, agents in other processes, all over real HTTP.

Most tests look at the logs of one story that is played once; each holds one promise against what happened in it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.fleet.charger_log import Line
from otacore.wire.codec import encode
from otacore.wire.config import ConfigBundle, Tariff
from otacore.wire.report import Fact, Report
from tests.fakes.fleet_scene import CHARGERS, PRODUCT, RATING_W, booted, programs_in, scene, sha256

pytestmark = pytest.mark.xdist_group("fleet")


@dataclass(frozen=True)
class Story:
    """What the chargers wrote down and told."""

    logs: tuple[tuple[Line, ...], ...]
    reports: tuple[tuple[Report, ...], ...]
    counts: dict[str, int]
    """In the middle, when all were on 1.1.0."""
    programs_meanwhile: int
    programs_at_the_end: int


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Config, good firmware, failing sessions, call back, death on boot, a breach of limits, a power cut in town."""
    directory = tmp_path_factory.mktemp("story")
    with scene(directory) as on:
        on.server.reports_wanted = True
        on.bring(on.config("1.0", CONFIG), Fact.CONFIRMED)
        on.bring(on.firmware("1.1.0"), Fact.CONFIRMED)
        assert on.fleet.wait_for_counts(lambda counts: counts == {"up 1.1.0": CHARGERS}, limit_s=30)
        counts, programs = dict(on.fleet.counts()), len(programs_in(directory))
        on.bring(on.firmware("1.2.0"), Fact.CONFIRMED)
        on.server.wait_until(lambda: all("h7" in metrics(known.reports) for known in on.known()))
        on.server.call_back()
        on.server.wait_for(Fact.RECOVERED, chargers=CHARGERS)
        on.bring(on.firmware("1.3.0"), Fact.REVERTED)
        on.bring(on.config("1.1", bundle("1.1", RATING_W + 1)), Fact.FAILED)
        on.fleet.stop()
        before = [len(known.reports) for known in on.known()]
        on.fleet.start()
        on.server.wait_until(lambda: all(len(one.reports) > n for one, n in zip(on.known(), before, strict=True)))
        on.fleet.stop()
        logs = tuple(on.fleet.logs().values())
        reports = tuple(tuple(known.reports) for known in on.known())
    return Story(logs, reports, counts, programs, len(programs_in(directory)))


def bundle(version: str, power_cap_w: int) -> bytes:
    """A configuration."""
    tariff = Tariff(currency="EUR", energy_milli_per_kwh=390)
    return encode(ConfigBundle(product=PRODUCT, version=version, power_cap_w=power_cap_w, tariff=tariff))


CONFIG = bundle("1.0", 11_000)
CONFIG_SHA256 = hashlib.sha256(CONFIG).hexdigest()


def metrics(reports: Sequence[Report]) -> set[str]:
    """Health metrics that events were told of."""
    return {event.metric for report in reports for event in report.events}


def test_every_charger_ran_what_it_should_have_and_nothing_else(story: Story) -> None:
    """A release would not arrive, or not be left again: by the charger itself, by call, after its three tries."""
    old, good, failing, dying = (sha256(version) for version in ("1.0.0", "1.1.0", "1.2.0", "1.3.0"))
    for log in story.logs:
        assert booted(log) == [old, good, failing, good, dying, dying, dying, good, good]


def test_a_planned_activation_comes_between_two_sessions(story: Story) -> None:
    """A car would be cut off while it charges (D4)."""
    for log in story.logs:
        armed = [at for at, line in enumerate(log) if line.event == "armed" and line.facts["kind"] == "firmware"]
        assert len(armed) == 4
        for at in armed:
            before = [line.event for line in log[:at] if line.event.startswith("session")]
            assert before[-1:] in ([], ["session_ended"])
            assert log[at + 1].event == "boot", "the reboot follows at once"


def test_on_trial_no_session_begins_before_kept(story: Story) -> None:
    """A car would be charged by firmware that has not passed its own tests (D4)."""
    for log in story.logs:
        for at, line in enumerate(log):
            if line.event == "boot" and line.facts["why"] == "trial":
                following = [later.event for later in log[at + 1 :]]
                until = min(following.index(end) for end in ("kept", "boot_failed") if end in following)
                assert not any(event.startswith("session") for event in following[:until])


def test_every_activation_had_a_permit_of_its_own(story: Story) -> None:
    """Something would have been activated that nobody allowed (R1)."""
    for log in story.logs:
        permits = [line.facts["nonce"] for line in log if line.event == "permit"]
        armed = [line.facts["nonce"] for line in log if line.event == "armed"]
        assert len(set(armed)) == len(armed)
        assert set(armed) <= set(permits)


def test_a_configuration_takes_hold_without_a_reboot_and_survives_reboots(story: Story) -> None:
    """A tariff would cost every charger a reboot, or be forgotten at the next one."""
    for log in story.logs:
        applied = [at for at, line in enumerate(log) if line.event == "config_applied"]
        assert {log[at].facts["config"] for at in applied} == {CONFIG_SHA256}
        assert [line.event for line in log[: applied[0]]].count("boot") == 1
        assert len(applied) == 1 + sum(line.event == "booted" for line in log[applied[0] :])


def test_a_configuration_beyond_the_chargers_own_limits_is_refused(story: Story) -> None:
    """Whoever holds the configuration keys could overload a charger's wiring (D6)."""
    for reports in story.reports:
        assert [report.failure for report in reports if report.fact is Fact.FAILED] == ["device.cap_above_rating"]


def test_what_is_told_is_what_runs(story: Story) -> None:
    """A rollout would be judged by what chargers meant to run (R3)."""
    for log, reports in zip(story.logs, story.reports, strict=True):
        assert reports[-1].firmware.image_sha256 == booted(log)[-1] == sha256("1.1.0")
        assert reports[-1].config is not None
        assert reports[-1].config.image_sha256 == CONFIG_SHA256
        assert reports[-1].healthy


def test_failing_sessions_and_boot_loops_are_told(story: Story) -> None:
    """The judge would never hear of a release that boots and answers, but does not charge."""
    for reports in story.reports:
        assert {"h4", "h7"} <= metrics(reports)


def test_each_charger_enrols_once(story: Story) -> None:
    """Each reboot would need a new token, and that two persons."""
    for log in story.logs:
        assert [line.event for line in log].count("enrolled") == 1


def test_counts_and_programs_follow_the_fleet(story: Story) -> None:
    """The display would show yesterday, or two hundred programs would be left behind by a demo."""
    assert story.counts == {"up 1.1.0": CHARGERS}
    assert story.programs_meanwhile == CHARGERS
    assert story.programs_at_the_end == 0


def test_without_a_permit_nothing_is_activated(tmp_path: Path) -> None:
    """A halt would not hold a charger that has the image already (R1)."""
    with scene(tmp_path) as on:
        on.server.permits_held = True
        release = on.firmware("1.1.0")
        on.server.offer(release)
        on.server.wait_until(lambda: on.server.refused_permits >= CHARGERS)
        assert all(line.event != "armed" for log in on.fleet.logs().values() for line in log)
        on.server.permits_held = False
        on.server.wait_for(Fact.CONFIRMED, chargers=CHARGERS, digest=release.digest)
