"""The database that an operator brought along: is it there yet?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from personakit.config import Settings
from personakit_sdk.errors import PersonaKitError

DATABASE_SECONDS = 30.0
CONNECT_SECONDS = 5


class DatabaseUnreachable(PersonaKitError):
    """A database of the settings does not take connections, or went away."""


def await_logins(settings: Settings, database_url: str) -> None:
    """Returns when the database takes connections of each of the logins that the settings have for it. Raises
    DatabaseUnreachable."""
    for url in (database_url, settings.database_owner_url, settings.database_reader_url):
        if url is not None:
            await_database(url)


def await_database(conninfo: str, seconds: float = DATABASE_SECONDS) -> None:
    """Returns when the database takes connections: it may be starting beside us. Raises
    DatabaseUnreachable when it does not in time."""
    deadline = time.monotonic() + seconds
    while (reason := _refusal(conninfo)) is not None:
        if time.monotonic() > deadline:
            raise DatabaseUnreachable(f"The database of PERSONAKIT_DATABASE_URL cannot be reached: {reason}")
        time.sleep(0.25)


@contextmanager
def while_connected(otherwise: str) -> Iterator[None]:
    """Raises DatabaseUnreachable where the database goes away, with what to do then."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise DatabaseUnreachable(f"The database went away: {str(error).strip()}. {otherwise}") from error


def _refusal(conninfo: str) -> str | None:
    try:
        psycopg.connect(conninfo, connect_timeout=CONNECT_SECONDS).close()
    except psycopg.OperationalError as error:
        return str(error).strip()
    return None
