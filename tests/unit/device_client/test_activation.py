"""From staged to the reboot (D4): when a permit is asked for, what it must be, and what if it comes to nothing."""

from collections.abc import Callable

import pytest

from device_client.domain import effects as do
from device_client.domain import events as on
from device_client.domain.slots import SlotName, SlotStatus
from device_client.domain.state import Stage
from otacore.wire.permit import Permit
from tests.fakes.paper_charger import PaperCharger
from tests.fakes.paper_world import digest_of
from tests.fakes.staged_charger import staged, told

OLD, NEW = digest_of("firmware 1.0.0"), digest_of("firmware 1.1.0")


def test_waits_for_the_window() -> None:
    """An update reboots a charger in the rush hour."""
    charger = staged()
    charger.run(5)
    assert charger.world.asked == []
    charger.window_open = True
    charger.run(3)
    assert charger.digest() == NEW


def test_an_unanswered_poll_ends_the_asking_until_the_next_answer() -> None:
    """While the rollout host hangs, sessions are held off again and again for permits that never come (D7)."""
    charger = staged()
    charger.feed(on.PollUnanswered(charger.now_ms))
    charger.window_open = True
    for _ in range(20):
        charger.now_ms += 60_000
        charger.tick()
    assert charger.trace == []
    assert not charger.held
    charger.run(3)
    assert charger.digest() == NEW, "the next answered poll names it"


def test_waits_for_the_car() -> None:
    """An update throws a car off."""
    charger = staged()
    charger.start_session()
    charger.window_open = True
    charger.run(5)
    assert charger.trace == [], "not even a refresh"
    assert charger.session
    charger.session = False
    charger.run(3)
    assert charger.digest() == NEW


def test_a_car_that_comes_during_the_refresh_goes_first() -> None:
    """Between the look and the reboot a session begins and is cut."""
    charger = staged()
    charger.window_open = True

    def car(effect: do.Effect) -> None:
        if isinstance(effect, do.LookUp):
            charger.start_session()

    charger.before_effect = car
    charger.run(1)
    assert charger.session
    assert charger.trace[:2] == ["LookUp", "Hold"]
    assert charger.world.asked == []


@pytest.mark.parametrize("when", [do.Hold, do.AskPermit, do.WriteBoot, do.ReadClock])
def test_a_window_that_closes_during_the_attempt_keeps_the_charger_up(when: type) -> None:
    """An attempt begun in the window's last seconds takes the charger down in the morning rush."""
    charger = staged()
    charger.window_open = True

    def morning(effect: do.Effect) -> None:
        if isinstance(effect, when):
            charger.window_open = False

    charger.before_effect = morning
    charger.run(1)
    assert "Reboot" not in charger.trace
    assert charger.record.firmware.trial is None
    charger.send_reports()
    assert told(charger) == [("disarmed", "device.outside_window")]
    charger.before_effect = None
    charger.window_open = True
    charger.run(5)
    assert charger.digest() == NEW


def test_no_session_starts_while_a_permit_is_out() -> None:
    """A car plugs in between the permit and the reboot and is cut."""
    charger = staged()
    charger.window_open = True
    started: list[bool] = []

    def car(effect: do.Effect) -> None:
        if isinstance(effect, do.AskPermit | do.ReadClock | do.Reboot):
            started.append(charger.start_session())

    charger.before_effect = car
    charger.run(1)
    assert started == [False, False, False]


def test_a_refusal_lets_sessions_go_on_and_waits_as_told() -> None:
    """A charger without a place refuses cars, or hammers the desk."""
    charger = staged()
    charger.window_open = True
    charger.world.refuse_permits = "no_place"
    charger.run(5)
    assert len(charger.world.asked) == 1
    assert charger.start_session()
    assert told(charger) == []
    charger.session = False
    charger.run(3)
    assert len(charger.world.asked) == 2


def test_every_request_has_its_own_nonce_and_tells_the_report_counter() -> None:
    """One permit fits two requests, or a report made before the request gives its place back."""
    charger = staged()
    charger.window_open = True
    charger.world.refuse_permits = "no_place"
    charger.run(40)
    nonces = [question.nonce for question in charger.world.asked]
    assert len(set(nonces)) == len(nonces) > 3
    assert {question.report_counter for question in charger.world.asked} == {charger.journal.counter}


def _late(charger: PaperCharger) -> None:
    charger.world.permit_ms = 30_000


def _forged(**changes: object) -> Callable[[PaperCharger], None]:
    def forge(charger: PaperCharger) -> None:
        charger.world.forge = lambda permit: _changed(permit, changes)

    return forge


def _changed(permit: Permit, changes: dict[str, object]) -> Permit:
    fields = {name: getattr(permit, name) for name in Permit.__dataclass_fields__}
    return Permit(**{**fields, **changes})


def _hidden_root(charger: PaperCharger) -> None:
    charger.world.root_version, charger.world.refreshed_root = 2, 1


BAD_PERMITS: dict[str, tuple[str, Callable[[PaperCharger], None]]] = {
    "late": ("device.permit_too_late", _late),
    "for another charger": ("device.permit_for_another_request", _forged(device_id="cp-2")),
    "for another epoch": ("device.permit_for_another_request", _forged(epoch=9)),
    "for another nonce": ("device.permit_for_another_request", _forged(nonce="ab" * 16)),
    "for another release": ("device.permit_for_another_request", _forged(release_digest="a" * 64)),
    "names a root that no refresh finds": ("device.metadata_older_than_permit", _hidden_root),
}


