"""What followers tell, with their commit, to whoever caches what was read: which definitions moved how far,
and whose rows may have changed. Told over PostgreSQL's NOTIFY, so it arrives in the order of the commits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import DictRow

CHANNEL = "moved"
MOST_MARKS = 600
"""A message may have 8,000 bytes; a step that touched more than these says that anything may have changed."""


class Moved(msgspec.Struct, frozen=True, array_like=True):
    """`marks` are those of the people and entities whose rows may have changed; None is everybody."""

    definitions: list[str]
    through: int
    marks: list[str] | None


def mark(about: UUID) -> str:
    """A short name for a person or entity. Two may share one: then both are read again."""
    return about.hex[-8:]


def tell(
    connection: Connection[DictRow], definitions: Sequence[str], through: int, about: Collection[UUID] | None
) -> None:
    """Tells it when the transaction commits; `about` None means that anything may have changed."""
    marks = None if about is None or len(about) > MOST_MARKS else sorted({mark(each) for each in about})
    message = msgspec.json.encode(Moved(list(definitions), through, marks)).decode()
    connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, message))


def read(message: str) -> Moved:
    """The message that `tell` sent."""
    return msgspec.json.decode(message, type=Moved)
