"""Everybody of a tenant, as callers know them and as the log does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from personakit.eventlog.log_sql import SQL
from personakit.eventlog.recorder import LogRecorder

PAGE: Final = 500
_NOBODY: Final = UUID(int=0)


class Known(NamedTuple):
    """Somebody, or a created persona, by both names: `id` is the callers'."""

    id: str
    surrogate: UUID


class Listed(NamedTuple):
    """A person in a list, and since when they are known."""

    id: str
    surrogate: UUID
    registered_at: datetime


def listed(
    recorder: LogRecorder, tenant: str, people: Sequence[str] | None, after: str, limit: int
) -> list[Listed]:
    """A page of the people of a tenant by their ids, without created personas; with `people`, of those
    alone."""
    values = {"tenant": tenant, "people": people, "after": after, "limit": limit}
    with recorder.datastore.get_connection() as connection:
        rows = connection.execute(SQL["listed"], values).fetchall()
    return [Listed(row["person_id"], row["person"], row["created_at"]) for row in rows]


def everybody(recorder: LogRecorder, tenant: str) -> Iterator[Known]:
    """The people and created personas of a tenant, in an order that says nothing of them; in memory is a
    page of them."""
    after = _NOBODY
    while found := _page(recorder, tenant, after):
        yield from found
        after = found[-1].surrogate


def somebody(recorder: LogRecorder, tenant: str, person_id: str) -> Known | None:
    """The one with this id, or None."""
    with recorder.datastore.get_connection() as connection:
        row = connection.execute(SQL["person"], {"tenant": tenant, "person_id": person_id}).fetchone()
    return None if row is None else Known(person_id, row["person"])


def _page(recorder: LogRecorder, tenant: str, after: UUID) -> list[Known]:
    with recorder.datastore.get_connection() as connection:
        values = {"tenant": tenant, "after": after, "limit": PAGE}
        rows = connection.execute(SQL["people_of_tenant"], values).fetchall()
    return [Known(row["person_id"], row["person"]) for row in rows]
