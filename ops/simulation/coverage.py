"""What must happen sometimes: interesting states, and the least share of seeds that must reach each of them.

What it is: a table, and what of it a tally lacks. A promise that no world ever puts to the test is not tested; the
first simulation of every project finds nothing, because nothing happens in it.
What it does not do: count; the books do (`books.reach`).
"""

from collections.abc import Mapping

from ops.simulation.run import Tally

SOMETIMES_PCT: Mapping[str, float] = {
    "activation after a halt": 4,
    "advance": 40,
    "asks a person": 40,
    "back to the built-in configuration": 1.5,
    "boot: trial_exhausted": 8,
    "clone alarm": 1.5,
    "completed proven": 2,
    "completed unproven": 5,
    "completed watched": 0.3,
    "crash right after an advance": 1,
    "died in flight": 0.2,
    "disarmed": 30,
    "duplicate tick": 30,
    "failed to install": 6,
    "floor raised": 0.8,
    "halt with live permits": 5,
    "halted by hard events": 0.4,
    "halted by the judge": 15,
    "judge fails a release": 4,
    "latecomer": 0.6,
    "look back": 2,
    "needs hands": 4,
    "nobody ticks": 3,
    "paused by a hard event": 1.5,
    "permit handed out again": 8,
    "permit refused: not_watched": 2,
    "power cut while armed or on trial": 8,
    "recovered": 8,
    "reverted": 15,
    "rollout halted": 10,
    "rollout rolled_back": 15,
    "server crash": 40,
    "tick inside another transaction": 30,
    "two persons": 40,
    "unreadable facts": 3,
}
"""About a third of what the seeds 0 to 999 reach, so that a change of the code shifts worlds without a false alarm."""


SOMETIMES_OF_KIND_PCT: Mapping[str, Mapping[str, float]] = {
    "hidden": {"halted by the judge": 25, "permit refused: not_watched": 8, "silence counted": 4},
    "lab": {"asks a person": 15, "completed watched": 20},
    "tail_outage": {"common outage": 80, "completed proven": 40, "permit refused: outage": 30},
}
"""The same for worlds that are made for something: that it comes to that."""


def lacking(tally: Tally, sometimes: Mapping[str, float] = SOMETIMES_PCT) -> dict[str, float]:
    """States that too few of the seeds reached, with the share that did."""
    shares = {word: 100 * tally.reached[word] / max(1, tally.done) for word in sometimes}
    return {word: share for word, share in shares.items() if share < sometimes[word]}
