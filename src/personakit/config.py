"""Settings, read once from the environment by an entry point and passed down from there."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from personakit_sdk.errors import PersonaKitError

DEFAULT_PORT = 8042
DEFAULT_MODEL = "claude-haiku-5-5"
DEFAULT_AUDIT_DAYS = 400
MOST_AUDIT_DAYS = 36_500
_HOST = re.compile(r"[a-z0-9.-]+(:\d+)?|\[[0-9a-f:]+\](:\d+)?")
_ORIGIN = re.compile(rf"https?://({_HOST.pattern})")


class SettingInvalid(PersonaKitError):
    """A `PERSONAKIT_*` variable has a value that cannot be used."""


class Prices(msgspec.Struct, frozen=True):
    """USD for a million tokens: read as input, written as output, read from the provider's prompt cache,
    written to it."""

    input: float
    output: float
    cache_read: float
    cache_write: float


KNOWN_PRICES: Mapping[str, Prices] = {
    "claude-haiku-5-5": Prices(0.10, 0.50, 0.01, 0.125),
    "claude-sonnet-5-5": Prices(2.00, 10.00, 0.20, 2.50),
    "claude-haiku-4-5": Prices(1.00, 5.00, 0.10, 1.25),
}
"""List prices of November 2026, from the provider's pages about its models; haiku-5-5 costs five times as
much for a prompt over 100,000 tokens, which none of ours is (`call_tokens`)."""
_POSTGRESQL = ("postgresql://", "postgres://")
MOST_CALL_TOKENS = 90_000
LONGEST_WAIT = 5.0
"""Seconds between two attempts at a question. A provider that asks to be left alone for longer is: what waits
for the answer is left for later."""


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is asked, and what it may cost. Times are in seconds.

    One call takes `timeout` at most, from connecting to the end of its answer; a question is asked `attempts`
    times at most, with waits of LONGEST_WAIT at most between.

    A person's free text is read once there are `batch_tokens` of it that were not read, or some of it has
    waited for `batch_seconds`; at most `call_tokens` in one call, and `calls` calls of one process at once.
    """

    api_key: str
    prices: Prices
    name: str = DEFAULT_MODEL
    base_url: str | None = None
    budget_usd: float = 1.0
    timeout: float = 60.0
    attempts: int = 3
    retry_seconds: float = 1.0
    pause_seconds: float = 60.0
    batch_tokens: int = 1_000
    batch_seconds: float = 900.0
    call_tokens: int = 20_000
    calls: int = 2

    @property
    def ask_seconds(self) -> float:
        """The most that a question takes, with all attempts and the waits between them."""
        return self.attempts * self.timeout + (self.attempts - 1) * LONGEST_WAIT


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the API faces the web. Rates are a second, of a key that has none of its own; without `hosts` any
    name will do; `behind_tls` says that it is reached by TLS alone."""

    requests_rate: float = 10_000.0
    items_rate: float = 200_000.0
    cors_origins: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    behind_tls: bool = False


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may decide. `database_url` None means the embedded PostgreSQL below `data_dir`; the
    other two are the logins of the database's owner and reader, where they are not the same."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    service_url: str | None = None
    api_key: str | None = None
    database_url: str | None = None
    database_owner_url: str | None = None
    database_reader_url: str | None = None
    redis_url: str | None = None
    pg_bin: Path | None = None
    master_key: str | None = None
    erasure_journal: Path | None = None
    model: ModelSettings | None = None
    audit_days: int = DEFAULT_AUDIT_DAYS
    web: WebSettings = WebSettings()
    allow_remote: bool = False

    @property
    def url(self) -> str:
        """Where a client finds the service."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.service_url or f"http://{host}:{self.port}"

    @property
    def key_file(self) -> Path:
        """Where `personakit up` keeps the first API key."""
        return self.data_dir / "api-key"

    @property
    def journal(self) -> Path | None:
        """The file that erasures are written down in; with a database of one's own it has to be named."""
        if self.erasure_journal is None and self.database_url is None:
            return self.data_dir / "erasures.jsonl"
        return self.erasure_journal


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The settings that `environ` asks for. Raises SettingInvalid with the variable and what it takes."""
    _require_database(environ)
    return Settings(
        data_dir=_data_dir(environ),
        host=environ.get("PERSONAKIT_HOST") or "127.0.0.1",
        port=_port(environ.get("PERSONAKIT_PORT") or str(DEFAULT_PORT)),
        service_url=(environ.get("PERSONAKIT_URL") or "").rstrip("/") or None,
        api_key=environ.get("PERSONAKIT_API_KEY") or None,
        database_url=_url(environ, "PERSONAKIT_DATABASE_URL", _POSTGRESQL),
        database_owner_url=_url(environ, "PERSONAKIT_DATABASE_OWNER_URL", _POSTGRESQL),
        database_reader_url=_url(environ, "PERSONAKIT_DATABASE_READER_URL", _POSTGRESQL),
        redis_url=_url(environ, "PERSONAKIT_REDIS_URL", ("redis://", "rediss://", "unix://")),
        pg_bin=_path(environ, "PERSONAKIT_PG_BIN"),
        master_key=environ.get("PERSONAKIT_MASTER_KEY") or None,
        erasure_journal=_path(environ, "PERSONAKIT_ERASURE_JOURNAL"),
        model=_model(environ),
        audit_days=int(_number(environ, "PERSONAKIT_AUDIT_DAYS", DEFAULT_AUDIT_DAYS, 1, MOST_AUDIT_DAYS)),
        web=_web(environ),
        allow_remote=_yes(environ, "PERSONAKIT_ALLOW_REMOTE"),
    )


def _require_database(environ: Mapping[str, str]) -> None:
    """Raises SettingInvalid for a login of a database that is not named."""
    for name in ("PERSONAKIT_DATABASE_OWNER_URL", "PERSONAKIT_DATABASE_READER_URL"):
        if environ.get(name) and not environ.get("PERSONAKIT_DATABASE_URL"):
            raise SettingInvalid(
                f"Set PERSONAKIT_DATABASE_URL too: {name} is another login of that database."
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


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    """An absolute one, so that it stays the same file wherever the process comes to stand."""
    return Path(environ[name]).expanduser().absolute() if environ.get(name) else None


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
        return int(text)
    raise SettingInvalid(f"PERSONAKIT_PORT is {text!r}; it must be a port number from 1 to 65535.")


def _model(environ: Mapping[str, str]) -> ModelSettings | None:
    """None without a key: then nothing is asked of a model, and the package is not even imported."""
    key = environ.get("PERSONAKIT_ANTHROPIC_API_KEY") or environ.get("ANTHROPIC_API_KEY")
    if not key:
        return None
    name = environ.get("PERSONAKIT_MODEL") or DEFAULT_MODEL
    return ModelSettings(
        api_key=key,
        name=name,
        prices=_prices(environ, name),
        base_url=_url(environ, "PERSONAKIT_ANTHROPIC_BASE_URL", ("https://", "http://")),
        budget_usd=_number(environ, "PERSONAKIT_MODEL_BUDGET_USD", 1.0, 0, 1e6),
        timeout=_number(environ, "PERSONAKIT_MODEL_TIMEOUT", 60.0, 1, 600),
        batch_tokens=int(_number(environ, "PERSONAKIT_MODEL_BATCH_TOKENS", 1_000, 1, 1e6)),
        batch_seconds=60 * _number(environ, "PERSONAKIT_MODEL_BATCH_MINUTES", 15, 0, 100_000),
        call_tokens=int(_number(environ, "PERSONAKIT_MODEL_CALL_TOKENS", 20_000, 100, MOST_CALL_TOKENS)),
        calls=int(_number(environ, "PERSONAKIT_MODEL_CALLS", 2, 1, 64)),
    )


def _web(environ: Mapping[str, str]) -> WebSettings:
    usual = WebSettings()
    return WebSettings(
        requests_rate=_number(environ, "PERSONAKIT_RATE_REQUESTS", usual.requests_rate, 0.001, 1e6),
        items_rate=_number(environ, "PERSONAKIT_RATE_ITEMS", usual.items_rate, 0.001, 1e6),
        cors_origins=_words(
            environ, "PERSONAKIT_CORS_ORIGINS", _ORIGIN, "origins such as https://app.example.org, no others"
        ),
        hosts=_words(environ, "PERSONAKIT_ALLOWED_HOSTS", _HOST, "names of hosts such as api.example.org"),
        behind_tls=_yes(environ, "PERSONAKIT_BEHIND_TLS"),
    )


def _words(environ: Mapping[str, str], name: str, kind: re.Pattern[str], said: str) -> frozenset[str]:
    words = [word.strip().lower() for word in (environ.get(name) or "").split(",")]
    found = frozenset(word for word in words if word)
    wrong = sorted(word for word in found if not kind.fullmatch(word))
    if wrong:
        raise SettingInvalid(f"{name} has {wrong[0]!r}; it must be {said}, with commas between.")
    return found


def _yes(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name) or "0"
    if text in {"0", "1"}:
        return text == "1"
    raise SettingInvalid(f"{name} is {text!r}; it must be 1, for yes, or 0.")


def _prices(environ: Mapping[str, str], model: str) -> Prices:
    asked = environ.get("PERSONAKIT_MODEL_PRICES")
    if not asked:
        if model in KNOWN_PRICES:
            return KNOWN_PRICES[model]
        raise SettingInvalid(
            f"What {model!r} costs is not known here: set PERSONAKIT_MODEL_PRICES to its USD per million "
            "tokens, input/output/cache read/cache write, for example 2/10/0.2/2.5. The budget needs it."
        )
    try:
        return Prices(*(_between(part, 0, 1e6) for part in asked.split("/")))
    except (TypeError, ValueError):
        raise SettingInvalid(
            f"PERSONAKIT_MODEL_PRICES is {asked!r}; it must be four numbers, for example 2/10/0.2/2.5: "
            "USD per million tokens of input, output, cache read and cache write."
        ) from None


def _number(environ: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = environ.get(name)
    if not text:
        return default
    try:
        return _between(text, least, most)
    except ValueError:
        raise SettingInvalid(f"{name} is {text!r}; it must be a number from {least:g} to {most:g}.") from None


def _between(text: str, least: float, most: float) -> float:
    """The number in the text. Raises ValueError for one that is out of the range, or is none."""
    value = float(text)
    if not least <= value <= most:  # NaN is not, either
        raise ValueError(text)
    return value


def _url(environ: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str | None:
    value = environ.get(name)
    if not value:
        return None
    if not value.startswith(schemes):
        raise SettingInvalid(f"{name} must begin with {' or '.join(schemes)}.")
    return value
