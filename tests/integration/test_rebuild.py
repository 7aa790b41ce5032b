"""Rebuild: new tables beside the old, which serve until the new are read, from one snapshot to the next."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from psycopg import sql

from personakit.agents.service import Service
from personakit.domain.events import FeedbackReceived
from personakit.eventlog.appender import NewEvent
from personakit.eventlog.stored import StreamId
from personakit.projections import builds
from personakit.projections.follow import Followers, install
from personakit.projections.read import Reader, Snapshot
from personakit.projections.rebuild import RebuildRunning, Rebuilt, rebuild
from personakit.projections.sql import Projection, load_projection, load_projections
from personakit.projections.take import Target, fetch, take
from personakit.projections.verify import verify
from personakit.shipped import projections_dir
from tests.history import TENANT, a_little_of_everything, follow, observation, surrogate
from tests.watching import Watch

NAMES = sorted(load_projections(projections_dir()))


@pytest.fixture(scope="module")
def history(quiet: Service) -> Service:
    a_little_of_everything(quiet, "ada", "bo")
    return quiet


@pytest.fixture
def observations(history: Service) -> Projection:
    follow(history)
    return history.projections["observations"]


def schema_of(service: Service, projection: Projection) -> str:
    with service.pool.connection() as connection:
        schema = builds.active(connection, projection)
    assert schema is not None
    return schema


def mark_old(service: Service) -> None:
    """What is read now is marked, so that it can be told from what the log makes."""
    schema = schema_of(service, service.projections["observations"])
    query = sql.SQL("UPDATE {} SET source = 'old'").format(sql.Identifier(schema, "observations"))
    with service.pool.connection() as connection:
        connection.execute(query)


def sources(snapshot: Snapshot, person: UUID) -> set[str | None]:
    rows = snapshot.rows(
        "observations.by_person", tenant=TENANT, person=person, after=0, through=2**62, limit=10_000
    )
    return {row["source"] for row in rows}


def made(rebuilt: Rebuilt | None) -> Rebuilt:
    assert rebuilt is not None
    return rebuilt


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("span", [1, 7, 5000])
def test_what_is_rebuilt_is_what_was_there(history: Service, name: str, span: int) -> None:
    follow(history)
    projection = history.projections[name]
    before = rows_of(history, projection)
    old = schema_of(history, projection)
    done = made(rebuild(history.pool, projection, history.keys, span=span))
    assert done.schema == schema_of(history, projection) != old
    assert (done.position, done.events, done.resumed_at) == (history.reader.head(),) * 2 + (0,)
    assert 0 < done.handled <= done.events
    assert rows_of(history, projection) == before
    assert all(before.values())


def rows_of(service: Service, projection: Projection) -> dict[str, list[str]]:
    """The rows of each table of the build that is read, as text, sorted."""
    schema = schema_of(service, projection)
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
    with service.pool.connection() as connection:
        names = [row["tablename"] for row in connection.execute(tables, [schema])]
        return {
            name: [
                row["text"]
                for row in connection.execute(
                    sql.SQL("SELECT t::text AS text FROM {} AS t ORDER BY 1").format(
                        sql.Identifier(schema, name)
                    )
                )
            ]
            for name in names
        }


def test_readers_see_the_old_data_throughout_then_the_new_while_the_log_goes_on(
    history: Service, observations: Projection
) -> None:
    """A writer and the followers go on all the while; nobody meets an error or an older position."""
    ada = surrogate(history, "ada")
    mark_old(history)
    ending = threading.Event()

    def write() -> None:
        while not ending.is_set():
            history.intake.record(TENANT, [observation("bo", 700)])
            follow(history)

    reader = Reader(history.pool, {"observations": observations}, reading=history.pool)
    with ThreadPoolExecutor(1) as threads, Watch(reader, lambda snapshot: sources(snapshot, ada)) as watch:
        writing = threads.submit(write)
        try:
            done = made(rebuild(history.pool, observations, history.keys, span=10))
        finally:
            ending.set()
            writing.result(30)

    assert watch.phases == [{"old"}, {None}]
    assert watch.positions == sorted(watch.positions)
    follow(history)
    assert done.position <= history.reader.head()
    assert verify(history.pool, observations, history.keys).clean


def test_the_switch_waits_for_no_reader_and_who_reads_on_reads_what_they_began_with(
    history: Service, observations: Projection
) -> None:
    ada = surrogate(history, "ada")
    mark_old(history)
    with history.reader.snapshot_of_all() as long:
        assert sources(long, ada) == {"old"}
        with ThreadPoolExecutor(1) as threads:
            made(threads.submit(rebuild, history.pool, observations, history.keys).result(20))
        with history.reader.snapshot_of_all() as new:
            assert sources(new, ada) == {None}
        assert sources(long, ada) == {"old"}


def test_one_that_opened_its_snapshot_before_the_switch_may_read_first_after_it(
    history: Service, observations: Projection
) -> None:
    ada = surrogate(history, "ada")
    mark_old(history)
    with history.reader.snapshot_of_all() as long:
        made(rebuild(history.pool, observations, history.keys))
        assert sources(long, ada) == {"old"}


def test_the_new_one_is_never_behind_what_was_read_before(history: Service, observations: Projection) -> None:
    """A follower is in the middle of a step when the rebuild, which has looked for the last time where the
    log ends, comes to switch: it waits, and takes what the follower took."""
    old = schema_of(history, observations)
    stood = history.reader.head()
    with (
        ThreadPoolExecutor(1) as threads,
        history.pool.connection() as connection,
        connection.transaction(),
    ):
        connection.execute("SELECT FROM personakit.builds WHERE schema = %s FOR NO KEY UPDATE", [old])
        rebuilding = threads.submit(rebuild, history.pool, observations, history.keys)
        until_somebody_waits(history, rebuilding)
        history.intake.record(TENANT, [observation("bo", 800)])
        through, events = fetch(connection, history.keys, [observations], stood, 1000)
        take(connection, Target(observations, old), events)
        connection.execute("UPDATE personakit.builds SET position = %s WHERE schema = %s", [through, old])
        assert not rebuilding.done()
    done = made(rebuilding.result(20))
    assert done.position == through > stood
    assert verify(history.pool, observations, history.keys).clean


def until_somebody_waits(service: Service, other: Future[Rebuilt | None]) -> None:
    query = "SELECT 1 FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
    with service.pool.connection() as connection:
        while not connection.execute(query).fetchone():
            assert not other.done()
            threading.Event().wait(0.01)


class Stopped(Exception):
    """Ends a rebuild where a report is given, as a kill would."""


def test_one_that_was_broken_off_goes_on_where_it_stopped(history: Service, observations: Projection) -> None:
    old = schema_of(history, observations)

    def stop(_: str, done: int, __: int | None) -> None:
        if done >= 20:
            raise Stopped

    with pytest.raises(Stopped):
        rebuild(history.pool, observations, history.keys, stop, span=10)
    assert schema_of(history, observations) == old
    (building,) = [state for state in history.reader.states() if state.state == "building"]
    assert (building.name, building.position) == ("observations", 20)

    done = made(rebuild(history.pool, observations, history.keys))
    assert (done.schema, done.resumed_at) == (building.schema, 20)
    assert done.events == done.position - 20
    assert verify(history.pool, observations, history.keys).clean


def test_a_second_one_at_the_same_time_is_refused_and_others_are_not(
    history: Service, observations: Projection
) -> None:
    under_way, go_on = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        under_way.set()
        assert go_on.wait(20)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(rebuild, history.pool, observations, history.keys, wait)
        assert under_way.wait(20)
        try:
            with pytest.raises(RebuildRunning, match="'observations'"):
                rebuild(history.pool, observations, history.keys)
            made(rebuild(history.pool, history.projections["mappers"], history.keys))
        finally:
            go_on.set()
        made(first.result(20))
    made(rebuild(history.pool, observations, history.keys))


def changed(name: str, folder: Path, *changes: tuple[str, str]) -> Projection:
    """The shipped projection as another release has it."""
    text = (projections_dir() / f"{name}.sql").read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (folder / f"{name}.sql").write_text(f"{text}\n-- Of another release.\n")
    return load_projection(folder / f"{name}.sql")


def test_processes_that_start_at_once_build_what_is_missing_once(history: Service, tmp_path: Path) -> None:
    new = changed("mappers", tmp_path)
    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(install, history.pool, [new], history.keys) for _ in range(4)]:
            each.result(30)
    states = [state for state in history.reader.states() if new.definition in state.schema]
    assert [state.lag_events for state in states] == [0]


def quarantined(service: Service, schema: str) -> int:
    return sum(state.quarantined for state in service.reader.states() if state.schema == schema)


@pytest.fixture
def too_large(history: Service, caplog: pytest.LogCaptureFixture) -> Iterator[UUID]:
    """Feedback with a rank beyond the column's range, followed by others."""
    ada = history.people.register(TENANT, ["ada"])["ada"]
    ids = [uuid4(), uuid4()]
    for id_, rank in zip(ids, (2**40, 1), strict=True):
        event = FeedbackReceived(mapper_id="m", rule_id="r", digest="d", rank=rank)
        history.appender.append([NewEvent(StreamId(TENANT, "feedback", id_), 1, event, ada)]).result(10)
    with caplog.at_level(logging.CRITICAL):
        follow(history)
        yield ids[0]


