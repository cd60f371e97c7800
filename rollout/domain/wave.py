"""Who belongs to which wave: the opening that chargers verify themselves, narrowed by what only the server knows.

Pure. A charger belongs to the lowest open wave whose opening holds it and whose selector means it. It belongs to no
wave before that one is open, and opening a later one never takes it out again.

Rules:
1. Inside the opening is decided by `otacore.cohort` alone, the same function as on the charger.
2. Selectors, labels and "one per site" narrow further and are never published.
3. One charger per site means the one with the lowest cohort position among those of the site that could get the
   release at all. A named wave was planned that way already.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from otacore.cohort import position
from rollout.domain.fleet import Device, Site
from rollout.domain.records import Release, Rollout, Selector, Wave


class Labelled(Protocol):
    """Whatever stands for a charger and has its labels."""

    @property
    def labels(self) -> tuple[str, ...]: ...


def selects(selector: Selector, device: Labelled, site: Site) -> bool:
    """True when the selector means this charger. Windows are another question: they say when, not who."""
    labels = {*device.labels, *site.labels}
    return (
        (not selector.sites or site.site_id in selector.sites)
        and (not selector.site_classes or site.site_class in selector.site_classes)
        and labels.issuperset(selector.labels)
        and labels.isdisjoint(selector.without_labels)
    )


def wave_of(
    device: Device,
    *,
    site: Site,
    mates: Iterable[Device],
    rollout: Rollout,
    release: Release,
    waves: Sequence[Wave],
    named_wave: int | None,
    through: int,
) -> int | None:
    """The lowest wave up to `through` that the charger belongs to; None when it belongs to none of them.

    `mates` are the chargers of its site, itself among them; `named_wave` is the wave that names it.
    """
    place = position(release.digest, device.device_id)
    for wave in waves:
        if wave.number > through:
            break
        is_named = named_wave is not None and named_wave <= wave.number
        if not (is_named or place < wave.share) or not selects(wave.selector, device, site):
            continue
        meant = (rollout.selector, wave.selector)
        if is_named or not wave.one_per_site or _goes_first(device, mates, site=site, release=release, meant=meant):
            return wave.number
    return None


def could_get(device: Device, release: Release) -> bool:
    """True when release and charger fit by what is registered, and the charger is in service."""
    return device.product == release.product and device.hardware in release.hardware and not device.out_of_service


def _goes_first(
    device: Device, mates: Iterable[Device], *, site: Site, release: Release, meant: Sequence[Selector]
) -> bool:
    rivals = (
        mate for mate in mates if could_get(mate, release) and all(selects(selector, mate, site) for selector in meant)
    )
    first = min(rivals, key=lambda mate: (position(release.digest, mate.device_id), mate.device_id), default=device)
    return first.device_id == device.device_id
