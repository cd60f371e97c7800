"""What the operator API shows of a rollout, as one scene of the story, and what is new between two scenes. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

GOING_WELL = ("kept", "confirmed", "settled")
WENT_WRONG = ("unwell", "reverted", "failed", "silent", "needs_hands")


@dataclass(frozen=True, slots=True)
class WaveScene:
    """One wave."""

    number: int
    planned: int
    good: int
    bad: int
    opened: bool
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Scene:
    """A rollout at one moment."""

    rollout_id: str
    state: str
    epoch: int
    wave: int
    waves: tuple[WaveScene, ...]
    stages: Mapping[str, int]
    result: str | None
    """Of a completed rollout: proven, watched or unproven."""
    question: str | None
    verdict: str | None
    """The last verdict that was acted upon, in words."""

    @property
    def taking_part(self) -> int:
        """Chargers that got a permit, or failed before they asked for one; withdrawn ones not."""
        return sum(count for stage, count in self.stages.items() if stage != "withdrawn")

    def count(self, *stages: str) -> int:
        return sum(self.stages.get(stage, 0) for stage in stages)


def scene_of(shown: Mapping[str, Any]) -> Scene:
    """The scene that `GET /rollouts/{id}` tells."""
    rollout = shown["rollout"]
    return Scene(
        rollout_id=rollout["rollout_id"],
        state=rollout["state"],
        epoch=rollout["epoch"],
        wave=rollout["wave"],
        waves=tuple(_wave(row) for row in shown["waves"]),
        stages=shown["counters"],
        result=shown["result"],
        question=rollout["question"],
        verdict=_in_words(shown["last_verdict"]),
    )


def news(before: Scene | None, after: Scene) -> Iterator[str]:
    """What a listener should hear, in order."""
    for wave in after.waves:
        earlier = next((old for old in before.waves if old.number == wave.number), None) if before else None
        if wave.opened and not (earlier and earlier.opened):
            yield f"wave {wave.number} of {len(after.waves)} opens: {wave.planned} chargers"
        if wave.outcome and not (earlier and earlier.outcome):
            yield f"wave {wave.number}: {_OUTCOMES.get(wave.outcome, wave.outcome)}"
    is_new = after.verdict != (before.verdict if before else None)
    if after.verdict and is_new and (": fail" in after.verdict or ": halt" in after.verdict):
        yield after.verdict
    if before is None or before.state != after.state:
        yield f"{after.rollout_id} is {_state(after)}"
    if after.question and after.question != (before.question if before else None):
        yield f"a person is asked: {after.question}"


_OUTCOMES = {
    "passed": "passed by the judge",
    "watched": "watched to its end, and the guard stands clean (too few for a claim)",
    "unproven": "passed unproven",
}


def _state(scene: Scene) -> str:
    words = scene.state.replace("_", " ")
    return words if scene.result is None else f"{words}, {scene.result}"


def _wave(row: Mapping[str, Any]) -> WaveScene:
    wave, tally = row["wave"], row["tally"]
    return WaveScene(
        number=wave["number"],
        planned=wave["planned"],
        good=tally["good"],
        bad=tally["bad"],
        opened=wave["opened_at_ms"] is not None,
        outcome=wave["outcome"],
    )


def _in_words(stored: Mapping[str, Any] | None) -> str | None:
    if stored is None:
        return None
    verdict = json.loads(stored["verdict"])
    reasons = "; ".join(verdict["reasons"][:2])
    return f"the judge on wave {verdict['wave']}: {verdict['kind']} ({reasons})"
