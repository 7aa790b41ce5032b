"""Order: who has seen a position has seen all below it. Two real transactions, the first one stalled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import DictRow, dict_row

from personakit import shipped
from personakit.domain.events import ObservationRecorded
from personakit.embedded import EmbeddedPostgres
from personakit.eventlog import codec
from personakit.eventlog.access import create_tenant
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.person_keys import Person, PersonKeys
from personakit.eventlog.recorder import LogRecorder, open_datastore
from personakit.eventlog.stored import Row, StreamId
from personakit.projections.builds import Pool, open_pool
from personakit.projections.follow import Followers, install
from personakit.projections.read import Reader
from personakit.projections.sql import load_projection
from tests.people import somebody
from tests.postgres import MASTER_KEY, create_database

TENANT = "default"
OBSERVATIONS = load_projection(shipped.projections_dir() / "observations.sql")
LOCK = "    PERFORM pg_advisory_xact_lock(7165064741);\n"
HEAD = "    head := coalesce(head, 0);\n"


class Log(NamedTuple):
    """A log of its own, and somebody to write about."""

    conninfo: str
    recorder: LogRecorder
    keys: PersonKeys
    pool: Pool
    ada: Person

    @contextmanager
    def transaction(self) -> Iterator[Connection[DictRow]]:
        with psycopg.connect(self.conninfo, row_factory=dict_row) as connection:
            yield connection

    def row(self) -> Row:
        """An observation, as the appender would write it."""
        stream = StreamId(TENANT, "observation", uuid4())
        event = ObservationRecorded(
            type="note", content={}, occurred_at=datetime(2026, 3, 2, tzinfo=UTC), digest="d"
        )
        topic = codec.topic(type(event))
        state = codec.seal(codec.encode(event), self.ada.key, stream, 1, topic)
        return Row(stream, 1, topic, state, self.ada.surrogate, once=True)

    def append(self, row: Row) -> int:
        """Appends in a transaction of its own; the position."""
        with self.recorder.datastore.get_connection() as connection:
            return self.recorder.append(connection, [row], uuid4())[0].position

    def positions(self) -> dict[UUID, int]:
        """Where each observation stands."""
        rows = self.recorder.select_notifications(None, 1000)
        return {StreamId.parse(str(row.originator_id)).stream: row.id for row in rows}


@pytest.fixture
def log(postgres: EmbeddedPostgres) -> Iterator[Log]:
    conninfo = create_database(postgres)
    recorder = LogRecorder(open_datastore(conninfo))
    recorder.create_table()
    create_tenant(recorder, TENANT, "Default")
    keys = PersonKeys(recorder.datastore.get_connection, MASTER_KEY)
    with open_pool(conninfo, 2) as pool:
        install(pool, [OBSERVATIONS], keys)
        yield Log(conninfo, recorder, keys, pool, somebody(recorder, keys, TENANT))
    recorder.datastore.close()


class Watchers:
    """Two who read the log on and on, each from where it came to: a reader, and a follower."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._followers = Followers(log.pool, [OBSERVATIONS], log.keys)
        self._after = 0
        self._ending = threading.Event()
        self._looks = 0
        self._looked = threading.Condition()
        self.read: list[UUID] = []
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def look(self) -> None:
        """Returns when both have looked, from begin to end."""
        with self._looked:
            wanted = self._looks + 2
            assert self._looked.wait_for(lambda: self._looks >= wanted, timeout=10)

    def end(self) -> None:
        """They look once more, and end."""
        self._ending.set()
        self._thread.join()

    def followed(self) -> list[UUID]:
        """What the follower has put into its table, in the order of the log."""
        values = {"tenant": TENANT, "person": self._log.ada.surrogate}
        with Reader(
            self._log.pool, {"observations": OBSERVATIONS}, reading=self._log.pool
        ).snapshot_of_all() as snapshot:
            rows = snapshot.rows("observations.by_person", **values, after=0, through=2**62, limit=1000)
        return [row["id"] for row in rows]

    def _watch(self) -> None:
        last = False
        while not last:
            last = self._ending.is_set()
            found: Any = self._log.recorder.select_notifications(self._after, 100, inclusive_of_start=False)
            self.read += [row.stream_id.stream for row in found]
            self._after = max([self._after, *(row.id for row in found)])
            self._followers.catch_up()
            with self._looked:
                self._looks += 1
                self._looked.notify_all()


class Race(NamedTuple):
    """A and B, B's position once it was there, whether B waited for A, and what was seen in the end."""

    a: UUID
    b: UUID
    position_of_b: int
    waited: bool
    seen_while_a_stalled: list[UUID]
    read: list[UUID]
    followed: list[UUID]


def race(log: Log, *, commit: bool) -> Race:
    """A takes its position and stalls; B comes behind it; then A commits, or not."""
    a, b = log.row(), log.row()
    watchers = Watchers(log)
    with ThreadPoolExecutor(1) as threads:
        with log.transaction() as connection:
            log.recorder.append(connection, [a], uuid4())
            of_b = threads.submit(log.append, b)
            waited = comes_to_wait(log, of_b)
            watchers.look()
            stalled = [*watchers.read, *watchers.followed()]
            if not commit:
                connection.rollback()
        position = of_b.result(10)
    watchers.end()
    streams = (a.stream_id.stream, b.stream_id.stream)
    return Race(*streams, position, waited, stalled, watchers.read, watchers.followed())


def comes_to_wait(log: Log, appending: Future[int]) -> bool:
    """Whether an append comes to wait for a lock that another transaction holds, rather than to its end."""
    query = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(log.conninfo, autocommit=True) as connection:
        for _ in range(1000):
            if appending.done():
                return False
            if connection.execute(query).fetchone():
                return True
            threading.Event().wait(0.01)
    raise AssertionError("B neither waits nor ends")


def test_no_reader_passes_a_transaction_that_took_its_position_and_stalled(log: Log) -> None:
    found = race(log, commit=True)
    assert found.waited
    assert found.seen_while_a_stalled == []
    assert log.positions() == {found.a: 1, found.b: 2}
    assert found.read == found.followed == [found.a, found.b]


def test_one_that_takes_its_position_back_leaves_nothing_that_a_reader_waits_for(log: Log) -> None:
    found = race(log, commit=False)
    assert found.waited
    assert found.seen_while_a_stalled == []
    assert log.positions() == {found.b: 1}
    assert found.read == found.followed == [found.b]
    assert log.append(log.row()) == 2


def test_without_the_lock_readers_pass_over_the_one_that_stalled(log: Log) -> None:
    """Shows that the tests above can fail: positions from a sequence, as they often are, and no lock."""
    create = SQL["create"]
    assert create.count(LOCK) == create.count(HEAD) == 1
    unlocked = create.replace(LOCK, "").replace(HEAD, "    head := nextval('personakit.positions') - 1;\n")
    with log.transaction() as connection:
        connection.execute("CREATE SEQUENCE personakit.positions")
        connection.execute(unlocked)  # type: ignore[arg-type]  # the project's own text, changed

    found = race(log, commit=True)

    assert not found.waited
    assert log.positions() == {found.a: 1, found.b: 2}
    assert found.read == found.followed == [found.b]


def test_the_log_is_appended_to_in_read_committed_transactions_only(log: Log) -> None:
    """With an older snapshot the lock would not help: the writer before would not be seen."""
    with log.transaction() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with pytest.raises(psycopg.errors.RaiseException, match="read committed only"):
            log.recorder.append(connection, [log.row()], uuid4())
    assert log.positions() == {}
