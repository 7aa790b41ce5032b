"""Taking a batch of the log into a build's tables; what followers, rebuilds and verifications share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import DictRow, tuple_row
from psycopg.sql import SQL, Identifier

from personakit.eventlog.codec import SealBroken
from personakit.eventlog.log_sql import SQL as LOG
from personakit.eventlog.person_keys import PersonKey, PersonKeys
from personakit.projections.builds import Pool
from personakit.projections.opened import ERASING, Opened, as_json, open_event, rounds
from personakit.projections.quarantine import (
    NOT_THE_EVENT,
    UNTAKEABLE,
    ProjectionBroken,
    lift,
    quarantine,
    quarantined,
)
from personakit.projections.sql import Projection

BATCH_BYTES = 16 * 1024 * 1024
TO_THE_HEAD = 2**62


class Target(NamedTuple):
    """A projection, and the schema of the build of it that is moved."""

    projection: Projection
    schema: str


class Batch(NamedTuple):
    """The events that matter of the positions up to `through`."""

    through: int
    events: list[Opened]


def fetch(
    connection: Connection[DictRow],
    keys: PersonKeys,
    projections: Iterable[Projection],
    after: int,
    span: int,
    stop: int = TO_THE_HEAD,
    person: UUID | None = None,
) -> Batch:
    """The events after `after` that any of the projections handles: of `span` positions, up to `stop` or
    the head; with `person` of this one only, and `span` is how many events.

    Events about people whose key is gone are left out: they are absent at every position.
    """
    those = list(projections)
    values = {
        "after": after,
        "span": span,
        "stop": stop,
        "bytes": BATCH_BYTES,
        "person": person,
        "topics": sorted({topic for each in those for topic in each.topics}),
        "contents": sorted({topic for each in those for topic in each.contents}),
    }
    with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        rows = cursor.execute(LOG["batch" if person is None else "batch_of_person"], values).fetchall()
    if not rows:  # of a person only: else there is a row at least that says how far was looked
        return Batch(stop, [])
    return _opened(rows, keys, after, full=person is not None and len(rows) == span)


def batches(
    pool: Pool,
    keys: PersonKeys,
    projection: Projection,
    after: int,
    span: int,
    stop: int = TO_THE_HEAD,
    person: UUID | None = None,
) -> Iterator[Batch]:
    """As `fetch`, one batch after another until there are none; the next one is read and opened while the
    caller works on the one before."""
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as thread, pool.connection() as connection:
        read = partial(fetch, connection, keys, [projection], span=span, stop=stop, person=person)
        upcoming = thread.submit(read, after=after)
        while (batch := upcoming.result()).through > after:
            after = batch.through
            upcoming = thread.submit(read, after=after)
            yield batch


def _opened(rows: Sequence[tuple[Any, ...]], keys: PersonKeys, after: int, *, full: bool) -> Batch:
    found = [row for row in rows if row[0] is not None]
    people = {row[6] for row in found if row[6] is not None}
    events = _open(found, keys.of_all(people))
    closed = {event.about for event in events if isinstance(event.error, SealBroken)}
    if closed:  # another key may have taken the place of the one that this process remembers
        keys.forget(closed)
        events = _open(found, keys.of_all(people))
    through = rows[-1][0] if full else rows[-1][-1]
    return Batch(max(after, through or 0), events)


def _open(rows: Sequence[tuple[Any, ...]], keys: Mapping[UUID, PersonKey]) -> list[Opened]:
    """The events that are there: this process may remember keys of whom one of the events erased."""
    events = [event for row in rows if (event := open_event(row, keys)) is not None]
    erased = {event.row.stream: event.row.position for event in events if event.name in ERASING}
    return [event for event in events if event.row.position >= erased.get(event.about, 0)]


def take(connection: Connection[DictRow], target: Target, events: Sequence[Opened]) -> int:
    """Applies the events that the projection handles, together; where one of them cannot be taken, each
    by itself, and the stream of that one is quarantined. How many were handled."""
    handled = [event for event in events if _concerns(target.projection, event)]
    if not handled:
        return 0
    erased = [event.row.stream for event in handled if event.name in ERASING]
    if erased:
        lift(connection, target.schema, erased)
    still = quarantined(connection, target.schema)
    moving = [event for event in handled if event.stream_id not in still]
    try:
        with connection.transaction():
            _apply(connection, target, moving)
    except NOT_THE_EVENT:
        raise
    except UNTAKEABLE:
        _take_singly(connection, target, moving)
    return len(handled)


def _concerns(projection: Projection, event: Opened) -> bool:
    """Whether the projection does anything with the event. One that could not be opened is to be told."""
    if event.name not in projection.handlers:
        return False
    pattern = projection.only.get(event.name)
    return pattern is None or event.error is not None or pattern.search(event.row.payload) is not None


def _take_singly(connection: Connection[DictRow], target: Target, events: Sequence[Opened]) -> None:
    still = set()
    for event in events:
        if event.stream_id in still:
            continue
        try:
            with connection.transaction():
                _apply(connection, target, [event])
        except UNTAKEABLE as error:
            still.add(event.stream_id)
            quarantine(connection, target.schema, target.projection.name, event, error)


def _apply(connection: Connection[DictRow], target: Target, events: Sequence[Opened]) -> None:
    for event in events:
        if event.error is not None and target.projection.members[event.name] != frozenset():
            raise ProjectionBroken(str(event.error)) from event.error
    connection.execute(SQL("SET LOCAL search_path TO {}").format(Identifier(target.schema)))
    with connection.cursor() as cursor:
        for name, round_ in rounds(events, apart=target.projection.apart):
            _execute(cursor, target.projection, name, round_)


def _execute(cursor: Cursor[DictRow], projection: Projection, name: str, events: Sequence[Opened]) -> None:
    batch = {"events": as_json(events, projection.columns[name], projection.members[name])}
    for handler in projection.handlers[name]:
        changed = cursor.execute(handler.sql, batch).rowcount
        if handler.exactly and changed != len(events):
            raise ProjectionBroken(
                f"{len(events)} {name} up to position {events[-1].row.position} changed {changed} rows."
            )
