"""Sites and chargers from CSV, as a spreadsheet writes it: a header line, commas, UTF-8.

Several labels or windows in one cell are separated by `|`; a window is `start_minute+length_minutes` of a UTC week.

Rules:
1. An unknown or missing column is told by its name, a bad cell by its line; nothing is guessed.
2. At most `MAX_ROWS` lines are read.
"""

import csv
import io
from collections.abc import Callable, Mapping
from typing import TypeVar

from fastapi import Request

from otacore.errors import Refused
from rollout.domain.fleet import DEFAULT_PLACE_SHARE_PCT, Site, Window
from rollout.domain.registration import MAX_ROWS, ChargerRow

T = TypeVar("T")
MAX_CELL_CHARACTERS = 2000
_SITE_COLUMNS = (("site_id", "site_class"), ("place_share_pct", "labels", "consent"))
_CHARGER_COLUMNS = (("device_id", "site_id", "product", "hardware", "rating_w"), ("labels",))


def is_csv(request: Request) -> bool:
    """Whether the body is said to be CSV."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/csv"


def sites_of(body: bytes) -> tuple[Site, ...]:
    """Raises: Refused("csv.malformed")."""
    return _read(body, *_SITE_COLUMNS, make=_site)


def chargers_of(body: bytes) -> tuple[ChargerRow, ...]:
    """Raises: Refused("csv.malformed")."""
    return _read(body, *_CHARGER_COLUMNS, make=_charger)


def _site(row: Mapping[str, str]) -> Site:
    share = row.get("place_share_pct") or str(DEFAULT_PLACE_SHARE_PCT)
    return Site(
        site_id=row["site_id"],
        site_class=row["site_class"],
        place_share_pct=_whole(share),
        consent=tuple(_window(text) for text in _several(row.get("consent"))),
        labels=_several(row.get("labels")),
    )


def _charger(row: Mapping[str, str]) -> ChargerRow:
    return ChargerRow(
        device_id=row["device_id"],
        site_id=row["site_id"],
        product=row["product"],
        hardware=row["hardware"],
        rating_w=_whole(row["rating_w"]),
        labels=_several(row.get("labels")),
    )


def _read(
    body: bytes, needed: tuple[str, ...], optional: tuple[str, ...], *, make: Callable[[Mapping[str, str]], T]
) -> tuple[T, ...]:
    try:
        lines = csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        columns = tuple(name.strip() for name in lines.fieldnames or ())
        _require_columns(columns, needed, optional)
        lines.fieldnames = columns
        made: list[T] = []
        for line in lines:
            made.append(_made(line, make, number=lines.line_num))
            if len(made) > MAX_ROWS:
                raise Refused("csv.too_long", f"send at most {MAX_ROWS} lines at once")
    except (csv.Error, UnicodeDecodeError) as error:
        raise Refused("csv.malformed", f"this is no CSV in UTF-8: {error}") from error
    return tuple(made)


def _require_columns(columns: tuple[str, ...], needed: tuple[str, ...], optional: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in columns]
    unknown = [name for name in columns if name not in (*needed, *optional)]
    if missing or unknown or len(set(columns)) != len(columns):
        wanted = ", ".join(needed) + (f", and as wanted {', '.join(optional)}" if optional else "")
        raise Refused("csv.malformed", f"the first line names the columns, each once: {wanted}")


def _made(line: Mapping[str | None, object], make: Callable[[Mapping[str, str]], T], *, number: int) -> T:
    cells = {name: value.strip() for name, value in line.items() if name is not None and isinstance(value, str)}
    if len(cells) != len(line) or any(len(value) > MAX_CELL_CHARACTERS for value in cells.values()):
        raise Refused("csv.malformed", f"line {number}: give as many cells as columns, none of them too long")
    try:
        return make(cells)
    except ValueError as error:
        raise Refused("csv.malformed", f"line {number}: {error}") from error


def _several(cell: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (cell or "").split("|") if part.strip())


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def _window(text: str) -> Window:
    start, _, length = text.partition("+")
    return Window(_whole(start), _whole(length))
