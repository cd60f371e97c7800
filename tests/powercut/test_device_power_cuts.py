"""Power cut at every durable write of a charger, and what must be true afterwards (promise D1, in the way of MCUboot).

Each story is told once without a cut, and its durable writes are counted, the boot ROM's included. Then it is told
again for every write, the power going right before it and right after it. The paper charger itself fails the test when
something unverified boots, a verified slot is overwritten, a report counter shows two contents, and so on.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from device_client.domain.slots import SlotStatus
from device_client.domain.state import Timing
from otacore.wire.policy import Floor
from otacore.wire.release import ReleaseKind
from tests.fakes.paper_charger import CONFIG, FIRMWARE, Behaviour, Cut, PaperCharger
from tests.fakes.paper_world import PaperWorld, digest_of

ROUNDS = 60
SETTLED = frozenset({"kept", "confirmed"})
REVERTED = frozenset({"reverted"})
IMPATIENT = Timing(
    stretch_bytes=400,
    confirm_limit_ms=20_000,
    look_back_jitter_ms=5_000,
    look_back_limit_ms=30_000,
    contact_write_ms=5_000,
)
"""A day in half a minute, for the stories in which nobody answers."""


@dataclass(frozen=True, slots=True)
class Story:
    """How a charger begins, what happens, and where it must end whatever was cut."""

    make: Callable[[], PaperCharger]
    kind: ReleaseKind
    ends_on: str
    """Version that runs in the end, confirmed; "none" for the firmware's built-in configuration."""
    tells: frozenset[str]
    """Facts that the server has heard in the end, whatever was cut."""


def _version_digest(kind: ReleaseKind, version: str) -> str:
    return digest_of(f"{kind} {version}")


def _install(behaviour: Behaviour = Behaviour.GOOD) -> PaperCharger:
    world = PaperWorld()
    charger = PaperCharger(world, world.factory(config="1.0"))
    digest = world.open("r1", world.release("1.1.0"))
    charger.behaviour[digest] = behaviour
    return charger


def _install_config() -> PaperCharger:
    world = PaperWorld()
    charger = PaperCharger(world, world.factory(config="1.0"))
    world.open("r1", world.release("1.1", kind=CONFIG))
    return charger


def _first_config() -> PaperCharger:
    world = PaperWorld()
    charger = PaperCharger(world, world.factory())
    world.open("r1", world.release("1.1", kind=CONFIG))
    return charger


def _sick(charger: PaperCharger) -> PaperCharger:
    charger.behaviour[_version_digest(CONFIG, "1.1")] = Behaviour.SICK
    return charger


def _mute(charger: PaperCharger) -> PaperCharger:
    charger.timing = IMPATIENT
    for digest in (_version_digest(CONFIG, "1.1"), _version_digest(FIRMWARE, "1.1.0")):
        charger.behaviour[digest] = Behaviour.MUTE
    return charger


def _installed(kind: ReleaseKind) -> PaperCharger:
    charger = _install() if kind is FIRMWARE else _install_config()
    charger.run(ROUNDS)
    assert charger.digest(kind) == _version_digest(kind, "1.1.0" if kind is FIRMWARE else "1.1")
    return charger


def _called_back(kind: ReleaseKind) -> PaperCharger:
    charger = _installed(kind)
    digest = charger.digest(kind)
    assert digest is not None
    charger.world.offered = ()
    charger.world.called_back = (("r1", kind, digest),)
    return charger


def _recovery_that_fails() -> PaperCharger:
    charger = _called_back(FIRMWARE)
    charger.behaviour[_version_digest(FIRMWARE, "1.0.0")] = Behaviour.SICK
    return charger


def _floor() -> PaperCharger:
    charger = _installed(FIRMWARE)
    charger.world.offered = ()
    charger.world.floor = Floor("acme-dc50", 2, 1, "1.1.0")
    charger.power_off()
    return charger


