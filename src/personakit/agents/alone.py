"""Work that one process does at a time, or two would do the same and conflict: that on a bucket of people (a
sixteenth of them), and the Adjuster's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from personakit.projections.builds import Pool

_TRY = "SELECT pg_try_advisory_lock(hashtextextended('personakit ' || %(work)s, 0)) AS mine"
_RELEASE = "SELECT pg_advisory_unlock(hashtextextended('personakit ' || %(work)s, 0))"


@contextmanager
def alone_at(pool: Pool, work: str) -> Iterator[bool]:
    """Whether no other process is at this work, nor will be until the block ends. The lock goes with the
    connection, however that ends."""
    name = {"work": work}
    with pool.connection() as connection:
        row = connection.execute(_TRY, name).fetchone()
        mine = row is not None and bool(row["mine"])
        try:
            yield mine
        finally:
            if mine and not connection.closed:
                connection.execute(_RELEASE, name)
