"""The log: order, identity, dedupe, optimistic locking, and an appender that survives its connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
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
from personakit.eventlog.person_keys import Person, PersonKeys
from personakit.eventlog.recorder import LogRecorder, VersionConflict, open_datastore
from personakit.eventlog.stored import Row, StreamId
from tests.people import somebody
from tests.postgres import MASTER_KEY, create_database

TENANT = "default"
Observed = Callable[..., NewEvent]


@pytest.fixture
def ada(recorder: LogRecorder, keys: PersonKeys) -> Person:
    return somebody(recorder, keys, TENANT)


@pytest.fixture
def observed(ada: Person) -> Observed:
    """Makes observations of Ada."""

    def made(stream: UUID | None = None, content: dict[str, object] | None = None) -> NewEvent:
        event = ObservationRecorded(
            type="note", content=content or {}, occurred_at=datetime(2026, 3, 2, tzinfo=UTC), digest="d"
        )
        return NewEvent(StreamId(TENANT, "observation", stream or uuid4()), 1, event, ada)

    return made


def updated(person: Person, version: int) -> NewEvent:
    event = MindscapeUpdated(traits={}, derivation="computed", definition="x", read_through=0)
    return NewEvent(StreamId(TENANT, "mindscape", person.surrogate), version, event, person)


def unstorable(person: Person) -> NewEvent:
    """A NUL is what PostgreSQL holds in no text."""
    event = MindscapeUpdated(traits={}, derivation="computed", definition="x", read_through=0)
    return NewEvent(StreamId("a\x00b", "observation", uuid4()), 1, event, person)


def row(new: NewEvent) -> Row:
    """The event as the appender would write it."""
    assert new.person is not None
    topic = codec.topic(type(new.event))
    state = codec.seal(codec.encode(new.event), new.person.key, new.stream, new.version, topic)
    return Row(new.stream, new.version, topic, state, new.person.surrogate, once=True)


def test_an_event_comes_back_as_it_was_written(
    recorder: LogRecorder, appender: Appender, observed: Observed, ada: Person
) -> None:
    new = observed(content={"minutes": 25.5, "words": ["ä", "日本"], "none": None})
    position = appender.append([new]).result()[0].position
    (found,) = recorder.select_notifications(position, 10)
    assert codec.decode(found.topic, codec.open_state(found, ada.key)) == new.event
    assert (found.id, found.originator_version) == (position, 1)
    assert StreamId.parse(str(found.originator_id)) == new.stream


def test_creating_the_tables_twice_changes_nothing(
    recorder: LogRecorder, appender: Appender, observed: Observed
) -> None:
    position = appender.append([observed()]).result()[0].position
    recorder.create_table()
    assert recorder.max_notification_id() == position


def test_positions_rise_by_one_and_recording_times_strictly(
    recorder: LogRecorder, appender: Appender, observed: Observed
) -> None:
    futures = [appender.append([observed() for _ in range(7)]) for _ in range(5)]
    positions = [item.position for future in futures for item in future.result()]
    found = recorder.select_notifications(positions[0], 100)
    times = [each.recorded_at for each in found]  # type: ignore[attr-defined]  # the library's type has no such field
    assert positions == list(range(positions[0], positions[0] + 35))
    assert times == sorted(set(times))


def test_a_repeat_is_a_duplicate_of_the_first(appender: Appender, observed: Observed) -> None:
    new = observed()
    first, again = appender.append([new, new]).result()
    (later,) = appender.append([new]).result()
    assert (first.duplicate, again.duplicate, later.duplicate) == (False, True, True)
    assert first.position == again.position == later.position


def test_the_same_id_in_another_tenant_is_another_observation(
    recorder: LogRecorder, keys: PersonKeys, appender: Appender, observed: Observed
) -> None:
    create_tenant(recorder, "other", "Other")
    new = observed()
    stranger = somebody(recorder, keys, "other")
    elsewhere = NewEvent(StreamId("other", "observation", new.stream.stream), 1, new.event, stranger)
    fates = appender.append([new, elsewhere]).result()
    assert [fate.duplicate for fate in fates] == [False, False]


def test_a_taken_version_fails_the_whole_append(
    recorder: LogRecorder, appender: Appender, observed: Observed, ada: Person
) -> None:
    bystander = observed()
    appender.append([updated(ada, 1)]).result()
    with pytest.raises(VersionConflict):
        appender.append([bystander, updated(ada, 1)]).result()
    assert recorder.select_events(str(bystander.stream)) == []


def test_an_append_that_was_committed_after_its_connection_broke_is_no_conflict(
    recorder: LogRecorder, ada: Person
) -> None:
    """Its backend still waited for the lock when the answer was looked for; then it went through."""
    ours, append_id = [msgspec.structs.replace(row(updated(ada, 1)), once=False)], uuid4()
    with recorder.datastore.get_connection() as connection:
        assert recorder.find(connection, ours, append_id) is None
        first = recorder.append(connection, ours, append_id)
        assert recorder.append(connection, ours, append_id) == first
        with pytest.raises(VersionConflict):
            recorder.append(connection, ours, uuid4())


def test_what_the_database_cannot_hold_fails_alone(
    appender: Appender, observed: Observed, ada: Person
) -> None:
    with pytest.raises((DataError, psycopg.DataError)):
        appender.append([unstorable(ada)]).result()
    assert not appender.append([observed()]).result()[0].duplicate


def test_an_append_whose_answer_was_lost_is_found_and_not_written_twice(
    recorder: LogRecorder, observed: Observed
) -> None:
    event, append_id = row(observed()), uuid4()
    with recorder.datastore.get_connection() as connection:
        assert recorder.find(connection, [event], append_id) is None
        first = recorder.append(connection, [event], append_id)
        assert recorder.find(connection, [event], append_id) == first
        assert recorder.find(connection, [event], uuid4()) is None


def test_the_appender_goes_on_when_its_connection_is_cut(
    appender: Appender, observed: Observed, database: str
) -> None:
    appender.append([observed()]).result()
    cut = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND datname = current_database()"""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(cut)
    fates = [appender.append([observed()]) for _ in range(20)]
    assert all(not fate.result(30)[0].duplicate for fate in fates)


