"""What few chargers allow to be said."""

import pytest

from rollout.domain.judge.bound import allowed_by, upper_bound


@pytest.mark.parametrize(
    ("count", "percent"), [(5, "45"), (20, "14"), (50, "5.8"), (100, "3.0"), (300, "1.0"), (10_000, "0.03")]
)
def test_clean_chargers_allow_the_bound_of_clopper_and_pearson(count: int, percent: str) -> None:
    """If this fails a person reads more into a few clean chargers than they can say."""
    sentence = f"{count} clean of {count}: fewer than {percent} % are bad, with 95 % confidence"
    assert allowed_by(good=count, bad=0) == sentence
    assert upper_bound(bad=0, of=count) == pytest.approx(1 - 0.05 ** (1 / count), rel=1e-9)


def test_bad_chargers_widen_the_bound_and_nothing_allows_nothing() -> None:
    """If this fails a wave with failures is called as good as one without, or an empty one says something."""
    bounds = [upper_bound(bad=bad, of=20) for bad in range(21)]
    assert bounds == sorted(bounds)
    assert upper_bound(bad=1, of=20) == pytest.approx(0.2161, abs=1e-4)
    assert upper_bound(bad=20, of=20) == 1.0
    assert upper_bound(bad=0, of=1) == pytest.approx(0.95)
    assert allowed_by(good=19, bad=1) == "19 clean of 20: fewer than 22 % are bad, with 95 % confidence"
    assert allowed_by(good=0, bad=0) == "nothing was seen, so nothing can be said"
    assert allowed_by(good=0, bad=3) == "0 clean of 3: every one was bad"