@pytest.mark.parametrize("name", BAD_PERMITS)
def test_a_bad_permit_arms_nothing_and_is_given_back(name: str) -> None:
    """A permit that does not fit arms the charger; or its place stays taken; or cars stay shut out."""
    code, spoil = BAD_PERMITS[name]
    charger = staged()
    charger.window_open = True
    spoil(charger)
    charger.tick()
    assert charger.record.firmware.trial is None
    assert charger.activations == []
    charger.send_reports()
    assert told(charger) == [("disarmed", code)]
    assert charger.reports[0].nonce == charger.world.asked[0].nonce
    assert charger.start_session()


def test_a_permit_that_runs_out_inside_the_write_is_cleared_again() -> None:
    """A slow disk lets a charger activate after its permit: a halt no longer holds (R1)."""
    charger = staged()
    charger.window_open = True
    charger.world.permit_ms = 29_000
    charger.write_ms = 2_000
    writes: list[object] = []

    def note(effect: do.Effect) -> None:
        if isinstance(effect, do.WriteBoot):
            writes.append(effect.record.firmware.trial is not None)

    charger.before_effect = note
    charger.tick()
    assert writes == [True, False]
    assert "Reboot" not in charger.trace
    assert charger.state.stage is Stage.STAGED
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.VERIFIED
    charger.before_effect = None
    charger.write_ms = charger.world.permit_ms = 0
    charger.send_reports()
    assert told(charger) == [("disarmed", "device.permit_too_late")]
    charger.run(4)
    assert charger.digest() == NEW


def test_the_flag_is_cleared_before_anything_else_is_written() -> None:
    """A power cut after `disarmed` was written down boots the new slot all the same."""
    charger = staged()
    charger.window_open = True
    charger.reboot_fails = True
    charger.tick()
    after = charger.trace[charger.trace.index("Reboot") + 1 :]
    assert after == ["WriteBoot", "WriteJournal", "Release"]
    charger.send_reports()
    assert told(charger) == [("disarmed", "device.reboot_refused")]
    assert charger.digest() == OLD
    charger.reboot_fails = False
    charger.run(4)
    assert charger.digest() == NEW


def test_an_agent_that_crashes_armed_clears_the_flag_first() -> None:
    """The agent dies between the flag and the reboot; weeks later a power cut activates the release."""
    charger = staged()
    charger.window_open = True
    charger.before_effect = lambda effect: charger.crash_agent() if isinstance(effect, do.Reboot) else None
    charger.tick()
    charger.before_effect = None
    assert charger.record.firmware.trial is None
    charger.send_reports()
    assert told(charger)[-1] == ("disarmed", "device.not_rebooted")
    assert charger.reports[-1].nonce == charger.world.asked[0].nonce


def test_a_power_cut_after_the_flag_boots_the_new_slot() -> None:
    """An armed charger forgets its activation; the answer to a halt counts it (R1)."""
    charger = staged()
    charger.window_open = True
    charger.before_effect = lambda effect: charger.power_off() if isinstance(effect, do.ReadClock) else None
    charger.tick()
    charger.before_effect = None
    charger.run(3)
    assert charger.digest() == NEW
    assert charger.facts()[-3:] == ["armed", "kept", "confirmed"]


def test_no_answer_is_given_up_for_good_and_told() -> None:
    """A request whose answer was lost keeps its place for ever, or arms the charger when it comes after all."""
    charger = staged()
    charger.window_open = True
    charger.questions_fail[do.AskPermit] = "http.unreachable"
    charger.tick()
    assert charger.start_session()
    charger.session = False
    charger.send_reports()
    assert told(charger) == [("disarmed", "http.unreachable")]
    charger.questions_fail.clear()
    charger.run(5)
    assert charger.digest() == NEW


def test_a_car_that_comes_between_two_requests_goes_first() -> None:
    """The hold of the first request has run out when the second one is answered, and a session is cut."""
    charger = staged()
    charger.window_open = True
    charger.world.refuse_permits = "envelope.unknown_key"

    def car_after_first_request(effect: do.Effect) -> None:
        if isinstance(effect, do.LookUp) and charger.world.asked:
            charger.held = False
            charger.start_session()
            charger.world.refuse_permits = None

    charger.before_effect = car_after_first_request
    charger.tick()
    assert charger.session
    assert len(charger.world.asked) == 1
    charger.before_effect = None
    charger.send_reports()
    assert told(charger) == [("disarmed", "device.session_running")]


def test_no_report_is_made_while_a_permit_is_out() -> None:
    """A report that says "unarmed" gives the place back while the reply can still arm the charger (R5)."""
    charger = staged()
    charger.window_open = True
    made: list[int] = []

    def report(effect: do.Effect) -> None:
        if isinstance(effect, do.AskPermit | do.ReadClock | do.Reboot):
            before = charger.journal.counter
            charger.overhear(charger.report_due(wanted=True))
            made.append(charger.journal.counter - before)

    charger.before_effect = report
    charger.tick()
    assert made == [0, 0, 0]


def test_an_answer_that_nobody_asked_for_is_refused() -> None:
    """A reply that comes after its request was given up arms the charger."""
    charger = staged()
    with pytest.raises(Exception, match=r"device\.no_such_transition"):
        charger.feed(on.PermitAnswered(charger.now_ms, charger.now_ms, None, "granted", 0))
