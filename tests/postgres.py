"""A real PostgreSQL for tests: one cluster a session, and databases copied from a template."""

from __future__ import annotations

import base64
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from personakit.embedded import EmbeddedPostgres

_numbers = itertools.count(1)
MASTER_KEY = bytes(range(32))
MASTER_KEY_TEXT = base64.b64encode(MASTER_KEY).decode()


def bin_dir() -> Path | None:
    """The PostgreSQL to test with: `PERSONAKIT_PG_BIN` chooses another version than the wheel's."""
    chosen = os.environ.get("PERSONAKIT_PG_BIN")
    return Path(chosen) if chosen else None


@contextmanager
def data_dir() -> Iterator[Path]:
    """An empty directory that every user may pass through, removed afterwards.

    pytest's `tmp_path` will not do: as root it lies below a 0700 directory, closed to PostgreSQL's user.
    """
    directory = Path(tempfile.mkdtemp(prefix="personakit-test-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def cluster() -> Iterator[EmbeddedPostgres]:
    """A running cluster that forgets on a crash of the machine: quicker, and for tests only."""
    with data_dir() as directory, EmbeddedPostgres(directory, bin_dir=bin_dir(), durable=False) as postgres:
        yield postgres


def create_database(postgres: EmbeddedPostgres, template: str | None = None) -> str:
    """Make a database in `postgres` and return its conninfo; nobody else may be connected to `template`.

    `template` names the database to copy, None copies PostgreSQL's empty one. The database goes with the
    cluster, so nothing has to drop it.
    """
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template or "template1")
            )
        )
    return make_conninfo(postgres.conninfo, dbname=name)


def url_of(conninfo: str) -> str:
    """The conninfo as PERSONAKIT_DATABASE_URL takes it."""
    parts = {name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value is not None}
    return f"postgresql:///{parts.pop('dbname')}?{urlencode(parts)}"
