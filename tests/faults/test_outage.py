"""PostgreSQL away for a while: whoever holds a pool of connections is back soon after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from personakit.embedded import EmbeddedPostgres
from personakit.eventlog.recorder import open_datastore
from personakit.projections.builds import open_pool
from tests.postgres import bin_dir, data_dir

AWAY_SECONDS = 8.0
BACK_SECONDS = 4.0
Pool = ConnectionPool[Any]


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL to be stopped and started."""
    with data_dir() as folder, EmbeddedPostgres(folder, bin_dir=bin_dir(), durable=False) as running:
        yield running


def answers(pool: Pool, seconds: float = 0.1) -> bool:
    """Whether a connection is to be had within so many seconds, and good."""
    try:
        with pool.connection(timeout=seconds) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def seconds_until(true: Callable[[], bool], most: float) -> float:
    began = time.monotonic()
    while not true() and time.monotonic() < began + most:
        time.sleep(0.05)
    return time.monotonic() - began


def test_pools_are_back_soon_after_an_outage_however_long_it_was(server: EmbeddedPostgres) -> None:
    datastore, pool = open_datastore(server.conninfo), open_pool(server.conninfo, 4)
    datastore.pool.open()
    pools: tuple[Pool, ...] = (datastore.pool, pool)
    assert all(answers(each, 10.0) for each in pools)
    server.stop()
    away_until = time.monotonic() + AWAY_SECONDS
    while time.monotonic() < away_until:
        assert not any(answers(each) for each in pools)
    server.start()
    waited = seconds_until(lambda: all(answers(each) for each in pools), 30.0)
    datastore.close()
    pool.close()
    assert waited < BACK_SECONDS
