"""The log: order, identity, dedupe, optimistic locking, and an appender that survives its connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import DataError
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from personakit.domain.events import MindscapeUpdated, ObservationRecorded
from personakit.embedded import EmbeddedPostgres
from personakit.eventlog import codec
from personakit.eventlog.access import create_tenant
from personakit.eventlog.appender import Appender, LogClosed, NewEvent
from personakit.eventlog.people import People
from personakit.eventlog.recorder import LogRecorder, VersionConflict, open_datastore
from personakit.eventlog.stored import LogEvent, StreamId
from tests.postgres import create_database

TENANT = "acme"


@pytest.fixture(scope="module")
def recorder(database: str) -> Iterator[LogRecorder]:
    recorder = LogRecorder(open_datastore(database))
    recorder.create_table()
    create_tenant(recorder, TENANT, "Acme")
    yield recorder
    recorder.datastore.close()


@pytest.fixture
def appender(recorder: LogRecorder) -> Iterator[Appender]:
    appender = Appender(recorder)
    yield appender
    appender.close()


def observed(stream: UUID | None = None, content: dict[str, object] | None = None) -> NewEvent:
    event = ObservationRecorded(
        type="note", content=content or {}, occurred_at=datetime(2026, 3, 2, tzinfo=UTC), digest="d"
    )
    return NewEvent(StreamId(TENANT, "observation", stream or uuid4()), 1, event, uuid4())


def updated(person: UUID, version: int) -> NewEvent:
    event = MindscapeUpdated(traits={}, derivation="computed", definition="x", read_through=0)
    return NewEvent(StreamId(TENANT, "mindscape", person), version, event, person)


def stored(new: NewEvent) -> LogEvent:
    state = codec.encode(new.event)
    return LogEvent(
        str(new.stream), new.version, codec.topic_of(new.event), state, new.stream, new.person, once=True
    )


def test_an_event_comes_back_as_it_was_written(recorder: LogRecorder, appender: Appender) -> None:
    new = observed(content={"minutes": 25.5, "words": ["ä", "日本"], "none": None})
    position = appender.append([new]).result()[0].position
    (found,) = recorder.select_notifications(position, 10)
    assert codec.decode(found.topic, found.state) == new.event
    assert (found.id, found.originator_version) == (position, 1)
    assert StreamId.parse(str(found.originator_id)) == new.stream


def test_creating_the_tables_twice_changes_nothing(recorder: LogRecorder, appender: Appender) -> None:
    position = appender.append([observed()]).result()[0].position
    recorder.create_table()
    assert recorder.max_notification_id() == position


def test_positions_rise_by_one_and_recording_times_strictly(
    recorder: LogRecorder, appender: Appender
) -> None:
    futures = [appender.append([observed() for _ in range(7)]) for _ in range(5)]
    positions = [item.position for future in futures for item in future.result()]
    rows = recorder.select_notifications(positions[0], 100)
    times = [row.recorded_at for row in rows]  # type: ignore[attr-defined]  # the library's type has no such field
    assert positions == list(range(positions[0], positions[0] + 35))
    assert times == sorted(set(times))


def test_a_repeat_is_a_duplicate_of_the_first(appender: Appender) -> None:
    new = observed()
    first, again = appender.append([new, new]).result()
    (later,) = appender.append([new]).result()
    assert (first.duplicate, again.duplicate, later.duplicate) == (False, True, True)
    assert first.position == again.position == later.position


def test_the_same_id_in_another_tenant_is_another_observation(
    recorder: LogRecorder, appender: Appender
) -> None:
    create_tenant(recorder, "other", "Other")
    new = observed()
    elsewhere = NewEvent(StreamId("other", "observation", new.stream.stream), 1, new.event, uuid4())
    fates = appender.append([new, elsewhere]).result()
    assert [fate.duplicate for fate in fates] == [False, False]


def test_a_taken_version_fails_the_whole_append(recorder: LogRecorder, appender: Appender) -> None:
    person, bystander = uuid4(), observed()
    appender.append([updated(person, 1)]).result()
    with pytest.raises(VersionConflict):
        appender.append([bystander, updated(person, 1)]).result()
    assert recorder.select_events(str(bystander.stream)) == []


def test_what_the_database_cannot_hold_fails_alone(appender: Appender) -> None:
    unstorable = NewEvent(StreamId("a\x00b", "observation", uuid4()), 1, observed().event, uuid4())
    with pytest.raises((DataError, psycopg.DataError)):
        appender.append([unstorable]).result()
    assert not appender.append([observed()]).result()[0].duplicate


def test_no_reader_passes_a_transaction_that_took_its_position_and_stalled(
    recorder: LogRecorder, database: str
) -> None:
    """A takes its position and stalls before its commit; B comes behind. Nobody may see B before A."""
    a, b = stored(observed()), stored(observed())
    inserted, go_on, a_done = threading.Event(), threading.Event(), threading.Event()

    def append_a_slowly() -> None:
        with recorder.datastore.get_connection() as connection, connection.transaction():
            recorder.append(connection, [a], uuid4())
            inserted.set()
            go_on.wait(10)
        a_done.set()

    def append_b() -> None:
        with recorder.datastore.get_connection() as connection:
            recorder.append(connection, [b], uuid4())

    threads = [threading.Thread(target=append_a_slowly), threading.Thread(target=append_b)]
    threads[0].start()
    assert inserted.wait(10)
    threads[1].start()
    _wait_until_someone_waits_for_the_lock(database)
    assert {str(row.originator_id) for row in recorder.select_notifications(None, 10_000)}.isdisjoint(
        {a.originator_id, b.originator_id}
    )
    go_on.set()
    for thread in threads:
        thread.join(10)
    order = [row.originator_id for row in recorder.select_notifications(None, 10_000)]
    assert a_done.is_set()
    assert order.index(a.originator_id) < order.index(b.originator_id)


def _wait_until_someone_waits_for_the_lock(database: str) -> None:
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(database, autocommit=True) as connection:
        for _ in range(500):
            row = connection.execute(query).fetchone()
            if row and row[0]:
                return
            threading.Event().wait(0.01)
    raise AssertionError("B never came to wait for A: the log's lock is gone")


def test_an_append_whose_answer_was_lost_is_found_and_not_written_twice(recorder: LogRecorder) -> None:
    event, append_id = stored(observed()), uuid4()
    with recorder.datastore.get_connection() as connection:
        assert recorder.find(connection, [event], append_id) is None
        first = recorder.append(connection, [event], append_id)
        assert recorder.find(connection, [event], append_id) == first
        assert recorder.find(connection, [event], uuid4()) is None


def test_the_appender_goes_on_when_its_connection_is_cut(appender: Appender, database: str) -> None:
    appender.append([observed()]).result()
    cut = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND datname = current_database()"""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(cut)
    fates = [appender.append([observed()]) for _ in range(20)]
    assert all(not fate.result(30)[0].duplicate for fate in fates)


