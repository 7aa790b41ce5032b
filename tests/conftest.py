"""Fixtures that every test may use; the helpers behind them are in `tests/postgres.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from psycopg.conninfo import conninfo_to_dict

from personakit.embedded import EmbeddedPostgres
from tests.postgres import cluster, create_database

# No test asks a real model, whatever key the machine has: not in this process, nor in those it starts.
for key in ("PERSONAKIT_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"):
    os.environ.pop(key, None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The one PostgreSQL of this test session; stopped at its end, whatever happened."""
    with cluster() as running:
        yield running


@pytest.fixture(scope="session")
def template_database(postgres: EmbeddedPostgres) -> str:
    """The name of the database that every `database` is a copy of.

    What all tests need (the schema) is put into it here, once a session, over a connection that is closed
    before this returns: PostgreSQL copies only a database that nobody is connected to.
    """
    return str(conninfo_to_dict(create_database(postgres))["dbname"])


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, template_database: str) -> str:
    """The conninfo of a fresh database for one test module."""
    return create_database(postgres, template_database)
