"""Several releases over one database: each says what it reads, and workers follow for those that have none.

While a release is replaced, processes of both run. A projection whose definition differs between them has
tables for each; they are followed as long as a process says that it reads them, and dropped when nobody can
be reading them any more.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import psycopg
from eventsourcing.persistence import PersistenceError

from personakit.eventlog.person_keys import PersonKeys
from personakit.projections.builds import Pool, drop_unused, say_used, used_elsewhere
from personakit.projections.follow import Followers
from personakit.projections.sql import Projection, read_projection

AWAY = (psycopg.Error, PersistenceError)
"""What a database that is away is told by: the pools raise the first, the library of the log the second."""

logger = logging.getLogger(__name__)


class Releases:
    """What this process does about the definitions of its own release and of others. No method raises for
    a database that is away: the next call makes up for it."""

    def __init__(self, pool: Pool, owner: Pool, projections: Iterable[Projection], keys: PersonKeys) -> None:
        """`owner` drops tables."""
        self._pool = pool
        self._owner = owner
        self._own = list(projections)
        self._keys = keys

    def say_used(self) -> None:
        """Says that this process reads its release's definitions."""
        try:
            say_used(self._pool, self._own)
        except AWAY as error:
            logger.warning("The database cannot be told which projections are read here: %s", error)

    def follow_others(self) -> None:
        """Moves on what processes of other releases read, as far as this one knows all their events in the
        shapes that they do: else it would pass over some, and their own workers must do it."""
        try:
            others = [
                projection
                for name, source, definition in used_elsewhere(self._pool, self._definitions)
                if (projection := read_projection(name, source)).definition == definition
            ]
            if others:
                Followers(self._pool, others, self._keys).catch_up()
        except AWAY as error:
            logger.warning("The projections of another release cannot be followed: %s", error)

    def drop_unused(self) -> None:
        """Drops the tables that were replaced, or that no process has read for long."""
        try:
            for schema in drop_unused(self._owner, self._definitions):
                logger.info("Dropped %s: nobody reads it any more.", schema)
        except AWAY as error:
            logger.warning("What nobody reads any more cannot be dropped: %s", error)

    @property
    def _definitions(self) -> list[str]:
        return [projection.definition for projection in self._own]
