"""Followers: they move the projections on, batch by batch, the positions in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.rows import DictRow

from personakit.eventlog.person_keys import PersonKeys
from personakit.projections import builds, moved
from personakit.projections.builds import Pool
from personakit.projections.rebuild import rebuild
from personakit.projections.sql import Projection
from personakit.projections.take import TO_THE_HEAD, Target, fetch, take

SPAN = 4000

# What is followed can be followed again, from the log: so its commits need not wait for the disk.
_HASTE = "SET LOCAL synchronous_commit TO off"
_TAKE = """
SELECT a.name, a.definition, b.schema, b.position
FROM personakit.builds AS b JOIN personakit.active AS a USING (schema)
WHERE (a.name, a.definition) IN (SELECT * FROM unnest(%(names)s::text[], %(definitions)s::text[]))
ORDER BY b.schema
FOR NO KEY UPDATE OF b SKIP LOCKED
"""
_MOVE = """
UPDATE personakit.builds SET position = %(through)s, updated_at = clock_timestamp()
WHERE schema = ANY (%(schemas)s)
"""


class Step(NamedTuple):
    """What one step did. `changed` are the projections that took events; `busy` says that another process
    held some of them, so that there may be more to do when it lets go."""

    moved: bool
    changed: frozenset[str]
    busy: bool


class Followers:
    """Moves projections on together: those that stand at one position share what is read for them, and
    laggards are brought up to the next one first.

    Any number may run, in any number of processes: the row of a build lets one move it at a time.
    """

    def __init__(self, pool: Pool, projections: Iterable[Projection], keys: PersonKeys) -> None:
        self._pool = pool
        self._keys = keys
        self._projections = {(each.name, each.definition): each for each in projections}
        self._names = {
            "names": [name for name, _ in self._projections],
            "definitions": [definition for _, definition in self._projections],
        }

    def catch_up(self) -> Step:
        """Takes events until there are none; all that was done."""
        changed: set[str] = set()
        moved_at_all = False
        while (step := self.step()).moved:
            moved_at_all = True
            changed |= step.changed
        return Step(moved_at_all, frozenset(changed), step.busy)

    def step(self, span: int = SPAN) -> Step:
        """Takes the events of at most `span` positions."""
        with self._pool.connection() as connection, connection.transaction():
            connection.execute(_HASTE)
            taken = connection.execute(_TAKE, self._names).fetchall()
            busy = len(taken) < len(self._projections)
            if not taken:
                return Step(moved=False, changed=frozenset(), busy=busy)
            after = min(row["position"] for row in taken)
            stop = min((row["position"] for row in taken if row["position"] > after), default=TO_THE_HEAD)
            targets = [self._target(row) for row in taken if row["position"] == after]
            through, changed = self._move(connection, targets, after, span, stop)
        return Step(moved=through > after, changed=changed, busy=busy)

    def _target(self, row: dict[str, Any]) -> Target:
        return Target(self._projections[row["name"], row["definition"]], row["schema"])

    def _move(
        self, connection: Connection[DictRow], targets: Sequence[Target], after: int, span: int, stop: int
    ) -> tuple[int, frozenset[str]]:
        projections = [target.projection for target in targets]
        through, events = fetch(connection, self._keys, projections, after, span, stop)
        if through > after:
            changed = [target.projection.name for target in targets if take(connection, target, events)]
            schemas = [target.schema for target in targets]
            connection.execute(_MOVE, {"through": through, "schemas": schemas})
            definitions = [projection.definition for projection in projections]
            moved.tell(connection, definitions, through, {event.about for event in events})
            return through, frozenset(changed)
        return after, frozenset()


def install(pool: Pool, projections: Iterable[Projection], keys: PersonKeys) -> None:
    """Makes what this release reads and is not there yet, and brings all of it up to the log: its queries
    never meet another release's tables, nor tables that nobody has followed since it was last used."""
    those = list(projections)
    builds.say_used(pool, those)
    for projection in those:
        with pool.connection() as connection:
            there = builds.active(connection, projection) is not None
        if not there:
            rebuild(pool, projection, keys, only_if_missing=True)
    Followers(pool, those, keys).catch_up()
