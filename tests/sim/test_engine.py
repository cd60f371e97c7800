"""The engine and what lies under a world: order, chance, trace, the charger's medium, the network."""

import os
import subprocess
import sys

import pytest

from ops.simulation.engine import MAX_EVENTS, Engine, Runaway
from ops.simulation.faults import CALM, Faults, Rates
from ops.simulation.medium import Cut, PowerLost, Ruined, SlotBytes, TwoCopies
from ops.simulation.network import TIMEOUT_MS, Link, Network
from ops.simulation.run import run_seed
from ops.simulation.world import World

REPLAYED = (3, 11)


@pytest.mark.parametrize("seed", REPLAYED)
def test_a_seed_replays_to_the_same_trace(seed: int) -> None:
    """A failing seed could not be shown again, so it could not be understood."""
    first, second = run_seed(seed), run_seed(seed)
    assert first.events > 100
    assert (first.trace_hash, first.events) == (second.trace_hash, second.events)


def test_seeds_differ() -> None:
    """A thousand seeds would be one world a thousand times over."""
    assert len({run_seed(seed).trace_hash for seed in range(4)}) == 4


def test_a_seed_is_the_same_world_in_another_process() -> None:
    """The order of a set, or a hash of this process, would decide what happens: no seed would replay elsewhere."""
    program = f"from ops.simulation.run import run_seed; print(run_seed({REPLAYED[0]}).trace_hash)"
    hashes = set()
    for salt in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.add(told.stdout.strip())
    assert hashes == {run_seed(REPLAYED[0]).trace_hash}


def test_events_run_by_time_then_by_the_order_of_asking() -> None:
    """Two events of one instant would change places from run to run."""
    engine, ran = Engine(0, start_ms=1_000), []
    for name, delay_ms in (("c", 20), ("a", 10), ("b", 10), ("late", 50)):
        engine.after(delay_ms, lambda name=name: ran.append((name, engine.now_ms)))  # type: ignore[misc] # name: str
    engine.run(1_040)
    assert ran == [("a", 1_010), ("b", 1_010), ("c", 1_020)]
    assert engine.now_ms == 1_040


def test_a_world_that_never_rests_is_an_error() -> None:
    """A loop in the code under test would hang the test instead of failing it."""
    engine = Engine(0, start_ms=0)

    def again() -> None:
        engine.after(0, again)

    again()
    with pytest.raises(Runaway):
        engine.run(1)
    assert engine.events == MAX_EVENTS + 1


def test_faults_stop() -> None:
    """Nothing could be said of the end of a world that is shaken until the end."""
    engine = Engine(0, start_ms=0)
    faults = Faults(engine, Rates(loss=1.0), stop_at_ms=10)
    assert faults.now(faults.rates.loss)
    engine.run(10)
    assert not faults.now(faults.rates.loss)


@pytest.mark.parametrize("cut", Cut)
def test_a_record_survives_every_cut_and_one_damaged_copy(cut: Cut) -> None:
    """A medium that loses more than it may would blame the device for what the world did."""
    for decays in (None, 0, 1):
        record = TwoCopies("old")
        with pytest.raises(PowerLost):
            record.save("new", cut)
        if decays is not None:
            record.decay(decays)
        assert record.load() in {"old", "new"}
        if cut is Cut.BEFORE:
            assert record.load() == "old"
        if cut is Cut.AFTER:
            assert record.load() == "new"
        record.save("newest", None)
        assert record.load() == "newest"
        assert record.is_whole()


def test_a_medium_with_both_copies_gone_says_so() -> None:
    """Two damaged copies read as empty would hide that a promise of the medium was broken."""
    record = TwoCopies("old")
    record.decay(0)
    with pytest.raises(PowerLost):
        record.save("new", Cut.SECOND_COPY)
    assert record.load() == "new"
    broken = TwoCopies("old")
    with pytest.raises(PowerLost):
        broken.save("new", Cut.FIRST_COPY)
    with pytest.raises(PowerLost):
        broken.save("new", Cut.FIRST_COPY)
    assert broken.load() == "old"
    broken._copies[:] = [None, None]  # noqa: SLF001 - what no world may do
    with pytest.raises(Ruined):
        broken.load()


def test_a_slot_holds_an_image_only_without_a_gap_and_of_one_piece() -> None:
    """Half an image, or two halves of two, would count as a signed one."""
    image, other = "aa" * 32, "bb" * 32
    slot = SlotBytes()
    slot.write(image, offset_bytes=0, reached_bytes=10)
    assert not slot.holds(image, 30)
    slot.write(image, offset_bytes=10, reached_bytes=30)
    assert slot.digest(30) == image
    slot.write(other, offset_bytes=20, reached_bytes=30)
    assert slot.digest(30) not in {image, other}
    slot.write(other, offset_bytes=0, reached_bytes=5)
    slot.write(other, offset_bytes=9, reached_bytes=30)
    assert slot.digest(30) not in {image, other}


def _calls(rates: Rates, *, is_dead: bool = False) -> tuple[int, int, int, int]:
    """Requests handled, answers and time-outs of one call, and when it ended."""
    engine = Engine(1, start_ms=0)
    handled, answers, given_up, ended = [0], [0], [0], [0]

    def handle() -> str:
        handled[0] += 1
        return "yes"

    def answered(_: str) -> None:
        answers[0] += 1
        ended[0] = engine.now_ms

    def timed_out() -> None:
        given_up[0] += 1
        ended[0] = engine.now_ms

    link = Link()
    link.is_dead = is_dead
    Network(engine, Faults(engine, rates, stop_at_ms=10**9)).call(link, handle, answered, timed_out)
    engine.run(10**6)
    return handled[0], answers[0], given_up[0], ended[0]


def test_the_network_loses_doubles_and_times_out_as_http_would_show_it() -> None:
    """A doubled request with two answers, or a lost one without a time-out, is no network that exists."""
    assert _calls(CALM)[:3] == (1, 1, 0)
    assert _calls(Rates(doubled=1.0))[:3] == (2, 1, 0)
    assert _calls(Rates(loss=1.0)) == (0, 0, 1, TIMEOUT_MS)
    assert _calls(CALM, is_dead=True) == (0, 0, 1, TIMEOUT_MS)


def test_worlds_are_of_the_size_that_was_promised() -> None:
    """Worlds that grew would eat the time of the suite, worlds that shrank would show nothing."""
    for seed in range(200):
        world = World(seed)
        assert 2 <= len(world.chargers) <= 25
        assert all(1 <= len(world.chargers_of(site)) <= 5 for site in world.sites)
