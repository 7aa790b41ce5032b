"""Rebuild: new tables beside the old, filled from the log while the old ones serve, then read instead."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from psycopg import Connection
from psycopg.rows import DictRow

from personakit.eventlog.person_keys import PersonKeys
from personakit.projections import builds, moved
from personakit.projections.builds import Pool
from personakit.projections.sql import Projection
from personakit.projections.take import Batch, Target, batches, fetch, take
from personakit_sdk.errors import PersonaKitError

SPAN = 5000
Report = Callable[[str, int, int | None], None]

_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('personakit rebuild ' || %(name)s, 0)) AS mine"
_WAIT = "SELECT pg_advisory_lock(hashtextextended('personakit rebuild ' || %(name)s, 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('personakit rebuild ' || %(name)s, 0))"
_POSITION = "SELECT position FROM personakit.builds WHERE schema = %(schema)s FOR NO KEY UPDATE"
_MOVE = """
UPDATE personakit.builds SET position = %(through)s, updated_at = clock_timestamp() WHERE schema = %(schema)s
"""
_HEAD = "SELECT coalesce(max(position), 0) AS head FROM personakit.events"


class RebuildRunning(PersonaKitError):
    """Another process is rebuilding this projection."""


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild did: `events` are the positions it passed over, `handled` those that the projection
    takes. `resumed_at` is where one that was broken off had come to."""

    name: str
    schema: str
    position: int
    resumed_at: int
    events: int
    handled: int
    seconds: float


def rebuild(
    pool: Pool,
    projection: Projection,
    keys: PersonKeys,
    report: Report = lambda *_: None,
    *,
    only_if_missing: bool = False,
    span: int = SPAN,
) -> Rebuilt | None:
    """Builds a projection anew from the log and lets it be read instead of the old one.

    Goes on where one that was broken off stopped. With `only_if_missing` it waits for a rebuild that is
    under way and does nothing where there is a build to read; else raises RebuildRunning.
    """
    with pool.connection() as connection, _alone(connection, projection, wait=only_if_missing):
        if only_if_missing and builds.active(connection, projection) is not None:
            return None
        target = Target(projection, builds.begin(connection, projection))
        began = time.monotonic()
        resumed_at = position = _position(connection, target)
        handled = 0
        for batch in batches(pool, keys, projection, position, span):
            report(projection.name, position, _head(connection))
            handled += _advance(connection, target, batch)
            position = batch.through
        position, took = _switch(connection, target, keys, span)
        report(projection.name, position, position)
        return Rebuilt(
            name=projection.name,
            schema=target.schema,
            position=position,
            resumed_at=resumed_at,
            events=position - resumed_at,
            handled=handled + took,
            seconds=time.monotonic() - began,
        )


def _advance(connection: Connection[DictRow], target: Target, batch: Batch) -> int:
    """One batch, and the position with it, in one transaction: a kill between two loses no more than one.
    How many events were handled."""
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit TO off")
        took = take(connection, target, batch.events)
        connection.execute(_MOVE, {"through": batch.through, "schema": target.schema})
    return took


def _switch(connection: Connection[DictRow], target: Target, keys: PersonKeys, span: int) -> tuple[int, int]:
    """Lets the build be read. The old one stands still meanwhile and the new one is brought at least as
    far, so that no reader ever goes back. Readers wait for nothing: they see the row before or after."""
    took = 0
    with connection.transaction():
        old = builds.active(connection, target.projection)
        reached = 0 if old is None else _position(connection, Target(target.projection, old))
        position = _position(connection, target)
        while position < reached:
            batch = fetch(connection, keys, [target.projection], position, span)
            position = batch.through
            took += _advance(connection, target, batch)
        builds.activate(connection, target.projection, target.schema)
        moved.tell(connection, [target.projection.definition], position, None)
    return position, took


@contextmanager
def _alone(connection: Connection[DictRow], projection: Projection, *, wait: bool) -> Iterator[None]:
    """Holds the lock of rebuilding this projection: it goes with the connection, however that ends."""
    name = {"name": f"{projection.name}_{projection.definition}"}
    if wait:
        connection.execute(_WAIT, name)
    else:
        row = connection.execute(_LOCK, name).fetchone()
        if row is None or not row["mine"]:
            raise RebuildRunning(
                f"Another process is rebuilding {projection.name!r}; wait for it, or end it and run this "
                "again: it goes on where that one stopped."
            )
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute(_UNLOCK, name)


def _position(connection: Connection[DictRow], target: Target) -> int:
    row = connection.execute(_POSITION, {"schema": target.schema}).fetchone()
    if row is None:
        raise LookupError(f"The build {target.schema} is not there.")
    return int(row["position"])


def _head(connection: Connection[DictRow]) -> int:
    row = connection.execute(_HEAD).fetchone()
    return int(row["head"]) if row else 0
