"""What the chapters demand of a rollout before they go on."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from ops.demo.chapters import play_good, play_hidden
from ops.demo.progress import Scene, scene_of
from ops.demo.scale import SMALL
from ops.demo.stage import Stage
from ops.world import PublishedRelease
from otacore.errors import Broken
from otacore.wire.codec import to_plain
from otacore.wire.release import EMERGENCY_PACE, Part, ReleaseKind, ReleaseManifest
from rollout.domain.judge.plan import WavePlan
from rollout.domain.planning import PlanRequest

EVERYBODY = SMALL.chargers


class PaperStage:
    """A stage of one rollout that has ended already; it plays the server, the teller and the engineer."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.scale = SMALL
        self.sites: Mapping[str, str] = {}
        self.said: list[str] = []
        self.engineer = self.teller = self.world = self.tally = self

    def wait(self, what: str, reached: Callable[[], bool], *, limit_s: int) -> None:
        """Nothing moves here: it is so, or never."""
        assert reached(), what

    def release_firmware(self, product: str, version: str, content: bytes, **_: object) -> PublishedRelease:
        part = Part(path="image.bin", length_bytes=len(content), sha256="ab" * 32)
        manifest = ReleaseManifest(
            product=product,
            hardware=("rev-a",),
            kind=ReleaseKind.FIRMWARE,
            version=version,
            security_version=0,
            parts=(part,),
            pace=EMERGENCY_PACE,
            released_at_ms=1,
        )
        return PublishedRelease("manifest.json", "cd" * 32, manifest)

    def show(self, first: object, sessions: object = None) -> Scene:
        """To the engineer the rollout; to the terminal nothing."""
        return self.scene

    def say(self, text: str) -> None:
        self.said.append(text)

    def say_once(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def watching(self) -> Iterator[None]:
        yield

    def look(self) -> Mapping[str, Any]:
        return {}

    def reset(self) -> None:
        """No sessions here."""

    def create(self, rollout_id: str, **_: object) -> None:
        """As asked."""

    def plan(self, rollout_id: str, request: PlanRequest) -> Mapping[str, Any]:
        assert request.judge is not None
        waves = tuple(
            WavePlan(number, judged_units=0, makes_claim=False, why="on paper", chargers=9)
            for number, _ in enumerate(request.waves, start=1)
        )
        return {"answers": [], "judge": to_plain(replace(request.judge, waves=waves))}

    def start(self, rollout_id: str, reason: str) -> None:
        """As asked."""

    def leftovers(self, rollout_id: str) -> tuple[Mapping[str, Any], ...]:
        return ()


def _ended(state: str, *, result: str | None = None, rollout_id: str = "good-1-1-0") -> PaperStage:
    wave = {"number": 1, "planned": EVERYBODY, "opened_at_ms": 5, "outcome": "passed"}
    shown = {
        "rollout": {"rollout_id": rollout_id, "state": state, "epoch": 7, "wave": 1, "question": None},
        "waves": [{"wave": wave, "tally": {"good": EVERYBODY, "bad": 0}}],
        "counters": {"settled": EVERYBODY},
        "result": result,
        "last_verdict": None,
    }
    return PaperStage(scene_of(shown))


def test_the_good_release_is_completed_and_proven() -> None:
    """The legitimate case, before the others."""
    stage = _ended("completed", result="proven")
    assert play_good(cast("Stage", stage)).name == "firmware 1.1.0"
    assert "good-1-1-0 is completed, proven" in stage.said


@pytest.mark.parametrize("result", ["unproven", "watched", None])
def test_a_good_release_that_nobody_proved_stops_the_story(*, result: str | None) -> None:
    """The demo would succeed although its judge never said that the good release is well."""
    with pytest.raises(Broken) as stopped:
        play_good(cast("Stage", _ended("completed", result=result)))
    assert stopped.value.code == "demo.stuck"


def test_the_hidden_fault_is_promised_by_the_plan_before_it_is_met() -> None:
    """A number that is found afterwards would always hold."""
    stage = _ended("rolled_back", rollout_id="hidden-1-3-1")
    played = play_hidden(cast("Stage", stage))
    (promised,) = [index for index, said in enumerate(stage.said) if f"at most {played.most} chargers of rev-b" in said]
    assert promised < stage.said.index("hidden-1-3-1 is rolled back")
    assert played.most is not None
    assert 0 < played.most < SMALL.newer_chargers


@pytest.mark.parametrize("state", ["completed", "paused"])
def test_a_hidden_fault_that_is_not_taken_back_by_itself_stops_the_story(state: str) -> None:
    """Completed is what it used to be; paused would wait for a person who is not in the story."""
    with pytest.raises(Broken) as stopped:
        play_hidden(cast("Stage", _ended(state)))
    assert stopped.value.code == "demo.stuck"