STORIES = {
    "good firmware": Story(_install, FIRMWARE, "1.1.0", SETTLED),
    "firmware that dies on boot": Story(lambda: _install(Behaviour.DIES), FIRMWARE, "1.0.0", REVERTED),
    "firmware that fails its self-test": Story(lambda: _install(Behaviour.SICK), FIRMWARE, "1.0.0", REVERTED),
    "firmware whose self-test never ends": Story(lambda: _install(Behaviour.STUCK), FIRMWARE, "1.0.0", REVERTED),
    "firmware that reaches nobody": Story(lambda: _mute(_install()), FIRMWARE, "1.0.0", REVERTED),
    "good configuration": Story(_install_config, CONFIG, "1.1", SETTLED),
    "first configuration": Story(_first_config, CONFIG, "1.1", SETTLED),
    "first configuration, and it fails": Story(lambda: _sick(_first_config()), CONFIG, "none", REVERTED),
    "configuration that fails": Story(lambda: _sick(_install_config()), CONFIG, "1.0", REVERTED),
    "configuration that reaches nobody": Story(lambda: _mute(_install_config()), CONFIG, "1.0", REVERTED),
    "recovery of firmware": Story(lambda: _called_back(FIRMWARE), FIRMWARE, "1.0.0", frozenset({"recovered"})),
    "recovery of configuration": Story(lambda: _called_back(CONFIG), CONFIG, "1.0", frozenset({"recovered"})),
    "recovery whose old slot is sick": Story(_recovery_that_fails, FIRMWARE, "1.1.0", frozenset({"failed"})),
    "floor with refill": Story(_floor, FIRMWARE, "1.1.0", frozenset({"state"})),
}


def _tell(story: Story, *, cut_at: int | None, cut: Cut) -> tuple[PaperCharger, int]:
    charger = story.make()
    before = charger.writes
    charger.cut_at = None if cut_at is None else before + cut_at
    charger.cut = cut
    charger.run(ROUNDS, ms=5_000)
    assert charger.cut_at is None, "the power was to go, and did not"
    return charger, charger.writes - before


def _ends_well(charger: PaperCharger, story: Story) -> None:
    pair = charger.record.pair(story.kind)
    digest = charger.digest(story.kind)
    if digest in charger.journal.looked_back and pair.slot(pair.running).status is SlotStatus.KEPT:
        return  # the cut fell into the look back, which is one boot and never a second one (D3)
    assert digest == (None if story.ends_on == "none" else _version_digest(story.kind, story.ends_on))
    assert story.tells <= set(charger.facts())
    assert pair.trial is None
    if digest is not None:
        assert pair.slot(pair.running).status is SlotStatus.CONFIRMED
    firmware = charger.record.firmware
    assert firmware.slot(firmware.running).status is SlotStatus.CONFIRMED
    assert charger.state.journal.notices == ()
    assert charger.state.journal.unsent is None
    assert charger.start_session(), "charging goes on"


@pytest.mark.parametrize("name", STORIES)
def test_story_without_a_cut(name: str) -> None:
    """The story itself does not end where it should: the cuts below would prove nothing."""
    story = STORIES[name]
    charger, writes = _tell(story, cut_at=None, cut=Cut.BEFORE)
    _ends_well(charger, story)
    assert writes > 3


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("name", STORIES)
def test_power_cut_at_every_write(name: str, cut: Cut) -> None:
    """A charger that loses power at some write does not boot, or never comes to the end of its story."""
    story = STORIES[name]
    _, writes = _tell(story, cut_at=None, cut=cut)
    for number in range(writes):
        charger, _ = _tell(story, cut_at=number, cut=cut)
        _ends_well(charger, story)


@pytest.mark.parametrize("name", STORIES)
def test_two_power_cuts(name: str) -> None:
    """A cut during the recovery from a cut leaves what a single one does not."""
    story = STORIES[name]
    _, writes = _tell(story, cut_at=None, cut=Cut.AFTER)
    for number in range(0, writes, 3):
        for distance in (1, 2, 4):
            charger = story.make()
            charger.cut_at, charger.cut = charger.writes + number, Cut.AFTER
            charger.run(ROUNDS, ms=5_000)
            charger.cut_at, charger.cut = charger.writes + distance, Cut.BEFORE
            charger.run(ROUNDS, ms=5_000)
            charger.cut_at = None
            _ends_well(charger, story)
