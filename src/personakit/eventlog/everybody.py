"""Everybody of a tenant, as callers know them and as the log does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

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
    rows = recorder.rows_of(tenant, "listed", people=people, after=after, limit=limit)
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
    rows = recorder.rows_of(tenant, "person", person_id=person_id)
    return Known(person_id, rows[0]["person"]) if rows else None


def _page(recorder: LogRecorder, tenant: str, after: UUID) -> list[Known]:
    rows = recorder.rows_of(tenant, "people_of_tenant", after=after, limit=PAGE)
    return [Known(row["person_id"], row["person"]) for row in rows]
