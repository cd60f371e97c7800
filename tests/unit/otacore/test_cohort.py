"""Who is inside an opening must be the same on server and charger, spread evenly, and only ever grow with the share."""

from hypothesis import given
from hypothesis import strategies as st

from otacore.cohort import is_inside, name_hash, position
from otacore.ids import FULL_SHARE

DIGEST = "ab" * 32
SALT = "00" * 16


def _inside(device: str, *, share: int, named: tuple[str, ...] = ()) -> bool:
    return is_inside(release_digest=DIGEST, device_id=device, share=share, salt=SALT, named=named)


@given(st.text(min_size=1, max_size=20), st.integers(0, FULL_SHARE), st.integers(0, FULL_SHARE))
def test_a_larger_share_keeps_everyone_who_was_inside(device: str, one: int, other: int) -> None:
    """If widening threw chargers out, a half-installed charger would lose its permit in the middle."""
    small, large = sorted((one, other))
    assert not _inside(device, share=small) or _inside(device, share=large)


def test_nobody_at_zero_and_everybody_at_full() -> None:
    """An opening of zero that lets one in, or a full one that leaves one out, breaks halt and completion."""
    devices = [f"charger-{number}" for number in range(2000)]
    assert not any(_inside(device, share=0) for device in devices)
    assert all(_inside(device, share=FULL_SHARE) for device in devices)


def test_a_tenth_of_the_share_is_about_a_tenth_of_the_fleet() -> None:
    """A skewed position would open far more chargers than the person who set the share believes (5 sigma)."""
    count = sum(_inside(f"charger-{number}", share=FULL_SHARE // 10) for number in range(20_000))
    assert abs(count - 2000) < 5 * (20_000 * 0.1 * 0.9) ** 0.5


def test_other_releases_start_with_other_chargers() -> None:
    """With one fixed order the same chargers would be the first victims of every bad release."""
    devices = [f"charger-{number}" for number in range(4000)]
    first = {device for device in devices if position("ab" * 32, device) < FULL_SHARE // 10}
    second = {device for device in devices if position("cd" * 32, device) < FULL_SHARE // 10}
    assert len(first & second) < len(first) / 2


def test_a_named_charger_is_inside_whatever_the_share() -> None:
    """The planner opens its first waves by name, with a share of zero."""
    assert _inside("charger-7", share=0, named=(name_hash(SALT, "charger-7"),))
    assert not _inside("charger-8", share=0, named=(name_hash(SALT, "charger-7"),))
    assert name_hash(SALT, "charger-7") != name_hash("11" * 16, "charger-7")


def test_positions_are_fixed_for_ever() -> None:
    """Chargers in the field compute it with old code: another value would put server and charger at odds."""
    assert position(DIGEST, "charger-1") == 0xD22E0E7D
    assert name_hash(SALT, "charger-1") == "975f334b67a1fc50"
