"""What so few chargers allow to be said: the sentence of a wave or a rollout that is watched and not proven."""

from rollout.domain.judge.restarts import at_most

_CONFIDENCE = 0.95
_STEPS = 40
_SMALL_PCT, _LARGE_PCT = 0.95, 9.95


def upper_bound(*, bad: int, of: int) -> float:
    """Largest rate under which so few of so many would be bad with 5 % probability (Clopper and Pearson)."""
    if bad >= of:
        return 1.0
    low, high = bad / of, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if at_most(bad, of, middle) <= 1 - _CONFIDENCE else (middle, high)
    return high


def allowed_by(*, good: int, bad: int) -> str:
    """The sentence, such as "20 clean of 20: fewer than 14 % are bad, with 95 % confidence"."""
    total = good + bad
    if not total:
        return "nothing was seen, so nothing can be said"
    if not good:
        return f"0 clean of {total}: every one was bad"
    bound = _percent(100 * upper_bound(bad=bad, of=total))
    return f"{good} clean of {total}: fewer than {bound} % are bad, with 95 % confidence"


def _percent(bound: float) -> str:
    if bound < _SMALL_PCT:
        return f"{bound:.1g}"
    return f"{bound:.1f}" if bound < _LARGE_PCT else f"{bound:.0f}"
