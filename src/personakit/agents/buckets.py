"""Buckets of people: one process derives a bucket at a time, or two would do the same work and conflict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from personakit.projections.builds import Pool

_TRY = "SELECT pg_try_advisory_lock(hashtextextended('personakit bucket ' || %(bucket)s, 0)) AS mine"
_RELEASE = "SELECT pg_advisory_unlock(hashtextextended('personakit bucket ' || %(bucket)s, 0))"


@contextmanager
def alone_with(pool: Pool, bucket: int) -> Iterator[bool]:
    """Whether no other process is at this bucket, nor will be until the block ends. The lock goes with the
    connection, however that ends."""
    name = {"bucket": str(bucket)}
    with pool.connection() as connection:
        row = connection.execute(_TRY, name).fetchone()
        mine = row is not None and bool(row["mine"])
        try:
            yield mine
        finally:
            if mine and not connection.closed:
                connection.execute(_RELEASE, name)
