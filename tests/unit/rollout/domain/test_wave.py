"""Who belongs to which wave."""

from dataclasses import replace

from otacore.cohort import position
from otacore.ids import FULL_SHARE
from rollout.domain.fleet import Device
from rollout.domain.records import Selector, Wave
from rollout.domain.wave import selects, wave_of
from tests.fakes.rollout_rows import DEVICE, RELEASE, ROLLOUT, SITE, WAVE

MEANT = replace(ROLLOUT, selector=Selector())
PLAIN = replace(WAVE, share=0, one_per_site=False, selector=Selector())
MATES = tuple(replace(DEVICE, device_id=f"c-{number}", number=number, quarantine=None) for number in range(5))
BY_POSITION = sorted(MATES, key=lambda device: position(RELEASE.digest, device.device_id))


def _wave(device: Device, waves: tuple[Wave, ...], *, named_wave: int | None = None, through: int = 9) -> int | None:
    return wave_of(
        device,
        site=SITE,
        mates=MATES,
        rollout=MEANT,
        release=RELEASE,
        waves=waves,
        named_wave=named_wave,
        through=through,
    )


def test_a_charger_belongs_to_the_lowest_open_wave_that_holds_it_for_ever() -> None:
    """Else it would be counted in one wave and judged in another, or shut out when a wave opens."""
    waves = tuple(
        replace(PLAIN, number=number, share=share) for number, share in ((1, 0), (2, FULL_SHARE // 2), (3, FULL_SHARE))
    )
    low, high = BY_POSITION[0], BY_POSITION[-1]
    for device in MATES:
        seen = [_wave(device, waves, through=through) for through in range(4)]
        found = [wave for wave in seen if wave is not None]
        assert len(set(found)) == 1, "it never moves"
        assert seen == [None] * (4 - len(found)) + found, "once in, always in"
    assert _wave(low, waves) in (2, 3)
    assert _wave(high, waves) in (2, 3)


def test_a_named_charger_belongs_to_the_wave_that_names_it() -> None:
    """A canary that waited for its share would be no canary."""
    waves = (replace(PLAIN, number=1), replace(PLAIN, number=2, share=FULL_SHARE))
    assert _wave(BY_POSITION[-1], waves, named_wave=1) == 1
    assert _wave(BY_POSITION[-1], waves, named_wave=2, through=1) is None


def test_one_per_site_lets_the_first_of_the_site_go_and_no_other() -> None:
    """Two canaries of one site would fail together and count as two."""
    waves = (replace(PLAIN, number=1, share=FULL_SHARE, one_per_site=True), replace(PLAIN, number=2, share=FULL_SHARE))
    assert [device.device_id for device in MATES if _wave(device, waves, through=1) == 1] == [BY_POSITION[0].device_id]
    assert all(_wave(device, waves) == 2 for device in BY_POSITION[1:])


def test_the_next_one_goes_when_the_first_of_the_site_cannot_get_the_release() -> None:
    """A site whose first charger is out of service or other hardware would never be a canary."""
    first = BY_POSITION[0]
    for unfit in (
        replace(first, out_of_service=True),
        replace(first, hardware="other"),
        replace(first, product="other"),
    ):
        mates = tuple(unfit if mate.device_id == first.device_id else mate for mate in MATES)
        waves = (replace(PLAIN, number=1, share=FULL_SHARE, one_per_site=True),)
        found = wave_of(
            BY_POSITION[1],
            site=SITE,
            mates=mates,
            rollout=MEANT,
            release=RELEASE,
            waves=waves,
            named_wave=None,
            through=1,
        )
        assert found == 1


def test_selectors_mean_whom_they_say() -> None:
    """A selector that lets others through updates the wrong chargers."""
    device, site = replace(DEVICE, labels=("fast",)), replace(SITE, labels=("east",))
    for selector in (
        Selector(),
        Selector(sites=("s-1", "s-9")),
        Selector(site_classes=("city",)),
        Selector(labels=("fast", "east")),
        Selector(without_labels=("slow",)),
    ):
        assert selects(selector, device, site)
    for selector in (
        Selector(sites=("s-9",)),
        Selector(site_classes=("depot",)),
        Selector(labels=("fast", "west")),
        Selector(without_labels=("east",)),
    ):
        assert not selects(selector, device, site)
