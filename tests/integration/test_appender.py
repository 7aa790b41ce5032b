"""The appender: what shares a commit shares nothing else, no answer is lost, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from personakit.domain.events import MindscapeUpdated, ObservationRecorded
from personakit.eventlog import appender as appending
from personakit.eventlog.appender import Appender, LogBusy, LogClosed, LogSlow, NewEvent, wait
from personakit.eventlog.person_keys import Person, PersonKeys
from personakit.eventlog.recorder import Appended, LogRecorder, VersionConflict, open_datastore
from personakit.eventlog.stored import StreamId
from tests.cut_wire import Moment, Wire, wire_to
from tests.people import somebody

TENANT = "default"
Observed = Callable[[], NewEvent]


@pytest.fixture
def ada(recorder: LogRecorder, keys: PersonKeys) -> Person:
    return somebody(recorder, keys, TENANT)


@pytest.fixture
def observed(ada: Person) -> Observed:
    """Makes observations of Ada."""

    def made() -> NewEvent:
        event = ObservationRecorded(
            type="note", content={}, occurred_at=datetime(2026, 3, 2, tzinfo=UTC), digest="d"
        )
        return NewEvent(StreamId(TENANT, "observation", uuid4()), 1, event, ada)

    return made


def updated(person: Person, version: int) -> NewEvent:
    event = MindscapeUpdated(traits={}, derivation="computed", definition="x", read_through=0)
    return NewEvent(StreamId(TENANT, "mindscape", person.surrogate), version, event, person)


@contextmanager
def stalled(database: str, appender: Appender, first: NewEvent) -> Iterator[None]:
    """The log's lock is held elsewhere and an append waits for it: what comes meanwhile is one group."""
    with psycopg.connect(database) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(7165064741)")
        appender.append([first])
        until_a_writer_waits(database)
        yield


def until_a_writer_waits(database: str) -> None:
    query = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(database, autocommit=True) as connection:
        for _ in range(1000):
            if connection.execute(query).fetchone():
                return
            threading.Event().wait(0.01)
    raise AssertionError("nobody waits for the lock of the log")


def append_ids(database: str, appended: list[Appended]) -> set[UUID]:
    query = "SELECT append_id FROM personakit.events WHERE position = ANY (%s)"
    with psycopg.connect(database) as connection:
        return {id_ for (id_,) in connection.execute(query, [[each.position for each in appended]])}


def test_a_duplicate_in_a_group_is_told_as_one_and_the_group_stays_one(
    appender: Appender, observed: Observed, database: str
) -> None:
    known = observed()
    (first,) = wait(appender.append([known]))
    with stalled(database, appender, observed()):
        before = [appender.append([observed()]) for _ in range(3)]
        repeated = appender.append([observed(), known, observed()])
        after = [appender.append([observed()]) for _ in range(3)]
    new, again, other = wait(repeated)
    fresh = [new, other, *(wait(future)[0] for future in (*before, *after))]
    assert (again.duplicate, again.position) == (True, first.position)
    assert not any(each.duplicate for each in fresh)
    assert len({each.position for each in fresh}) == 8
    assert len(append_ids(database, fresh)) == 1


def test_one_id_handed_in_by_two_callers_of_one_group_is_stored_for_one_of_them(
    appender: Appender, observed: Observed, database: str
) -> None:
    same = observed()
    with stalled(database, appender, observed()):
        futures = [appender.append([same]) for _ in range(3)]
    fates = [wait(future)[0] for future in futures]
    assert [fate.duplicate for fate in fates] == [False, True, True]
    assert len({fate.position for fate in fates}) == 1


def test_one_conflict_among_many_costs_nobody_else_anything(
    recorder: LogRecorder, appender: Appender, observed: Observed, ada: Person, database: str
) -> None:
    wait(appender.append([updated(ada, 1)]))
    with stalled(database, appender, observed()):
        before = [appender.append([observed()]) for _ in range(40)]
        conflict = appender.append([observed(), updated(ada, 1)])
        after = [appender.append([observed()]) for _ in range(40)]
        winner, loser = (appender.append([updated(ada, 2)]) for _ in range(2))
    positions = [wait(future)[0].position for future in (*before, *after)]
    assert positions == sorted(set(positions))
    for future in (conflict, loser):
        with pytest.raises(VersionConflict):
            wait(future)
    assert not wait(winner)[0].duplicate
    versions = recorder.select_events(str(updated(ada, 1).stream))
    assert [event.originator_version for event in versions] == [1, 2]


@pytest.fixture
def wire(database: str) -> Iterator[Wire]:
    with wire_to(database) as wire:
        yield wire


@pytest.fixture
def over_the_wire(wire: Wire, recorder: LogRecorder) -> Iterator[Appender]:
    far = LogRecorder(open_datastore(wire.conninfo))
    with closing(Appender(far)) as appender:
        yield appender
    far.datastore.close()