def ranks(reader: Reader) -> dict[UUID, int]:
    with reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("feedback.by_rule", tenant=TENANT, mapper_id="m", rule_id="r")
    return {row["id"]: row["rank"] for row in rows}


def test_a_stream_in_quarantine_is_taken_up_again_by_a_definition_that_can(
    history: Service, too_large: UUID, tmp_path: Path
) -> None:
    feedback = history.projections["feedback"]
    assert quarantined(history, schema_of(history, feedback)) == 1
    assert too_large not in ranks(history.reader)
    mended = changed(
        "feedback",
        tmp_path,
        ("rank           integer", "rank           bigint"),
        ("payload->>'rank')::int", "payload->>'rank')::bigint"),
    )
    install(history.pool, [mended], history.keys)
    assert quarantined(history, schema_of(history, mended)) == 0
    assert ranks(Reader(history.pool, {"feedback": mended}, reading=history.pool))[too_large] == 2**40
    assert too_large not in ranks(history.reader)


def test_rebuilt_by_the_same_definition_it_stands_still_again(history: Service, too_large: UUID) -> None:
    feedback = history.projections["feedback"]
    old = schema_of(history, feedback)
    before, count = ranks(history.reader), quarantined(history, old)
    new = made(rebuild(history.pool, feedback, history.keys)).schema
    assert new != old
    assert quarantined(history, new) == count
    assert ranks(history.reader) == before


