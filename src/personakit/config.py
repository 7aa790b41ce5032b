"""Settings, read once from the environment by an entry point and passed down from there."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from personakit_sdk.errors import PersonaKitError

DEFAULT_PORT = 8042


class SettingInvalid(PersonaKitError):
    """A `PERSONAKIT_*` variable has a value that cannot be used."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may decide. `database_url` None means the embedded PostgreSQL below `data_dir`."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    service_url: str | None = None
    api_key: str | None = None
    database_url: str | None = None
    redis_url: str | None = None
    pg_bin: Path | None = None
    master_key: str | None = None

    @property
    def url(self) -> str:
        """Where a client finds the service."""
        return self.service_url or f"http://{self.host}:{self.port}"

    @property
    def key_file(self) -> Path:
        """Where `personakit up` keeps the first API key."""
        return self.data_dir / "api-key"


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The settings that `environ` asks for. Raises SettingInvalid with the variable and what it takes."""
    return Settings(
        data_dir=_data_dir(environ),
        host=environ.get("PERSONAKIT_HOST") or "127.0.0.1",
        port=_port(environ.get("PERSONAKIT_PORT") or str(DEFAULT_PORT)),
        service_url=(environ.get("PERSONAKIT_URL") or "").rstrip("/") or None,
        api_key=environ.get("PERSONAKIT_API_KEY") or None,
        database_url=_url(environ, "PERSONAKIT_DATABASE_URL", ("postgresql://", "postgres://")),
        redis_url=_url(environ, "PERSONAKIT_REDIS_URL", ("redis://", "rediss://", "unix://")),
        pg_bin=Path(environ["PERSONAKIT_PG_BIN"]) if environ.get("PERSONAKIT_PG_BIN") else None,
        master_key=environ.get("PERSONAKIT_MASTER_KEY") or None,
    )


def production(settings: Settings) -> tuple[str, str]:
    """The addresses of the database and of Redis. Raises SettingInvalid where one is not set: processes
    that share the work must share both."""
    addresses = {
        "PERSONAKIT_DATABASE_URL": settings.database_url,
        "PERSONAKIT_REDIS_URL": settings.redis_url,
    }
    missing = [name for name, value in addresses.items() if value is None]
    if settings.database_url is None or settings.redis_url is None:
        raise SettingInvalid(
            f"Set {' and '.join(missing)}: `personakit api` and `personakit worker` share a "
            "PostgreSQL and a Redis. `personakit up` runs all in one process and needs neither."
        )
    return settings.database_url, settings.redis_url


def _data_dir(environ: Mapping[str, str]) -> Path:
    """`PERSONAKIT_DATA_DIR`, else `.personakit` in the folder one stands in; where root stands in a
    folder that others may not enter (PostgreSQL never runs as root), a folder of /var/lib named after it."""
    asked = environ.get("PERSONAKIT_DATA_DIR")
    if asked:
        return Path(asked).expanduser().absolute()
    here = Path(".personakit").absolute()
    if os.geteuid() != 0 or all(folder.stat().st_mode & stat.S_IXOTH for folder in here.parents):
        return here
    return Path("/var/lib/personakit") / hashlib.sha256(bytes(here)).hexdigest()[:16]


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
        return int(text)
    raise SettingInvalid(f"PERSONAKIT_PORT is {text!r}; it must be a port number from 1 to 65535.")


def _url(environ: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str | None:
    value = environ.get(name)
    if not value:
        return None
    if not value.startswith(schemes):
        raise SettingInvalid(f"{name} must begin with {' or '.join(schemes)}.")
    return value
