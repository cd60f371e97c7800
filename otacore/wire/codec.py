"""Bytes to wire dataclass and back: the charger's small strict parser, and the one writer.

`decode` refuses unknown and missing keys, wrong types (a bool is no integer, an integer no bool), doubled keys, floats,
oversized input and every bound that the dataclass itself checks. It raises `Refused` and never any other error. The
server reads the same dataclasses with pydantic; a differential test holds the two together.
"""

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from otacore.errors import Refused

T = TypeVar("T")

MAX_WIRE_BYTES = 256 * 1024
"""No message of ours is larger; a campaign manifest naming 1,000 chargers is about 20 kB."""

_PLAIN = frozenset({str, int, bool, type(None)})


def encode(value: object) -> bytes:
    """Canonical bytes of a wire dataclass: sorted keys, no spaces, UTF-8. Equal values give equal bytes."""
    plain = to_plain(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def to_plain(value: Any) -> Any:
    """Wire dataclass as JSON-ready values (tuples become lists, enums their words)."""
    kind: type = type(value)
    if kind in _PLAIN:
        return value
    names = _field_names(kind)
    if names is not None:
        return {name: to_plain(getattr(value, name)) for name in names}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    return value


def decode(cls: type[T], data: bytes, *, limit_bytes: int = MAX_WIRE_BYTES) -> T:
    """Parse `data` as `cls`. Raises: Refused("wire.malformed")."""
    if len(data) > limit_bytes:
        raise Refused("wire.malformed", f"message of {len(data)} bytes; at most {limit_bytes} are read")
    try:
        plain = json.loads(
            data.decode("utf-8"), object_pairs_hook=_no_doubles, parse_float=_no_float, parse_constant=_no_float
        )
        return from_plain(cls, plain)
    except (ValueError, TypeError, RecursionError) as error:
        raise Refused("wire.malformed", f"not a valid {cls.__name__}: {error}") from error


def from_plain(cls: type[T], plain: object) -> T:
    """Build `cls` from JSON values, strictly. Raises: ValueError or TypeError."""
    made: T = _convert(cls, plain, cls.__name__)
    return made


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def _no_float(text: str) -> object:
    raise ValueError(f"{text} is not an integer; floats are not part of any message")


@lru_cache(maxsize=256)
def _field_names(cls: type) -> tuple[str, ...] | None:
    """Names of a dataclass's fields; None for every other class."""
    return tuple(field.name for field in fields(cls)) if is_dataclass(cls) else None


@lru_cache(maxsize=256)
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin is Union or origin is types.UnionType:
        return _convert_union(kind, value, where)
    if origin is tuple:
        return _convert_tuple(kind, value, where)
    kind = getattr(kind, "__supertype__", kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _convert_dataclass(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        if not isinstance(value, str):
            raise TypeError(f"{where} must be text")
        return kind(value)
    if kind in (str, int, bool):
        if type(value) is not kind:
            raise TypeError(f"{where} must be of type {kind.__name__}")
        return value
    raise TypeError(f"{where} has a type that messages do not carry")


def _convert_union(kind: Any, value: Any, where: str) -> Any:
    options = [option for option in get_args(kind) if option is not type(None)]
    if value is None and len(options) < len(get_args(kind)):
        return None
    if len(options) != 1:
        raise TypeError(f"{where} has a type that messages do not carry")
    return _convert(options[0], value, where)


def _convert_tuple(kind: Any, value: Any, where: str) -> Any:
    item, *rest = get_args(kind)
    if rest != [Ellipsis] or not isinstance(value, list):
        raise TypeError(f"{where} must be a list")
    return tuple(_convert(item, entry, f"{where}[{index}]") for index, entry in enumerate(value))


def _convert_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{where} must be an object")
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise ValueError(f"{where} has unknown key {unknown[0]!r}")
    for name, field in known.items():
        if name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{where} lacks key {name!r}")
    hints = _hints(kind)
    return kind(**{name: _convert(hints[name], entry, f"{where}.{name}") for name, entry in value.items()})
