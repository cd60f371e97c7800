"""The five rollouts of the story. Each is played by persons over the operator API, and watched until it has ended."""

from collections.abc import Callable
from dataclasses import dataclass

from ops.demo.people import Person
from ops.demo.progress import Scene
from ops.demo.promise import most_reached
from ops.demo.scale import NEWER_HARDWARE, PACE, PRODUCT, RATING_W, REVISIONS
from ops.demo.stage import Stage
from ops.demo.watch import watch
from ops.fleet.programs import image
from ops.world import PublishedRelease
from otacore.wire.codec import encode
from otacore.wire.config import ConfigBundle, Tariff
from otacore.wire.release import ReleaseKind
from rollout.domain.judge.plan import JudgePlan, read_plan
from rollout.domain.planning import PlanRequest

GOOD, SICK, DEAD, HIDDEN = "1.1.0", "1.2.0", "1.3.0", "1.3.1"
CONFIG = "1.0.0"
HALTED_WAVE = 2
"""The wave in the middle of which an operator halts the configuration."""


@dataclass(frozen=True, slots=True)
class Played:
    """A rollout that was played to its end, and what there is to check."""

    rollout_id: str
    release: PublishedRelease
    announced: int | None = None
    """By the halt of a person."""
    most: int | None = None
    """Most chargers that it may reach where it is bad, by its plan; None: the size of the first wave."""

    @property
    def name(self) -> str:
        """Kind and version."""
        return f"{self.release.manifest.kind} {self.release.manifest.version}"

    @property
    def sha256(self) -> str:
        """Of its one file."""
        (part,) = self.release.manifest.parts
        return part.sha256


def play_good(stage: Stage) -> Played:
    """Firmware 1.1.0 goes to everybody, wave by wave, and the judge says of each that it is well."""
    release = _firmware(stage, GOOD)
    _begin(stage, "good-1-1-0", release)
    _finish(stage, "good-1-1-0", _is_proven, told=None)
    return Played("good-1-1-0", release)


def play_sick(stage: Stage) -> Played:
    """Firmware 1.2.0 boots and answers, but sessions fail: only health can show it."""
    release = _firmware(stage, SICK)
    _begin(stage, "sick-1-2-0", release)
    watch(stage, "sick-1-2-0", lambda scene: scene.state == "rolled_back")
    return Played("sick-1-2-0", release)


def play_dead(stage: Stage) -> Played:
    """Firmware 1.3.0 dies on boot."""
    release = _firmware(stage, DEAD)
    _begin(stage, "dead-1-3-0", release)
    watch(stage, "dead-1-3-0", lambda scene: scene.state == "rolled_back")
    return Played("dead-1-3-0", release)


def play_config(stage: Stage) -> Played:
    """A configuration, halted by one person in the middle of a wave and resumed by two."""
    bundle = ConfigBundle(
        product=PRODUCT, version=CONFIG, power_cap_w=RATING_W // 2, tariff=Tariff("EUR", energy_milli_per_kwh=420)
    )
    release = stage.world.release_config(PRODUCT, CONFIG, encode(bundle), hardware=REVISIONS, pace=PACE)
    _tell_signed(stage, release)
    _begin(stage, "tariff-1-0-0", release)
    last = watch(stage, "tariff-1-0-0", _in_mid_wave)
    announced = _halt_and_resume(stage, "tariff-1-0-0")
    _finish(stage, "tariff-1-0-0", _is_completed, told=last)
    return Played("tariff-1-0-0", release, announced)


def play_hidden(stage: Stage) -> Played:
    """Firmware 1.3.1 dies on boot of one hardware revision, which stands on none of the sites that go first."""
    release = _firmware(stage, HIDDEN)
    judge = _begin(stage, "hidden-1-3-1", release, stage.scale.plan_by_label(GOOD))
    waves = [wave.wave for wave in judge.waves]
    most = most_reached(judge, stratum=REVISIONS.index(NEWER_HARDWARE) + 1, wave=waves[1])
    stage.teller.say(f"the plan promises: at most {most} chargers of {NEWER_HARDWARE}, should none of them start")
    watch(stage, "hidden-1-3-1", lambda scene: scene.state == "rolled_back")
    return Played("hidden-1-3-1", release, most=most)


def _is_completed(scene: Scene) -> bool:
    return scene.state == "completed"


def _is_proven(scene: Scene) -> bool:
    return _is_completed(scene) and scene.result == "proven"


def _finish(stage: Stage, rollout_id: str, reached: Callable[[Scene], bool], *, told: Scene | None) -> None:
    """Until it is completed as the story says, and the last latecomer has it. Raises: as `watch`."""
    watch(stage, rollout_id, reached, told=told)

    def everybody() -> bool:
        return stage.engineer.show(rollout_id).count("confirmed", "settled", "unwell") == stage.scale.chargers

    stage.wait("the latecomers have it too", everybody, limit_s=stage.scale.limit_s)
    stage.teller.say(f"all {stage.scale.chargers} chargers have confirmed it")


def _in_mid_wave(scene: Scene) -> bool:
    """A third of the wave that is open has it, and the rest has not."""
    wave = scene.waves[max(0, scene.wave - 1)]
    return scene.wave == HALTED_WAVE and wave.good * 3 >= wave.planned


def _halt_and_resume(stage: Stage, rollout_id: str) -> int:
    teller, asker, other = stage.teller, stage.first_operator, stage.second_operator
    answer = asker.halt(rollout_id, "the tariff may be wrong")
    teller.say(
        f"{asker.name} halts it with one call: {answer['permits_open']} permits are still out, the manifest that says "
        f"hold is {answer['publication']}"
    )
    before = asker.show(rollout_id).taking_part
    stage.wait("the chargers have settled", _quiet(asker, rollout_id), limit_s=stage.scale.limit_s)
    after = asker.show(rollout_id).taking_part
    teller.say(f"nobody else gets it: {before} chargers had been let at the halt, {after} when all of them had settled")
    approval = asker.resume(rollout_id, "the tariff is right")
    teller.say(f"{asker.name} asks to resume: another person must agree")
    other.approve(approval)
    teller.say(f"{other.name} agrees: it goes on")
    return int(answer["permits_open"])


def _quiet(person: Person, rollout_id: str) -> Callable[[], bool]:
    return lambda: person.show(rollout_id).count("permitted", "armed", "kept", "confirmed") == 0


def _firmware(stage: Stage, version: str) -> PublishedRelease:
    release = stage.world.release_firmware(PRODUCT, version, image(version), hardware=REVISIONS, pace=PACE)
    _tell_signed(stage, release)
    return release


def _tell_signed(stage: Stage, release: PublishedRelease) -> None:
    manifest = release.manifest
    stage.teller.say(
        f"{manifest.kind} {manifest.version} is signed by two of three and published: {release.digest[:12]}…"
    )


def _begin(stage: Stage, rollout_id: str, release: PublishedRelease, request: PlanRequest | None = None) -> JudgePlan:
    """Create, plan and start; gives the judge's plan as it stands. Raises: Refused."""
    engineer, manifest = stage.engineer, release.manifest
    engineer.create(rollout_id, product=PRODUCT, version=manifest.version, kind=ReleaseKind(manifest.kind))
    layout = engineer.plan(rollout_id, request or stage.scale.plan())
    for answer in layout["answers"]:
        stage.teller.say_once(f"planned: wave {answer['wave']}: {answer['why']}")
    engineer.start(rollout_id, "the plan can answer")
    stage.tally.reset()
    return read_plan(encode(layout["judge"]))