@pytest.mark.parametrize("moment", ["request", "answer"])
def test_an_append_whose_wire_is_cut_is_stored_once_and_said_to_be(
    over_the_wire: Appender,
    recorder: LogRecorder,
    observed: Observed,
    ada: Person,
    wire: Wire,
    moment: Moment,
    database: str,
) -> None:
    """With the answer lost the commit is done: it is neither written again, nor taken for another's."""
    known = observed()
    wait(over_the_wire.append([known]))
    for version in range(1, 8):  # past the point from which statements are prepared
        new = [observed(), updated(ada, version)]
        wire.cut(moment)
        appended = wait(over_the_wire.append([*new, known]))
        assert [each.duplicate for each in appended] == [False, False, True]
        rows = [recorder.select_events(str(each.stream), gt=each.version - 1) for each in new]
        assert [[row.id for row in each] for each in rows] == [[each.position] for each in appended[:2]]
        assert len(append_ids(database, appended[:2])) == 1
    assert wire.cuts == 7


def test_a_conflict_is_one_though_the_answer_was_lost(
    over_the_wire: Appender, observed: Observed, ada: Person, wire: Wire
) -> None:
    wait(over_the_wire.append([updated(ada, 1)]))
    wire.cut("answer")
    with pytest.raises(VersionConflict):
        wait(over_the_wire.append([updated(ada, 1)]))
    assert wire.cuts == 1
    wait(over_the_wire.append([updated(ada, 2)]))


@pytest.fixture
def small(recorder: LogRecorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Appender]:
    """An appender before which no more than three may wait."""
    monkeypatch.setattr(appending, "QUEUE_SIZE", 3)
    with closing(Appender(recorder)) as appender:
        yield appender


def test_more_than_the_queue_holds_are_refused_at_once_and_what_it_holds_is_written(
    small: Appender, observed: Observed, database: str
) -> None:
    with stalled(database, small, observed()):
        taken = [small.append([observed()]) for _ in range(3)]
        with pytest.raises(LogBusy):
            small.append([observed()])
        with pytest.raises(LogBusy):
            asyncio.run(small.append_async([observed()]))
        assert small.waiting == 3
    assert all(not wait(future)[0].duplicate for future in taken)
    assert not wait(small.append([observed()]))[0].duplicate


def test_closing_waits_for_what_was_taken(recorder: LogRecorder, observed: Observed, database: str) -> None:
    appender = Appender(recorder)
    with stalled(database, appender, observed()):
        taken = [appender.append([observed()]) for _ in range(30)]
        closing_ = threading.Thread(target=appender.close)
        closing_.start()
        while appender.alive:
            threading.Event().wait(0.01)
        with pytest.raises(LogClosed):
            appender.append([observed()])
        assert closing_.is_alive()
        assert not any(future.done() for future in taken)
    closing_.join(20)
    assert all(not future.result(0)[0].duplicate for future in taken)
    appender.close()


def test_callers_on_an_event_loop_are_all_answered(
    appender: Appender, observed: Observed, ada: Person
) -> None:
    async def append_all() -> list[list[Appended] | BaseException]:
        conflicts = [appender.append_async([updated(ada, 1)]) for _ in range(2)]
        good = [appender.append_async([observed(), observed()]) for _ in range(200)]
        return await asyncio.gather(*good, *conflicts, return_exceptions=True)

    *stored, one, other = asyncio.run(append_all())
    positions = [each.position for appended in stored if isinstance(appended, list) for each in appended]
    assert len(set(positions)) == 400
    assert isinstance(one, list)
    assert isinstance(other, VersionConflict)


def stored(recorder: LogRecorder, new: NewEvent) -> bool:
    return bool(recorder.select_events(str(new.stream)))


def test_a_caller_who_goes_away_keeps_no_other_from_an_answer(
    recorder: LogRecorder, appender: Appender, observed: Observed, database: str
) -> None:
    """What was handed in stays handed in: it is stored, and nobody is told."""
    left, stays = observed(), observed()

    async def leave() -> list[Appended]:
        with stalled(database, appender, observed()):
            leaving = asyncio.create_task(appender.append_async([left]))
            staying = asyncio.create_task(appender.append_async([stays]))
            await asyncio.sleep(0)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
        return await staying

    assert not asyncio.run(leave())[0].duplicate
    assert stored(recorder, left)


def test_a_loop_that_is_closed_is_no_trouble_to_others(
    recorder: LogRecorder, appender: Appender, observed: Observed, database: str
) -> None:
    gone = observed()

    async def ask_and_go() -> None:
        asyncio.get_running_loop().create_task(appender.append_async([gone]))
        await asyncio.sleep(0)

    with stalled(database, appender, observed()):
        asyncio.run(ask_and_go())
        here = appender.append([observed()])
    assert not wait(here)[0].duplicate
    assert stored(recorder, gone)
    assert appender.alive


def test_who_is_not_answered_in_time_is_told_that_it_may_be_stored(
    recorder: LogRecorder,
    appender: Appender,
    observed: Observed,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(appending, "WAIT_SECONDS", 0.05)
    slow, on_a_loop = observed(), observed()
    with stalled(database, appender, observed()):
        future = appender.append([slow])
        with pytest.raises(LogSlow, match="same id"):
            wait(future)
        with pytest.raises(LogSlow, match="same id"):
            asyncio.run(appender.append_async([on_a_loop]))
    assert not future.result(10)[0].duplicate
    monkeypatch.undo()
    assert wait(appender.append([on_a_loop]))[0].duplicate


def test_nothing_is_no_append(appender: Appender) -> None:
    with pytest.raises(ValueError, match="nothing to append"):
        appender.append([])
