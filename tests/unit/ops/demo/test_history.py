"""What the demo reads out of one charger's own log."""

from types import MappingProxyType

from ops.demo.history import ALWAYS_MS, Activation, History, read_history
from ops.fleet.charger_log import Fact, Line

OLD, NEW, CAP = "old" * 8, "new" * 8, "cap" * 8


def line(at_ms: int, event: str, **facts: Fact) -> Line:
    return Line(at_ms=at_ms, event=event, facts=MappingProxyType(facts))


def boot(at_ms: int, sha256: str, slot: str = "a", why: str = "primary") -> Line:
    facts = {"slot": slot, "why": why, "release_digest": f"release of {sha256}", "hardware": "rev-b"}
    return line(at_ms, "boot", sha256=sha256, **facts)


def armed(at_ms: int, sha256: str, purpose: str = "install") -> Line:
    return line(at_ms, "armed", release_digest=f"release of {sha256}", purpose=purpose)


def read(*lines: Line) -> History:
    return read_history("c-1", "site-1", lines)


FIRST_DAY = (boot(0, OLD), line(9, "booted"), line(10, "session_started"), line(20, "session_ended"))


def test_what_ran_is_what_the_boot_rom_started() -> None:
    """Otherwise a charger could run a bad release without the table saying so."""
    told = read(*FIRST_DAY, armed(30, NEW), boot(31, NEW, "b", "trial"), line(40, "booted"), line(41, "kept"))
    assert told.ran == {OLD, NEW}
    assert told.runs == NEW


def test_a_charger_is_away_from_arming_until_it_is_kept() -> None:
    """A gap here would hide two chargers of a site that are down together."""
    told = read(*FIRST_DAY, armed(30, NEW), boot(31, NEW, "b", "trial"), line(40, "booted"), line(41, "kept"))
    assert told.activations == (Activation(30, f"release of {NEW}", back_ms=41),)


def test_a_trial_that_dies_ends_when_the_old_slot_came_up() -> None:
    """Else a charger that fell back would count as away for ever, or as back while it still dies."""
    dying = [
        part for at_ms in (31, 33, 35) for part in (boot(at_ms, NEW, "b", "trial"), line(at_ms + 1, "boot_failed"))
    ]
    told = read(*FIRST_DAY, armed(30, NEW), *dying, boot(37, OLD, "a", "trial_exhausted"), line(40, "booted"))
    assert [activation.back_ms for activation in told.activations] == [40]
    assert told.runs == OLD


def test_a_charger_that_never_says_it_is_back_is_away_for_good() -> None:
    """No data is never a pass."""
    told = read(*FIRST_DAY, armed(30, NEW), boot(31, NEW, "b", "trial"))
    assert [activation.back_ms for activation in told.activations] == [ALWAYS_MS]


def test_a_trial_that_nobody_armed_is_an_activation() -> None:
    """Otherwise an agent could hide an activation by keeping quiet about it."""
    told = read(*FIRST_DAY, boot(31, NEW, "b", "trial"))
    assert [(made.at_ms, made.release_digest) for made in told.activations] == [(31, f"release of {NEW}")]


def test_a_configuration_that_nobody_armed_is_an_activation() -> None:
    """The same for configurations, which need no reboot."""
    told = read(*FIRST_DAY, line(31, "config_applied", config=CAP))
    assert [made.at_ms for made in told.activations] == [31]
    assert told.config == CAP


def test_the_configuration_that_a_boot_begins_with_is_no_new_activation() -> None:
    """A reboot applies the same configuration again; that is nobody's decision."""
    applied = line(31, "config_applied", config=CAP)
    told = read(
        *FIRST_DAY, armed(30, CAP), applied, line(32, "kept"), boot(50, OLD), line(51, "config_applied", config=CAP)
    )
    assert len(told.activations) == 1
    assert told.configs == (CAP,)


def test_a_session_that_a_boot_finds_open_was_cut_off() -> None:
    """This is the promise to the driver at the cable (D4)."""
    told = read(*FIRST_DAY, line(30, "session_started"), armed(31, NEW), boot(32, NEW, "b", "trial"))
    assert (told.sessions, told.cut_off) == (2, 1)


def test_a_power_cut_is_nobodys_plan() -> None:
    """Otherwise the table would blame an activation for what the grid did."""
    told = read(*FIRST_DAY, line(30, "session_started"), line(31, "power_cut"), boot(32, OLD))
    assert told.cut_off == 0


def test_a_way_back_is_told_from_a_way_forward() -> None:
    """Else the recoveries after a halt would count as activations of the bad release."""
    assert not read(*FIRST_DAY, armed(30, NEW, "recover")).activations[0].is_install


def test_an_activation_knows_when_the_server_gave_leave() -> None:
    """The cap is about permits, not about when chargers came round to using them."""
    permit = line(29, "permit", server_time_ms=27, epoch=5)
    told = read(*FIRST_DAY, permit, armed(30, NEW), line(31, "kept"), armed(40, OLD))
    assert [(made.permitted_ms, made.epoch) for made in told.activations] == [(27, 5), (0, 0)]


def test_the_board_is_what_the_boot_rom_says() -> None:
    """What a release did to one revision must not rest on what somebody registered."""
    assert read(*FIRST_DAY).hardware == "rev-b"
