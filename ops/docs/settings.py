"""Tables of settings: one row per field of a room's settings class, with the field's own docstring."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from itertools import pairwise
from textwrap import dedent

from device_client.settings import Settings as DeviceSettings
from rollout.settings import PREFIX, Broker, Database
from rollout.settings import Settings as RolloutSettings

_HEAD = "| name | default | meaning |\n|---|---|---|"
_ROOMS = (
    "# Settings",
    "",
    "Unknown names are refused; keys are URIs or paths, never contents.",
    "",
    "## Server: environment variables (`rollout.settings`)",
    "",
    _HEAD,
)
_CHARGER = ("", "## Charger: a TOML file (`device_client.settings`)", "", _HEAD)


def settings_page() -> str:
    return "\n".join([*_ROOMS, *_server_rows(), *_CHARGER, *_charger_rows()])


def _server_rows() -> Iterator[str]:
    said = {name: text for room in (Database, RolloutSettings, Broker) for name, text in _docstrings(room)}
    for name, info in {**RolloutSettings.model_fields, **Broker.model_fields}.items():
        default = "required" if info.is_required() else _shown(info.get_default())
        yield _row(f"{PREFIX}{name}".upper(), default, said.get(name, ""))


def _charger_rows() -> Iterator[str]:
    said = dict(_docstrings(DeviceSettings))
    for field in fields(DeviceSettings):
        yield _row(field.name, _default_of(field), said.get(field.name, ""))


def _default_of(field: Field[object]) -> str:
    if field.default is not MISSING:
        return _shown(field.default)
    return "required" if field.default_factory is MISSING else ""


def _shown(default: object) -> str:
    reveal = getattr(default, "get_secret_value", None)
    text = str(reveal() if reveal is not None else default)
    return f"`{text}`" if text not in {"", "None"} else ""


def _row(name: str, default: str, said: str) -> str:
    return f"| `{name}` | {default} | {' '.join(said.split())} |"


def _docstrings(settings: type) -> Iterator[tuple[str, str]]:
    """A field's docstring is the string that follows it."""
    (body,) = ast.parse(dedent(inspect.getsource(settings))).body
    for field, after in pairwise(getattr(body, "body", [])):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, text
