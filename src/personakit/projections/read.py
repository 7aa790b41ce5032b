"""Reading: one snapshot over all projections, resolved to the definitions that are active in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec
from psycopg import Connection, IsolationLevel
from psycopg.rows import DictRow
from psycopg.types.json import set_json_loads

from personakit.eventlog.log_sql import SQL as LOG
from personakit.eventlog.recorder import STATEMENT_SECONDS
from personakit.projections.builds import BuildState, Pool, states
from personakit.projections.sql import Projection
from personakit_sdk.errors import PersonaKitError

POLL_SECONDS = 0.005

# Sets the search path to the builds that are active, says how far each had come, and names the tenant whose
# rows the reader sees: one statement, so that both are seen in the snapshot that the queries after it read
# from, and naming a tenant costs no round trip.
_ENTER = """
SELECT set_config('search_path', string_agg(quote_ident(b.schema), ', '), true),
       set_config('personakit.tenant', %(tenant)s, true),
       set_config('statement_timeout', %(timeout)s, true),
       jsonb_object_agg(b.name, b.position) AS positions
FROM personakit.active AS a JOIN personakit.builds AS b USING (schema)
WHERE (a.name, a.definition) IN (SELECT * FROM unnest(%(names)s::text[], %(definitions)s::text[]))
"""

set_json_loads(msgspec.json.decode)


class NotThereYet(PersonaKitError):
    """The read models have not reached the position that a caller asked for."""


class BeyondHead(PersonaKitError):
    """A caller asked for a position that the log has not reached."""


class Snapshot:
    """One consistent state of all read models. `position` is the lowest any of them had reached."""

    def __init__(
        self,
        connection: Connection[DictRow],
        projections: Mapping[str, Projection],
        positions: Mapping[str, int],
    ) -> None:
        self._connection = connection
        self._projections = projections
        self.positions = positions

    @property
    def position(self) -> int:
        """The state of the log that everything read here reflects at least."""
        return min(self.positions.values())

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """The rows of a named query, for example `observations.by_person`."""
        projection, _, name = query.partition(".")
        sql = self._projections[projection].queries[name]
        return self._connection.execute(sql, values).fetchall()

    def log_rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """The rows of a named query on the log and the operational tables, in the same state."""
        return self._connection.execute(LOG[query], values).fetchall()

    def row(self, query: str, **values: Any) -> dict[str, Any] | None:
        """The first row of a named query, or None."""
        rows = self.rows(query, **values)
        return rows[0] if rows else None


class Reader:
    """Opens snapshots, and waits for positions."""

    def __init__(self, pool: Pool, projections: Mapping[str, Projection], *, reading: Pool) -> None:
        """`pool` reads the rows of all tenants, `reading` those of one."""
        self._pool = pool
        self._reading = reading
        self._projections = projections
        self.definitions = {each.definition: name for name, each in projections.items()}
        self._entering = {
            "names": list(projections),
            "definitions": list(self.definitions),
            "timeout": f"{STATEMENT_SECONDS}s",
        }

    def snapshot(self, tenant: str) -> AbstractContextManager[Snapshot]:
        """A REPEATABLE READ, read-only transaction, in which there are no rows of other tenants."""
        return self._snapshot(self._reading, tenant)

    def snapshot_of_all(self) -> AbstractContextManager[Snapshot]:
        """The same with the rows of all tenants: for work that is on all, and for figures of the whole."""
        return self._snapshot(self._pool, "")

    @contextmanager
    def _snapshot(self, pool: Pool, tenant: str) -> Iterator[Snapshot]:
        with pool.connection() as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            try:
                with connection.transaction():
                    row = connection.execute(_ENTER, self._entering | {"tenant": tenant}).fetchone()
                    positions = row["positions"] if row else {}
                    yield Snapshot(connection, self._projections, positions)
            finally:
                if not connection.closed:
                    connection.isolation_level = None
                    connection.read_only = None

    def wait_for(self, tenant: str, position: int, seconds: float) -> None:
        """Returns when projections and the computed traits of `tenant` reflect `position`.

        Raises BeyondHead for a position that the log has not reached, and NotThereYet after `seconds`.
        """
        self.require(position)
        self._wait(
            lambda: self.snapshot(tenant),
            position,
            seconds,
            lambda snapshot: _derived(snapshot, tenant, position),
        )

    def wait_for_projections(self, position: int, seconds: float) -> None:
        """Returns when the projections reflect `position`. Raises NotThereYet after `seconds`."""
        self._wait(self.snapshot_of_all, position, seconds, lambda _: True)

    def require(self, position: int) -> None:
        """Raises BeyondHead for a position that the log has not reached."""
        head = self.head()
        if position > head:
            raise BeyondHead(f"Position {position} lies beyond the end of the log, {head}.")

    def _wait(
        self,
        look: Callable[[], AbstractContextManager[Snapshot]],
        position: int,
        seconds: float,
        reflected: Callable[[Snapshot], bool],
    ) -> None:
        deadline = time.monotonic() + seconds
        while True:
            with look() as snapshot:
                if snapshot.position >= position and reflected(snapshot):
                    return
            if time.monotonic() > deadline:
                raise NotThereYet(f"Position {position} is not visible yet; try again shortly.")
            time.sleep(POLL_SECONDS)

    def head(self) -> int:
        """The position of the newest event; 0 in an empty log."""
        with self._pool.connection() as connection:
            row = connection.execute("SELECT max(position) AS head FROM personakit.events").fetchone()
        return (row["head"] or 0) if row else 0

    def states(self) -> list[BuildState]:
        """Every build of every projection, by name."""
        return states(self._pool, list(self.definitions))


def _derived(snapshot: Snapshot, tenant: str, position: int) -> bool:
    """Whether nothing that was recorded up to `position` awaits a derivation, and what was derived shows."""
    row = snapshot.row("derivation_due.derived_through", tenant=tenant, position=position)
    return row is not None and not row["pending"] and snapshot.position >= row["derived_at"]
