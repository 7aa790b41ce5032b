"""The database of a command: the one that an operator brought along, once it is there, or one of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from personakit.config import Settings
from personakit.embedded import EmbeddedPostgres
from personakit_sdk.errors import PersonaKitError

FIRST_TENANT = "default"
"""The tenant that `personakit up` makes, and that commands mean unless told."""
DATABASE_SECONDS = 30.0
CONNECT_SECONDS = 5
WATCH_SECONDS = 1.0
logger = logging.getLogger(__name__)


class DatabaseUnreachable(PersonaKitError):
    """A database of the settings does not take connections, or went away."""


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The database to use, with its owner's login: the one in the settings, else an embedded one in the data
    directory."""
    url = settings.database_owner_url or settings.database_url
    if url is not None:
        await_database(url)
        yield url
        return
    with EmbeddedPostgres(settings.data_dir, bin_dir=settings.pg_bin) as postgres, _watched(postgres):
        yield postgres.conninfo


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


@contextmanager
def _watched(postgres: EmbeddedPostgres) -> Iterator[None]:
    """Starts PostgreSQL again when it dies; writes that wait for it meanwhile are kept waiting."""
    ending = threading.Event()

    def watch() -> None:
        while not ending.wait(WATCH_SECONDS):
            try:
                postgres.start()
            except (PersonaKitError, psycopg.Error) as error:
                logger.warning("PostgreSQL does not come back yet: %s", error)

    watcher = threading.Thread(target=watch, name="postgres-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ending.set()
        watcher.join()
