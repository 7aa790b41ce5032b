"""Everybody of a tenant, as callers know them and as the log does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple
from uuid import UUID

from personakit.eventlog.recorder import LogRecorder

PAGE: Final = 500
_NOBODY: Final = UUID(int=0)


class Known(NamedTuple):
    """Somebody, or a created persona, by both names: `id` is the callers'."""

    id: str
    surrogate: UUID


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
