"""Who was heard of is written behind, and each call writes those of its moment only."""

from rollout.adapters.memory import CommitPoint
from tests.fakes.rollout_world import World


def test_a_fleet_that_polls_on_does_not_keep_the_database_busy() -> None:
    """Everybody polls again while the last ones are written: with no end to it, a halt waited for seconds."""
    world = World(sites=3, per_site=2)
    chargers = list(world.chargers.values())
    commits = []

    def polls_go_on(point: CommitPoint) -> None:
        if point is CommitPoint.BEFORE:
            commits.append(point)
            assert len(commits) < 10, "it never ends"
            for charger in chargers:
                charger.poll()

    world.clock.advance(1_000)
    for charger in chargers:
        charger.poll()
    world.store.on_commit = polls_go_on
    assert world.poll.flush_seen(at_once=2) == len(chargers)
    assert len(commits) == len(chargers) // 2
    world.store.on_commit = None
    world.clock.advance(1_000)
    assert world.poll.flush_seen() == len(chargers), "who polled meanwhile is written by the next call"
    assert world.poll.flush_seen() == 0
