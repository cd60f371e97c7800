"""What the chapters demand of a rollout before they go on."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import pytest

from ops.demo.chapters import play_good
from ops.demo.progress import Scene, scene_of
from ops.demo.scale import SMALL
from ops.demo.stage import Stage
from ops.world import PublishedRelease
from otacore.errors import Broken
from otacore.wire.release import EMERGENCY_PACE, Part, ReleaseKind, ReleaseManifest

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

    def plan(self, rollout_id: str, request: object) -> Mapping[str, Any]:
        return {"answers": []}

    def start(self, rollout_id: str, reason: str) -> None:
        """As asked."""

    def leftovers(self, rollout_id: str) -> tuple[Mapping[str, Any], ...]:
        return ()


def _completed(*, proven: bool | None) -> PaperStage:
    wave = {"number": 1, "planned": EVERYBODY, "opened_at_ms": 5, "outcome": "passed"}
    shown = {
        "rollout": {"rollout_id": "good-1-1-0", "state": "completed", "epoch": 7, "wave": 1, "question": None},
        "waves": [{"wave": wave, "tally": {"good": EVERYBODY, "bad": 0}}],
        "counters": {"settled": EVERYBODY},
        "proven": proven,
        "last_verdict": None,
    }
    return PaperStage(scene_of(shown))


def test_the_good_release_is_completed_and_proven() -> None:
    """The legitimate case, before the others."""
    stage = _completed(proven=True)
    assert play_good(cast("Stage", stage)).name == "firmware 1.1.0"
    assert "good-1-1-0 is completed, proven" in stage.said


@pytest.mark.parametrize("proven", [False, None])
def test_a_good_release_that_nobody_proved_stops_the_story(*, proven: bool | None) -> None:
    """The demo would succeed although its judge never said that the good release is well."""
    with pytest.raises(Broken) as stopped:
        play_good(cast("Stage", _completed(proven=proven)))
    assert stopped.value.code == "demo.stuck"
