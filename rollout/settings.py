"""Settings of the rollout room: frozen values, read from `TIDEGATE_ROLLOUT_*` and handed down.

Keys are URIs or paths, never contents; unknown names are refused; what is absent means the most cautious.
"""

import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from otacore.errors import Misuse

PREFIX = "TIDEGATE_ROLLOUT_"
_CONFIG = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True)


class Database(BaseSettings):
    """Where the rollouts are kept; servers and workers read it alike."""

    model_config = _CONFIG

    state_dir: Path
    """Local, durable: local stops, catalogue cache. One process at a time."""
    database_url: str = Field(default="", max_length=1000)
    """`sqlite:////path/rollout.db`; empty means `rollout.db` in the state directory."""
    database_busy_ms: int = Field(default=5_000, ge=1, le=60_000)
    """How long a call waits for another process that holds the database."""
    poll_after_s: int = Field(default=60, ge=1, le=86_400)
    """How often chargers ask; it also says after how long a silent one no longer counts as working."""

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{(self.state_dir / 'rollout.db').absolute()}"


class Broker(BaseSettings):
    """What beats and workers talk over."""

    model_config = _CONFIG

    broker_url: SecretStr
    """Celery broker, for worker and beat only, `redis://host:6379/0`; it never holds the only copy of anything."""


class Settings(Database):
    """Everything that a server of the rollout room needs to be told."""

    permit_key: str = Field(max_length=1000)
    """URI of the permit key: `file:/path/permit.pem`."""
    key_passphrase: SecretStr = SecretStr("")
    """Passphrase of key files; give it through the environment or `key_passphrase_file`."""
    key_passphrase_file: Path | None = None
    """File that holds the passphrase; it goes before `key_passphrase`."""
    metadata_url: str = Field(max_length=1000)
    """Where the repository's signed metadata is read, for example `http://127.0.0.1:8080/repository/metadata/`."""
    targets_url: str = Field(max_length=1000)
    """Where its target files are read, for example `http://127.0.0.1:8080/repository/targets/`."""
    factory_root: Path
    """The first root metadata, which chargers also carry."""
    permit_retry_s: int = Field(default=60, ge=1, le=86_400)
    """When a charger that got no permit may ask again."""
    catalogue_refresh_s: int = Field(default=30, ge=1, le=3600)
    """How often the repository is verified anew, when no publication hints at it before."""
    tick_s: float = Field(default=1.0, ge=0.05, le=3600)
    """How often rollouts are looked at in a process that ticks by itself."""
    body_bytes: int = Field(default=512 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Largest body of a call."""
    bulk_bytes: int = Field(default=16 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024)
    """Bodies of bulk registration."""
    body_s: float = Field(default=20, gt=0, le=600)
    """How long a body may take to arrive."""
    calls_at_once: int = Field(default=2000, ge=1, le=100_000)
    """Of chargers, and as many of people; more are told to come later."""

    def passphrase(self) -> str:
        """The passphrase of key files, from its file when one is named."""
        if self.key_passphrase_file is not None:
            return self.key_passphrase_file.read_text().rstrip("\n")
        return self.key_passphrase.get_secret_value()


Room = TypeVar("Room", bound=BaseSettings)


def read_settings(kind: type[Room], **given: Any) -> Room:
    """What is given here, and the rest from the environment.

    Raises: Misuse("settings.unknown" | "settings.wrong").
    """
    known = {f"{PREFIX}{name}".upper() for room in (Settings, Broker) for name in room.model_fields}
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    if unknown:
        raise Misuse("settings.unknown", f"there is no setting {unknown[0]}: correct it or take it away")
    try:
        return kind(**given)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        name = PREFIX + "_".join(str(part) for part in fault["loc"]).upper()
        raise Misuse("settings.wrong", f"{name}: {fault['msg']}") from error
