"""Read models built anew from the log. The limit is COPY of the log's rows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.sql import SQL, Identifier

from bench.catalogue import Key, read_model_of
from bench.copy_limit import beside, copy_limit, rates
from bench.database import Database
from bench.figures import Figure, ratio
from bench.grown import quiet
from bench.history import history, people, with_ids
from bench.ingest import EACH, PEOPLE, sustain
from bench.workbench import Workbench
from personakit.projections.follow import Follower
from personakit.projections.sql import Projection

ROUNDS = 3
BUDGET_SECONDS = 120


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild passed over, how many events of that the read model handles, and the seconds."""

    events: int
    handled: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def rebuild(database: Database, name: str) -> Rebuilt:
    """Builds a read model anew, from the first event to the last.

    To become `personakit projections rebuild NAME --json`; until that is there, its tables are emptied
    and a follower in this process fills them.
    """
    with quiet(database) as service, database.connect() as connection:
        projection = service.projections[name]
        _empty(connection, projection)
        connection.execute("CHECKPOINT")
        began = time.perf_counter()
        Follower(service.pool, projection).catch_up()
        seconds = time.perf_counter() - began
        return Rebuilt(*_counts(connection, projection), seconds)


def rebuilds(bench: Workbench, keys: Sequence[Key], sustained: Database | None) -> list[Figure]:
    """`rebuild_…`, over the log that the sustained run left, or one like it."""
    database = sustained or _one_like_it(bench)
    built: dict[str, list[Rebuilt]] = {key.name: [] for key in keys}
    limits = []
    for _ in bench.rounds("rebuild", ROUNDS, BUDGET_SECONDS):
        limits.append(copy_limit(database))
        for key in keys:
            built[key.name].append(rebuild(database, read_model_of(key.name)))
    return [
        ratio(name, [one.rate for one in found], rates(limits), f"{_note(found)} ({beside(limits)})")
        for name, found in built.items()
    ]


def _note(found: Sequence[Rebuilt]) -> str:
    events, handled = (
        int(statistics.median(getattr(r, name) for r in found)) for name in ("events", "handled")
    )
    return f"events/s replayed, of the {events:,} it handles {handled:,}; rows/s by COPY of all of them"


def _one_like_it(bench: Workbench) -> Database:
    bench.say("rebuild: making the log of a sustained run")
    database = bench.database()
    sustain(bench, database, with_ids(history(people(PEOPLE), EACH), 0))
    return database


def _empty(connection: Connection[Any], projection: Projection) -> None:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
    for (table,) in connection.execute(query, [projection.schema]).fetchall():
        connection.execute(SQL("TRUNCATE {}").format(Identifier(projection.schema, table)))
    moved = "UPDATE personakit.projections SET position = 0 WHERE schema = %s"
    connection.execute(moved, [projection.schema])


def _counts(connection: Connection[Any], projection: Projection) -> tuple[int, int]:
    query = """
        SELECT count(*), count(*) FILTER (WHERE split_part(topic, '.', 1) = ANY (%s)) FROM personakit.events
    """
    row = connection.execute(query, [list(projection.handlers)]).fetchone()
    return row[0], row[1]
