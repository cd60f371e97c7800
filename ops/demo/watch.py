"""Watches a rollout until it is where the story wants it, and tells what happens.

A rollout that does not get there within its limit, or ends otherwise, or asks for a person who is not in the story,
stops the story with what `show` and `why` say of it: never an endless wait.
"""

from collections.abc import Callable

from ops.demo.progress import Scene, news
from ops.demo.stage import TOO_SLOW, Stage
from otacore.errors import Broken, Unavailable

ENDED = ("completed", "rolled_back", "paused")
"""A halted rollout is still judged: it is taken back by itself when the references have had time to be heard of."""
"""Nothing more comes from such a rollout by itself."""
EXPLAINED = 3
"""So many chargers are explained when a rollout got stuck."""


def watch(stage: Stage, rollout_id: str, reached: Callable[[Scene], bool], *, told: Scene | None = None) -> Scene:
    """Tell what happens until it is so; gives the last scene, for whoever goes on (`told`).

    Raises: Broken("demo.stuck") with what show and why say.
    """
    last = told

    def look() -> bool:
        nonlocal last
        scene = stage.engineer.show(rollout_id)
        for text in news(last, scene):
            stage.teller.say(text)
        last = scene
        stage.teller.show(scene, stage.tally.look())
        if scene.state in ENDED and not reached(scene):
            raise _stuck(stage, scene, "it ended otherwise than the story says")
        return reached(scene)

    with stage.teller.watching():
        try:
            stage.wait(f"{rollout_id} is where the story wants it", look, limit_s=stage.scale.limit_s)
        except Unavailable as error:
            if error.code != TOO_SLOW or last is None:
                raise
            raise _stuck(stage, last, error.hint) from error
    if last is None:
        raise AssertionError("a wait looks at least once")
    return last


def _stuck(stage: Stage, scene: Scene, why: str) -> Broken:
    lines = [f"{scene.rollout_id}: {why}", f"state {scene.state}, wave {scene.wave}, question: {scene.question}"]
    lines += [f"chargers: {', '.join(f'{count} {name}' for name, count in scene.stages.items() if count)}"]
    names = [leftover["device_id"] for leftover in stage.engineer.leftovers(scene.rollout_id)] or list(stage.sites)
    for name in names[:EXPLAINED]:
        told = stage.engineer.why(scene.rollout_id, name)
        reasons = "; ".join(f"{line['predicate']}: {line['reason']}" for line in told["lines"] if not line["holds"])
        lines.append(f"{name}: {told['stage'] or 'has not taken part'}; {told['note'] or reasons}")
    return Broken("demo.stuck", "\n  ".join(lines))
