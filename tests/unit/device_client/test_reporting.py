"""Reports: durable before the first send, the same bytes again, oldest fact first, the present state in each."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from device_client.domain import effects as do
from device_client.domain.journal import (
    JOURNAL_LIMIT_BYTES,
    MAX_NOTICES,
    FailedRelease,
    Journal,
    Notice,
    PolicyMemory,
    SeenEpoch,
    decode_journal,
    decode_policy,
    encode_journal,
    encode_policy,
    with_notice,
)
from device_client.domain.state import Stage
from otacore.ids import RolloutId
from otacore.wire.policy import Floor
from otacore.wire.report import MAX_EVENTS, UNMEASURED, Fact, HealthEvent, Phase
from tests.fakes.paper_charger import FIRMWARE, Behaviour, Cut, PaperCharger
from tests.fakes.paper_world import PaperWorld, digest_of

EVENT = HealthEvent("h5", 1_000, "session failed")


def charger_on() -> PaperCharger:
    world = PaperWorld()
    charger = PaperCharger(world, world.factory(config="1.0"))
    charger.run(2)
    return charger


def test_every_boot_is_told() -> None:
    """The server learns of a reboot only when something else happens."""
    charger = charger_on()
    charger.power_off()
    charger.run(1)
    assert charger.facts() == ["state", "state"]
    assert [report.boot_id for report in charger.reports] == ["boot-1", "boot-2"]


def test_a_report_tells_the_whole_state_as_measured() -> None:
    """A report says what the record says, not what lies in the slot (R3)."""
    charger = charger_on()
    report = charger.reports[-1]
    assert report.firmware.release_digest == digest_of("firmware 1.0.0")
    assert report.firmware.confirmed
    assert report.config is not None
    assert report.config.release_digest == digest_of("config 1.0")
    assert report.phase is Phase.IDLE
    charger.feed(replace(charger.report_due(wanted=True), firmware_sha256="e" * 64, config_sha256=None))
    measured = charger.reports[-1]
    assert measured.firmware.image_sha256 == "e" * 64
    assert measured.config is not None
    assert measured.config.image_sha256 == UNMEASURED


def test_an_unsent_report_is_sent_again_unchanged_whatever_happened_since() -> None:
    """One counter with two contents: the charger is quarantined as a clone."""
    charger = charger_on()
    charger.online = False
    charger.feed(replace(charger.report_due(wanted=True), events=(EVENT,)))
    unsent = charger.journal.unsent
    assert unsent is not None
    charger.power_off()
    charger.power_on()
    charger.online = True
    charger.send_reports()
    assert charger.reports[-2] == unsent
    assert charger.reports[-1].counter == unsent.counter + 1
    assert charger.reports[-1].events == ()


def test_no_counter_is_used_twice_through_a_power_cut_at_each_write() -> None:
    """A counter goes out before it is durable and comes again with another content."""
    for cut in Cut:
        for number in range(4):
            charger = charger_on()
            charger.cut_at, charger.cut = charger.writes + number, cut
            for _ in range(3):
                charger.attempt(partial(charger.send_reports, wanted=True))
                charger.attempt(charger.send_reports)
            counters = [report.counter for report in charger.reports]
            assert sorted(set(counters)) == sorted(counters)


def test_facts_go_out_oldest_first_and_each_tells_the_present() -> None:
    """A fact from before an outage makes the server believe an old state."""
    charger = charger_on()
    digest = charger.world.open("r1", charger.world.release("1.1.0"))

    def go_offline(effect: do.Effect) -> None:
        charger.online = charger.online and not isinstance(effect, do.Reboot)

    charger.before_effect = go_offline
    charger.run(2)
    charger.before_effect = None
    charger.reports.clear()
    assert charger.digest() == digest
    charger.run(3)
    assert charger.facts() == []
    charger.online = True
    charger.run(2)
    assert charger.facts() == ["armed", "kept", "confirmed"]
    assert {report.firmware.release_digest for report in charger.reports} == {digest}
    assert charger.reports[0].phase is Phase.IDLE


def test_a_full_outbox_forgets_plain_states_first_and_the_newest_never() -> None:
    """A long outage loses the fact that the charger went back, or grows without end."""
    journal = with_notice(Journal(), Notice(Fact.REVERTED, failure="device.not_kept_in_time"))
    for number in range(MAX_NOTICES * 2):
        journal = with_notice(journal, Notice(Fact.STATE, failure=f"trouble.{number}"))
    assert len(journal.notices) == MAX_NOTICES
    assert journal.notices[0].fact is Fact.REVERTED
    assert journal.notices[-1].failure == f"trouble.{MAX_NOTICES * 2 - 1}"
    for number in range(MAX_NOTICES):
        journal = with_notice(journal, Notice(Fact.KEPT, release_digest=digest_of(str(number))))
    assert len(journal.notices) == MAX_NOTICES
    assert {notice.fact for notice in journal.notices} == {Fact.KEPT}


@pytest.mark.parametrize(
    "given",
    [
        {"rollout_id": "Bad Id!"},
        {"release_digest": "short"},
        {"nonce": "0b"},
        {"failure": "x" * 101},
        {"failure": "two\nlines"},
    ],
    ids=repr,
)
def test_what_no_report_could_tell_is_never_journaled(given: dict[str, Any]) -> None:
    """A bad name from outside is durable, and every agent that reads it dies of it."""
    with pytest.raises(ValueError, match=next(iter(given))):
        Notice(Fact.FAILED, **given)
    with pytest.raises(ValueError, match="digest"):
        FailedRelease("short", "device.digest_mismatch")
    with pytest.raises(ValueError, match="rollout_id"):
        SeenEpoch(RolloutId("Bad Id!"), 1)


def test_events_are_bounded() -> None:
    """A charger that trips without end cannot report at all."""
    charger = charger_on()
    charger.feed(replace(charger.report_due(wanted=True), events=(EVENT,) * (MAX_EVENTS + 9)))
    assert len(charger.reports[-1].events) == MAX_EVENTS


def test_a_trial_is_not_called_confirmed() -> None:
    """The site's place is given back while a charger that was taken back has not passed its self-tests (R5)."""
    charger = charger_on()
    digest = charger.world.open("r1", charger.world.release("1.1.0"))
    charger.run(10)
    charger.world.offered, charger.world.called_back = (
        (),
        (("r1", FIRMWARE, digest),),
    )
    charger.behaviour[digest_of("firmware 1.0.0")] = Behaviour.STUCK
    charger.run(3)
    assert charger.state.stage is Stage.TRIAL
    assert charger.digest() == digest_of("firmware 1.0.0")
    charger.send_reports(wanted=True)
    assert not charger.reports[-1].firmware.confirmed
    assert charger.reports[-1].phase is Phase.TRIAL


def test_journal_and_policy_survive_their_codecs() -> None:
    """After a reboot the charger has forgotten its job, its reports or its floor."""
    charger = charger_on()
    charger.world.open("r1", charger.world.release("1.1.0"))
    charger.window_open = False
    charger.run(4)
    charger.online = False
    charger.feed(charger.report_due(wanted=True))
    assert charger.journal.job is not None
    assert charger.journal.unsent is not None
    data = encode_journal(charger.journal)
    assert decode_journal(data) == charger.journal
    assert len(data) < JOURNAL_LIMIT_BYTES // 10
    policy = PolicyMemory(Floor("acme-dc50", 2, 1, "1.0.0"), 2, 3, ("a" * 64,), 4, ("b" * 64,))
    assert decode_policy(encode_policy(policy)) == policy
