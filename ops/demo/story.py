"""The whole story: the stage, the five rollouts, and what the chargers' own logs say of them afterwards."""

from collections.abc import Sequence

from ops.demo.chapters import Played, play_config, play_dead, play_good, play_hidden, play_sick
from ops.demo.claims import Claim, Expected, all_claims
from ops.demo.evidence import bad_release, halts_of
from ops.demo.history import read_history
from ops.demo.scale import NEWER_HARDWARE
from ops.demo.stage import Stage

CHAPTERS = (
    ("1. Firmware 1.1.0, good", "opens its waves one after another", play_good),
    ("2. Firmware 1.2.0 boots and answers, but sessions fail", "only health can show it", play_sick),
    ("3. Firmware 1.3.0 dies on boot", "the chargers' own two slots bring them back", play_dead),
    ("4. A configuration: tariff and power cap", "halted by one person, resumed by two", play_config),
    (
        f"5. Firmware 1.3.1 dies on boot of {NEWER_HARDWARE} alone",
        "no canary can show it: every charger is watched",
        play_hidden,
    ),
)


def play(stage: Stage) -> tuple[Claim, ...]:
    """Play all chapters, then read what the chargers wrote meanwhile."""
    played = []
    for title, said, chapter in CHAPTERS:
        stage.teller.chapter(title, said)
        played.append(chapter(stage))
    halts = [halt for one in played for halt in halts_of(one, stage.engineer)]
    good, sick, dead, config, hidden = played
    expected = Expected(
        signed=_signed(stage, played),
        bad=(
            bad_release(sick, stage.scale, good.sha256),
            bad_release(dead, stage.scale, good.sha256, dies_on_boot=True),
            bad_release(hidden, stage.scale, good.sha256, dies_on_boot=True, only_on=NEWER_HARDWARE),
        ),
        halted={one.release.digest: one.name for one in (sick, dead, config, hidden)},
        halts=tuple(halts),
        firmware_sha256=good.sha256,
        config_sha256=config.sha256,
        chargers=stage.scale.chargers,
    )
    logs = stage.fleet.logs()
    fleet = [read_history(device_id, site_id, logs[device_id]) for device_id, site_id in stage.sites.items()]
    return all_claims(fleet, expected)


def _signed(stage: Stage, played: Sequence[Played]) -> dict[str, str]:
    """SHA-256 and name of everything that was signed in this run."""
    (factory,) = stage.factory.manifest.parts
    return {factory.sha256: "factory firmware", **{one.sha256: one.name for one in played}}
