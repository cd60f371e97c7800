"""Metadata that moves between staged and the reboot (D4): what is refreshed and followed, and what stops it all."""

from dataclasses import replace

import pytest

from device_client.domain import effects as do
from device_client.domain.state import Stage
from otacore.wire.campaign import StopList
from tests.fakes.paper_world import digest_of
from tests.fakes.staged_charger import staged, told

OLD, NEW = digest_of("firmware 1.0.0"), digest_of("firmware 1.1.0")


def test_a_permit_that_names_newer_metadata_costs_one_refresh() -> None:
    """After a key ceremony no charger can be activated until its next offer."""
    charger = staged()
    charger.window_open = True
    lookups: list[int] = []

    def publish(effect: do.Effect) -> None:
        if isinstance(effect, do.LookUp):
            lookups.append(1)
        if isinstance(effect, do.AskPermit):
            charger.world.root_version = 2

    charger.before_effect = publish
    charger.tick()
    assert charger.digest() == NEW
    assert len(charger.activations) == len(charger.world.asked) == 1
    assert charger.trace[:7] == ["LookUp", "Hold", "AskPermit", "LookUp", "WriteBoot", "ReadClock", "Reboot"]


def test_a_refresh_for_a_permit_may_find_the_rollout_halted() -> None:
    """A permit given a moment before the halt is used after the charger has seen the halt."""
    charger = staged()
    charger.window_open = True

    def halt(effect: do.Effect) -> None:
        if isinstance(effect, do.AskPermit):
            charger.world.root_version = 2
        if isinstance(effect, do.LookUp) and charger.world.asked:
            charger.world.hold("r1")

    charger.before_effect = halt
    charger.tick()
    assert charger.activations == []
    charger.before_effect = None
    charger.send_reports()
    assert told(charger) == [("disarmed", "device.campaign_on_hold")]


def test_an_unknown_permit_key_costs_one_refresh_and_one_new_request() -> None:
    """When permit keys are rotated the fleet cannot be activated; or a wrong key makes it ask without end."""
    charger = staged()
    charger.window_open = True
    charger.world.refuse_permits = "envelope.unknown_key"
    charger.tick()
    assert charger.trace[:6] == ["LookUp", "Hold", "AskPermit", "LookUp", "Hold", "AskPermit"]
    assert len(charger.world.asked) == 2
    assert charger.state.stage is Stage.STAGED
    assert charger.start_session()


def test_a_halted_rollout_is_not_even_asked_for() -> None:
    """After a halt every staged charger goes on asking for permits."""
    charger = staged()
    charger.world.hold("r1")
    charger.window_open = True
    charger.run(30)
    assert charger.world.asked == []
    charger.world.offered = ()
    charger.run(1)
    charger.trace.clear()
    charger.run(100, ms=30_000)
    assert "LookUp" not in charger.trace


def test_a_stopped_release_is_dropped_and_never_taken_up_again() -> None:
    """A release that was stopped while it lay staged is activated, or asked for until the end of days."""
    charger = staged()
    charger.world.stop = StopList(2, (NEW,), 1)
    charger.window_open = True
    charger.run(10)
    assert charger.digest() == OLD
    assert told(charger) == [("failed", "device.release_stopped")]
    assert charger.journal.job is None
    assert charger.policy.stopped == (NEW,)


def test_an_advance_is_followed_under_its_new_epoch() -> None:
    """A wave that opens while a charger waits leaves it with an epoch that no permit is given for."""
    charger = staged()
    campaign = charger.world.campaigns["r1"]
    charger.world.campaigns["r1"] = replace(campaign, epoch=12)
    charger.window_open = True
    charger.run(3)
    assert [question.epoch for question in charger.world.asked] == [12]
    assert charger.digest() == NEW


def test_a_manifest_under_a_lower_epoch_is_not_followed() -> None:
    """An old manifest, replayed, opens what was closed."""
    charger = staged()
    charger.world.campaigns["r1"] = replace(charger.world.campaigns["r1"], epoch=9)
    charger.window_open = True
    charger.run(5)
    assert charger.world.asked == []


@pytest.mark.parametrize("missing", ["stop", "floor", "revoked"])
def test_a_policy_file_that_vanished_stops_the_activation_and_is_told(missing: str) -> None:
    """An absent stop list is taken for "nothing is stopped" at the very last look."""
    charger = staged()
    setattr(charger.world, missing, None)
    charger.window_open = True
    charger.run(20)
    assert charger.world.asked == []
    assert told(charger) == [("state", "device.policy_missing")]


def test_an_older_stop_list_stops_the_activation() -> None:
    """A mirror that serves yesterday's stop list opens what was stopped today."""
    charger = staged()
    charger.power_off()
    charger.policy = replace(charger.policy, stop_serial=2)
    charger.window_open = True
    charger.run(20)
    assert charger.world.asked == []
    assert ("state", "device.policy_older_than_seen") in told(charger)


def test_expired_metadata_stops_updates_never_charging() -> None:
    """A repository that is down for a month switches the chargers off, or lets them activate on old facts (D7)."""
    charger = staged()
    charger.window_open = True
    charger.questions_fail[do.LookUp] = "trust.expired"
    charger.run(30 * 24, ms=3_600_000)
    assert charger.world.asked == []
    assert charger.start_session()
    assert told(charger) == [("state", "trust.expired")]
    charger.session = False
    charger.questions_fail.clear()
    charger.run(3, ms=120_000)
    assert charger.digest() == NEW
