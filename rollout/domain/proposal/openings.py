"""How many chargers are open after each wave, when nobody asks for anything else.

Rules (source: docs/adr/0007, and `judge.md` section 10 of the design):
1. The first wave takes a twentieth of the fleet, 50 at most, one per site, on two sites at least where there are two.
2. Down from the whole fleet by fifths; no wave opens fewer than two and a half times the first.
3. A wave that is a little too small for a claim is made large enough for one where the sites allow it.
4. Lab, 1 to 20 chargers: one, then a fifth, then the rest.
"""

MOST_FIRST = 50
FIRST_PART = 20
MOST_LAB = 20
STEP = 5
_ALMOST = 24
_CLAIM = 37
_FIRSTS_PER_WAVE_TIMES_2 = 5


def openings(chargers: int, sites: int, *, lab: bool, most_first: int = MOST_FIRST) -> tuple[int, ...]:
    """Opened in all after each wave, the last one everybody. `most_first`: what the pace and the author allow."""
    if lab:
        return tuple(sorted({1, max(1, chargers // STEP), chargers}))
    first = max(min(2, sites, chargers), min(MOST_FIRST, chargers // FIRST_PART, sites))
    first = max(1, min(first, most_first))
    raised = _raised(first, chargers, sites) if first < most_first else first
    usual = max(raised, min(MOST_FIRST, chargers // FIRST_PART))  # what it would be with sites enough
    after = [chargers]
    while after[0] // STEP * 2 > _FIRSTS_PER_WAVE_TIMES_2 * usual:
        after.insert(0, after[0] // STEP)
    opened = [raised] if raised < after[0] else []
    for number, wanted in enumerate(after):
        is_last = number == len(after) - 1
        size = wanted - (opened[-1] if opened else 0)
        enough = wanted if is_last else wanted + _raised(size, chargers, sites) - size
        opened.append(min(enough, chargers))
    return tuple(opened)


def _raised(size: int, chargers: int, sites: int) -> int:
    return _CLAIM if _ALMOST <= size < _CLAIM <= min(chargers // 2, sites) else size
