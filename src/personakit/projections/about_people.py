"""All that the log says about a person, opened, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from personakit.eventlog import codec
from personakit.eventlog.person_keys import EventErased, PersonErased, PersonKeys
from personakit.eventlog.recorder import notification_of
from personakit.eventlog.stored import LogNotification
from personakit.projections.read import Reader

PAGE: Final = 100
"""Events in memory at a time: one may have 256 KiB."""


class Opened(NamedTuple):
    """An event as it was appended: `payload` is its JSON, in the shape that its topic names."""

    row: LogNotification
    payload: bytes


def events_about(
    reader: Reader, keys: PersonKeys, tenant: str, people: Sequence[UUID], through: int
) -> Iterator[list[Opened]]:
    """Pages of the events about a person, who is the first of `people`, and about personas of theirs, up to a
    position, in the order of the log.

    Each page is a transaction of its own, so that whoever reads slowly holds none: what stands at or below a
    position never changes, and all pages together are one state of the log. Raises PersonErased as soon as
    the key of one of them is gone, whatever this process remembers.
    """
    after = 0
    while page := _page(reader, tenant, people, after, through):
        rows = [notification_of(row) for row in page]
        yield [opened for row in rows if (opened := _opened(keys, row)) is not None]
        after = page[-1]["position"]


def _page(
    reader: Reader, tenant: str, people: Sequence[UUID], after: int, through: int
) -> list[dict[str, Any]]:
    whose = {"tenant": tenant, "person": people[0], "people": list(people)}
    with reader.snapshot(tenant) as snapshot:
        (there,) = snapshot.log_rows("alive", tenant=tenant, people=list(people))
        if there["people"] < len(people):
            raise PersonErased
        return snapshot.rows("observations.history", after=after, through=through, limit=PAGE, **whose)


def _opened(keys: PersonKeys, row: LogNotification) -> Opened | None:
    """None for what was said of a persona before it began anew: it was about somebody who was erased, too."""
    try:
        return Opened(row, codec.open_state(row, keys.of_event(row)))
    except EventErased:
        return None