def test_what_comes_while_a_commit_is_under_way_is_committed_together(
    recorder: LogRecorder, database: str
) -> None:
    """The log's lock is held elsewhere: the first append waits for it, and the others behind the first."""
    appender = Appender(recorder)
    with psycopg.connect(database) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(7165064741)")
        futures = [appender.append([observed()]) for _ in range(40)]
    positions = [future.result(10)[0].position for future in futures]
    appender.close()
    query = "SELECT count(DISTINCT append_id) FROM personakit.events WHERE position = ANY (%s)"
    with psycopg.connect(database) as connection:
        row = connection.execute(query, [positions]).fetchone()
    assert positions == sorted(positions)
    assert row is not None
    assert row[0] <= 3


def test_one_that_fails_does_not_take_its_group_along(recorder: LogRecorder, database: str) -> None:
    appender = Appender(recorder)
    person, repeated = uuid4(), observed()
    appender.append([updated(person, 1), repeated]).result()
    with psycopg.connect(database) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(7165064741)")
        first = appender.append([observed()])
        conflict = appender.append([updated(person, 1)])
        duplicate = appender.append([repeated])
        unstorable = appender.append(
            [NewEvent(StreamId("a\x00b", "observation", uuid4()), 1, observed().event, uuid4())]
        )
        good = appender.append([updated(person, 2), observed()])
    assert not first.result(10)[0].duplicate
    with pytest.raises(VersionConflict):
        conflict.result(10)
    assert duplicate.result(10)[0].duplicate
    with pytest.raises((DataError, psycopg.DataError)):
        unstorable.result(10)
    assert [fate.duplicate for fate in good.result(10)] == [False, False]
    appender.close()


def test_closing_without_a_database_refuses_what_waits(postgres: EmbeddedPostgres) -> None:
    lost = create_database(postgres)
    recorder = LogRecorder(open_datastore(lost))
    recorder.create_table()
    appender = Appender(recorder)
    appender.append([observed()]).result(10)
    name = conninfo_to_dict(lost)["dbname"]
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(str(name))))
    waiting = [appender.append([observed()]) for _ in range(3)]
    appender.close()
    for future in waiting:
        with pytest.raises(LogClosed):
            future.result(0)
    recorder.datastore.close()


def test_closing_writes_what_was_taken_and_takes_nothing_more(recorder: LogRecorder) -> None:
    appender = Appender(recorder)
    futures = [appender.append([observed()]) for _ in range(50)]
    appender.close()
    assert all(future.done() and future.result()[0].position for future in futures)
    with pytest.raises(LogClosed):
        appender.append([observed()])


def test_a_person_is_registered_once_however_many_meet_them_first(
    recorder: LogRecorder, appender: Appender
) -> None:
    books = [People(recorder, appender) for _ in range(8)]
    found: list[UUID] = []

    def register(people: People) -> None:
        found.append(people.register(TENANT, ["ada"])["ada"].surrogate)

    threads = [threading.Thread(target=register, args=(people,)) for people in books]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(recorder.select_events(str(StreamId(TENANT, "person", found[0])))) == 1
