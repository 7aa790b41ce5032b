"""kill -9 of a rebuild in the middle: run again it goes on where it stopped; readers see nothing of it."""

from __future__ import annotations

import base64
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from psycopg import sql

from personakit import shipped
from personakit.domain.events import ObservationRecorded
from personakit.eventlog.access import create_tenant
from personakit.eventlog.appender import Appender, NewEvent
from personakit.eventlog.people import People
from personakit.eventlog.person_keys import PersonKeys
from personakit.eventlog.recorder import LogRecorder, open_datastore
from personakit.eventlog.stored import StreamId
from personakit.projections import builds
from personakit.projections.builds import Pool, open_pool
from personakit.projections.follow import install
from personakit.projections.read import Reader, Snapshot
from personakit.projections.rebuild import Rebuilt
from personakit.projections.sql import load_projection
from personakit.projections.verify import verify
from tests.postgres import MASTER_KEY, data_dir, url_of
from tests.processes import Installation
from tests.watching import Watch

TENANT = "default"
EVENTS, GROUP = 40_000, 500
OBSERVATIONS = load_projection(shipped.projections_dir() / "observations.sql")
START = datetime(2026, 3, 2, tzinfo=UTC)
COMMAND = ("projections", "rebuild", "observations")


@pytest.fixture(scope="module")
def recorder(database: str) -> Iterator[LogRecorder]:
    recorder = LogRecorder(open_datastore(database))
    recorder.create_table()
    create_tenant(recorder, TENANT, "Default")
    yield recorder
    recorder.datastore.close()


@pytest.fixture(scope="module")
def keys(recorder: LogRecorder) -> PersonKeys:
    return PersonKeys(recorder.datastore.get_connection, MASTER_KEY)


@pytest.fixture(scope="module")
def ada(recorder: LogRecorder, keys: PersonKeys) -> UUID:
    """Somebody with a long history."""
    with closing(Appender(recorder)) as appender:
        person = People(recorder, appender, keys).register(TENANT, ["ada"])["ada"]

        def observed(n: int) -> NewEvent:
            at = START + timedelta(minutes=n)
            event = ObservationRecorded(type="note", content={"n": n}, occurred_at=at, digest="d")
            return NewEvent(StreamId(TENANT, "observation", uuid4()), 1, event, person)

        groups = range(0, EVENTS, GROUP)
        handed_in = [appender.append([observed(first + n) for n in range(GROUP)]) for first in groups]
        for future in handed_in:
            future.result(60)
    return person.surrogate


@pytest.fixture
def pool(database: str, keys: PersonKeys, ada: UUID) -> Iterator[Pool]:
    """Over a database where observations are read."""
    with open_pool(database, 2) as pool:
        install(pool, [OBSERVATIONS], keys)
        yield pool


@pytest.fixture
def installed(database: str) -> Iterator[Installation]:
    with data_dir() as folder:
        key = base64.b64encode(MASTER_KEY).decode()
        yield Installation(folder, PERSONAKIT_DATABASE_URL=url_of(database), PERSONAKIT_MASTER_KEY=key)


def mark_old(pool: Pool) -> str:
    """What is read now is marked, so that it can be told from what the log makes; its schema."""
    with pool.connection() as connection:
        schema = builds.active(connection, OBSERVATIONS)
        assert schema is not None
        query = sql.SQL("UPDATE {} SET source = 'old'").format(sql.Identifier(schema, "observations"))
        assert connection.execute(query).rowcount == EVENTS
    return schema


def test_a_rebuild_that_is_killed_goes_on_where_it_stopped(
    pool: Pool, keys: PersonKeys, ada: UUID, installed: Installation, database: str
) -> None:
    old = mark_old(pool)

    def newest(snapshot: Snapshot) -> Any:
        values = {"tenant": TENANT, "person": ada, "after": EVENTS // 2, "through": 2**62, "limit": 1}
        row = snapshot.row("observations.by_person", **values)
        return row and row["source"]

    with Watch(Reader(pool, {"observations": OBSERVATIONS}, reading=pool), newest) as watch:
        reached = [0]
        for _ in range(2):
            reached.append(kill_when_further_than(reached[-1], installed, database))
        assert schema_that_is_read(pool) == old
        assert set(watch.seen) == {"old"}
        done = rebuild_to_the_end(installed)

    assert 0 < reached[1] < reached[2] <= done.resumed_at < done.position == EVENTS + 1
    assert done.events == done.position - done.resumed_at
    assert watch.phases == ["old", None]
    assert set(watch.positions) == {done.position}
    found = verify(pool, OBSERVATIONS, keys)
    assert (found.clean, found.rows) == (True, EVENTS)
    assert schema_that_is_read(pool) == done.schema != old


def schema_that_is_read(pool: Pool) -> str | None:
    with pool.connection() as connection:
        return builds.active(connection, OBSERVATIONS)


def kill_when_further_than(before: int, installed: Installation, database: str) -> int:
    """Rebuilds, and SIGKILL in the middle; the position that the new tables had then."""
    query = """SELECT b.position FROM personakit.builds AS b
               WHERE NOT EXISTS (SELECT FROM personakit.active AS a WHERE a.schema = b.schema)"""
    deadline = time.monotonic() + 60
    rebuilding = installed.begin(*COMMAND)
    with psycopg.connect(database, autocommit=True) as connection:
        while time.monotonic() < deadline and rebuilding.poll() != 0:
            if rebuilding.poll() is not None:  # PostgreSQL has not seen yet that the one before is gone
                rebuilding = installed.begin(*COMMAND)
            row = connection.execute(query).fetchone()
            if row and row[0] > before:
                rebuilding.send_signal(signal.SIGKILL)
                assert rebuilding.wait() == -signal.SIGKILL
                return int(row[0])
            time.sleep(0.002)
    raise AssertionError("the rebuild came to no middle")


def rebuild_to_the_end(installed: Installation) -> Rebuilt:
    """Runs it again; a moment may pass until PostgreSQL has seen that the one before is gone."""
    deadline = time.monotonic() + 20
    while True:
        done = installed.run(*COMMAND, "--json")
        if done.returncode == 0:
            (rebuilt,) = msgspec.json.decode(done.stdout, type=list[Rebuilt])
            return rebuilt
        assert "Another process is rebuilding" in done.stderr, done.stderr
        assert time.monotonic() < deadline, done.stderr
