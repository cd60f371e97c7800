"""What a plan would cost: how many chargers really fail before it stops, when a release is bad.

Played here, a few rollouts a line, by the production code (`rollout/domain/dryrun/`); `tidegate rollout simulate` plays
more of them, and other worlds.
"""

import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import numpy as np

from otacore.wire.codec import decode, encode
from rollout.domain.dryrun.play import play
from rollout.domain.dryrun.played import Ending
from rollout.domain.dryrun.stored import DryRunFacts
from rollout.domain.dryrun.world import Harm, Where, World

ROLLOUTS, FEW_ROLLOUTS, LARGE_FLEET = 10, 4, 5_000
HIDDEN_SHARE = 0.3
RATES = (1.0, 0.5, 0.2, 0.1, 0.05)
CASES: Mapping[str, Harm] = {
    **{f"{rate:.0%} fail to start, everywhere": Harm(rate) for rate in RATES},
    **{
        f"{rate:.0%} fail to start, in a hidden {HIDDEN_SHARE:.0%}": Harm(rate, where=Where.HIDDEN, share=HIDDEN_SHARE)
        for rate in RATES
    },
}
FEWEST_DEADLINE_MS = 10 * 60_000
"""The worlds that are played restart in minutes: a plan in a hurry, such as the demo's, is not played."""
_PERCENT = 100


def with_harm(parsed: Namespace, answer: Any) -> Any:
    """The plan's answer with its expected harm; without, where nothing is planned or it was not asked for."""
    if parsed.no_harm or not answer["waves"] or answer["judge"]["start"]["deadline_ms"] < FEWEST_DEADLINE_MS:
        return answer
    facts = decode(DryRunFacts, encode(_facts(parsed, answer)))
    script, fleet = facts.script(), facts.fleet()
    rollouts = ROLLOUTS if script.chargers < LARGE_FLEET else FEW_ROLLOUTS
    rows = []
    for number, (name, harm) in enumerate(CASES.items()):
        _tell_progress(number)
        rng = np.random.Generator(np.random.PCG64(number))
        played = [play(script, fleet, World(harm=harm), rng) for _ in range(rollouts)]
        stopped = sum(one.ending is not Ending.COMPLETED for one in played)
        harmed = sum(one.harmed for one in played) / rollouts
        rows.append({"release": name, "harmed": harmed, "stopped_pct": _PERCENT * stopped / rollouts})
    _tell_progress(len(CASES))
    return {**answer, "harm": rows}


def _facts(parsed: Namespace, answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "rollout_id": parsed.rollout,
        "plan": answer["judge"],
        "planned": [wave["planned"] for wave in answer["waves"]],
        "complete_at_pct": 90,
        "sites": answer["sites"],
    }


def _tell_progress(done: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[Kplaying bad releases: {done} of {len(CASES)}" if done < len(CASES) else "\r\033[K")
        sys.stderr.flush()
