"""What the claims are held against: the releases as they were signed, and what each halt announced of itself."""

import json

from ops.demo.chapters import Played
from ops.demo.claims import BadRelease, Halt
from ops.demo.people import Person
from ops.demo.scale import Scale
from rollout.domain.audit import CONTROLLER

STOPPING = ("halt", "pause", "roll_back")
RESUMING = "resume"


def bad_release(
    played: Played, scale: Scale, good_sha256: str, *, dies_on_boot: bool = False, only_on: str | None = None
) -> BadRelease:
    """What is claimed of a release that must not get far."""
    return BadRelease(
        version=played.release.manifest.version,
        sha256=played.sha256,
        release_digest=played.release.digest,
        most=scale.first_wave if played.most is None else played.most,
        good_sha256=good_sha256,
        dies_on_boot=dies_on_boot,
        start_deadline_ms=scale.start_deadline_ms,
        only_on=only_on,
    )


def halts_of(played: Played, person: Person) -> list[Halt]:
    """Every stop of a rollout, with what it announced: a person's in its answer, the controller's in the audit log."""
    entries = [entry for entry in person.audit() if entry["subject"] == played.rollout_id]
    resumed = [entry["at_ms"] for entry in entries if entry["action"] == RESUMING]
    halts = []
    for entry in entries:
        told = json.loads(entry["detail"]).get("permits_open", played.announced)
        if entry["action"] in STOPPING and told is not None:
            until_ms = next((at_ms for at_ms in resumed if at_ms > entry["at_ms"]), None)
            by_itself = entry["actor"] == CONTROLLER
            halts.append(Halt(played.name, played.release.digest, entry["at_ms"], told, until_ms, by_itself=by_itself))
    return halts