def test_what_was_replaced_is_dropped_after_its_time_and_not_before(
    history: Service, observations: Projection, tmp_path: Path
) -> None:
    new = changed("observations", tmp_path)
    install(history.pool, [new], history.keys)
    builds.say_used(history.pool, [new])
    own = [each.definition for each in history.projections.values()]
    old, other = schema_of(history, observations), schema_of(history, new)
    made(rebuild(history.pool, observations, history.keys))
    retired = {state.schema for state in history.reader.states() if state.state == "retired"}
    assert old in retired

    assert builds.drop_unused(history.pool, own) == []
    assert set(builds.drop_unused(history.pool, own, retired="0 seconds")) == retired
    assert not retired & schemas(history)
    assert other in schemas(history)

    assert other in builds.drop_unused(history.pool, own, unused="0 seconds")
    assert other not in schemas(history)
    for projection in history.projections.values():
        assert schema_of(history, projection) in schemas(history)
    with history.reader.snapshot_of_all() as snapshot:
        assert sources(snapshot, surrogate(history, "ada")) == {None}
    with history.pool.connection() as connection:
        left = connection.execute("SELECT DISTINCT schema FROM personakit.quarantine").fetchall()
    assert {row["schema"] for row in left} <= schemas(history)
    install(history.pool, [new], history.keys)  # a release that comes back makes its own again
    assert Followers(history.pool, [new], history.keys).catch_up().moved is False


def schemas(service: Service) -> set[str]:
    with service.pool.connection() as connection:
        return {row["nspname"] for row in connection.execute("SELECT nspname FROM pg_namespace")}