def test_what_comes_while_a_commit_is_under_way_is_committed_together(
    recorder: LogRecorder, observed: Observed, database: str
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
        found = connection.execute(query, [positions]).fetchone()
    assert positions == sorted(positions)
    assert found is not None
    assert found[0] <= 3


def test_one_that_fails_does_not_take_its_group_along(
    appender: Appender, observed: Observed, ada: Person, database: str
) -> None:
    repeated = observed()
    appender.append([updated(ada, 1), repeated]).result()
    with psycopg.connect(database) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(7165064741)")
        first = appender.append([observed()])
        conflict = appender.append([updated(ada, 1)])
        duplicate = appender.append([repeated])
        failing = appender.append([unstorable(ada)])
        good = appender.append([updated(ada, 2), observed()])
    assert not first.result(10)[0].duplicate
    with pytest.raises(VersionConflict):
        conflict.result(10)
    assert duplicate.result(10)[0].duplicate
    with pytest.raises((DataError, psycopg.DataError)):
        failing.result(10)
    assert [fate.duplicate for fate in good.result(10)] == [False, False]


def test_closing_without_a_database_refuses_what_waits(postgres: EmbeddedPostgres) -> None:
    lost = create_database(postgres)
    recorder = LogRecorder(open_datastore(lost))
    recorder.create_table()
    create_tenant(recorder, TENANT, "Default")
    ada = somebody(recorder, PersonKeys(recorder.datastore.get_connection, MASTER_KEY), TENANT)
    appender = Appender(recorder)
    appender.append([updated(ada, 1)]).result(10)
    name = conninfo_to_dict(lost)["dbname"]
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(str(name))))
    waiting = [appender.append([updated(ada, n)]) for n in range(2, 5)]
    appender.close()
    for future in waiting:
        with pytest.raises(LogClosed):
            future.result(0)
    recorder.datastore.close()


def test_closing_writes_what_was_taken_and_takes_nothing_more(
    recorder: LogRecorder, observed: Observed
) -> None:
    appender = Appender(recorder)
    futures = [appender.append([observed()]) for _ in range(50)]
    appender.close()
    assert all(future.done() and future.result()[0].position for future in futures)
    with pytest.raises(LogClosed):
        appender.append([observed()])


def test_a_person_is_registered_once_however_many_meet_them_first(
    recorder: LogRecorder, keys: PersonKeys, appender: Appender
) -> None:
    books = [People(recorder, appender, keys) for _ in range(8)]
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


def test_somebody_whose_first_process_ended_before_their_event_is_registered_with_the_next_observation(
    recorder: LogRecorder, keys: PersonKeys, appender: Appender
) -> None:
    """Also by a process that has found them meanwhile, because somebody asked about them."""
    ended = Appender(recorder)
    ended.close()
    with pytest.raises(LogClosed):
        People(recorder, ended, keys).register(TENANT, ["bo"])
    people = People(recorder, appender, keys)
    found = people.find(TENANT, "bo")
    assert found is not None
    stream = str(StreamId(TENANT, "person", found.surrogate))
    assert recorder.select_events(stream) == []
    assert people.registered(TENANT, ["bo"]) is None
    assert people.register(TENANT, ["bo"])["bo"].surrogate == found.surrogate
    assert len(recorder.select_events(stream)) == 1
