"""What the story tells of a rollout between two looks at it."""

import json
from typing import Any

from ops.demo.progress import news, scene_of


def shown(**changed: Any) -> dict[str, Any]:
    """An answer of the operator API, as far as the story reads it."""
    rollout = {"rollout_id": "r-1", "state": "running", "epoch": 7, "wave": 1, "question": None}
    return {
        "rollout": rollout | changed.get("rollout", {}),
        "waves": [
            {"wave": {"number": 1, "planned": 36, "opened_at_ms": 5, "outcome": None}, "tally": {"good": 0, "bad": 0}},
            {
                "wave": {"number": 2, "planned": 9, "opened_at_ms": None, "outcome": None},
                "tally": {"good": 0, "bad": 0},
            },
        ],
        "counters": {"permitted": 3, "withdrawn": 1, "kept": 2},
        "result": changed.get("result"),
        "last_verdict": changed.get("last_verdict"),
    }


def test_the_first_look_tells_the_open_wave_and_the_state() -> None:
    """A story that begins in the middle would leave out how many chargers are at stake."""
    assert list(news(None, scene_of(shown()))) == ["wave 1 of 2 opens: 36 chargers", "r-1 is running"]


def test_nothing_new_is_not_told_again() -> None:
    """Otherwise the plain output would drown what happens."""
    assert list(news(scene_of(shown()), scene_of(shown()))) == []


def test_a_wave_that_passed_and_the_next_one_are_told() -> None:
    """This is what a rollout is."""
    after = shown()
    after["waves"][0]["wave"]["outcome"] = "passed"
    after["waves"][1]["wave"]["opened_at_ms"] = 9
    assert list(news(scene_of(shown()), scene_of(after))) == [
        "wave 1: passed by the judge",
        "wave 2 of 2 opens: 9 chargers",
    ]


def test_a_failing_verdict_is_told_in_words_with_what_follows() -> None:
    """The reason for a rollback is the point of the story."""
    verdict = {"verdict": json.dumps({"kind": "fail", "wave": 1, "reasons": ["h7: 12 of 12"]})}
    after = scene_of(shown(rollout={"state": "rolling_back"}, last_verdict=verdict))
    assert list(news(scene_of(shown()), after)) == ["the judge on wave 1: fail (h7: 12 of 12)", "r-1 is rolling back"]


def test_a_completed_rollout_says_whether_it_is_proven() -> None:
    """Proven and unproven must never look alike."""
    for word in ("proven", "watched", "unproven"):
        after = scene_of(shown(rollout={"state": "completed"}, result=word))
        assert list(news(scene_of(shown()), after)) == [f"r-1 is completed, {word}"]


def test_a_question_to_a_person_is_told() -> None:
    """A rollout that waits for a person must not look as if it were only slow."""
    after = scene_of(shown(rollout={"state": "paused", "question": "the cap stays full"}))
    assert list(news(scene_of(shown()), after)) == ["r-1 is paused", "a person is asked: the cap stays full"]


def test_who_never_activated_takes_no_part() -> None:
    """The display must not count a charger that was withdrawn."""
    assert scene_of(shown()).taking_part == 5
