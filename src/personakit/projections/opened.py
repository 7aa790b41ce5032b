"""Events as a projection's statements take them: opened, in today's shape, in rounds for set-based SQL."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from personakit.eventlog import codec
from personakit.eventlog.person_keys import PersonKey
from personakit.eventlog.stored import StreamId

ERASING: Final = frozenset({"PersonErased", "PersonaErased"})
"""What takes all before it about its person or persona away: no quarantine holds it up."""


class EventRow(msgspec.Struct, frozen=True):
    """The columns of `personakit.events_of`."""

    position: int
    recorded_at: datetime
    tenant: str
    stream: UUID
    version: int
    person: UUID | None
    payload: msgspec.Raw


class Opened(NamedTuple):
    """An event, or why it could not be opened."""

    name: str
    stream_id: StreamId
    row: EventRow
    error: Exception | None = None

    @property
    def about(self) -> UUID:
        """The person whom it is about, or else the entity."""
        return self.row.person or self.row.stream


def open_event(row: Sequence[Any], keys: Mapping[UUID, PersonKey]) -> Opened | None:
    """The event in a row of the query `batch`; None for one about somebody who was erased, or about a
    created persona from before somebody was whom it viewed."""
    position, recorded_at, tenant, kind, stream, version, person, topic, state, _ = row
    if person is not None and (person not in keys or position <= keys[person].sealed_after):
        return None
    stream_id = StreamId(tenant, kind, stream)
    payload, error = b"{}", None
    if state is not None:
        try:
            clear = codec.unseal(state, keys[person], stream_id, version, topic) if person else state
            payload = codec.current_json(topic, clear)
        except (codec.SealBroken, codec.UnknownTopic, msgspec.MsgspecError) as failed:
            error = failed
    found = EventRow(position, recorded_at, tenant, stream, version, person, msgspec.Raw(payload))
    return Opened(topic.partition(".")[0], stream_id, found, error)


def as_json(events: Sequence[Opened], columns: Sequence[str], members: frozenset[str] | None) -> str:
    """A batch as one JSON array: of each event the columns that are looked at, and no more of its content
    than `members` (None: all)."""
    rows = [{name: getattr(event.row, name) for name in columns} for event in events]
    if members is not None and "payload" in columns:
        for row in rows:
            row["payload"] = _only(row["payload"], members)
    return msgspec.json.encode(rows).decode()


_contents = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _only(payload: msgspec.Raw, members: frozenset[str]) -> msgspec.Raw:
    content = _contents.decode(payload)
    if content.keys() <= members:
        return payload
    return msgspec.Raw(msgspec.json.encode({name: content[name] for name in members & content.keys()}))


def rounds(events: Iterable[Opened], *, apart: bool) -> list[tuple[str, list[Opened]]]:
    """Splits events into rounds, each of one type and with at most one event a stream, to be applied one
    after another: statements are set-based, and one statement may change a row once.

    Events of one type on different streams commute. Where events about different people do (`apart`), an
    event joins the first round of its type that comes after all that happened to its person; else a round
    ends where the type changes.
    """
    made: list[tuple[str, list[Opened]]] = []
    of_type: defaultdict[str, list[int]] = defaultdict(list)
    last_of_stream: dict[StreamId, int] = {}
    last_of_person: dict[UUID, int] = {}
    run_began = 0
    for event in events:
        if not apart and made and made[-1][0] != event.name:
            run_began = len(made)
        bound = max(run_began, last_of_stream.get(event.stream_id, -1) + 1)
        if apart:
            bound = max(bound, _after_person(made, last_of_person.get(event.about), event.name))
        mine = of_type[event.name]
        at = bisect_left(mine, bound)
        if at == len(mine):
            mine.append(len(made))
            made.append((event.name, []))
        index = mine[at]
        made[index][1].append(event)
        last_of_stream[event.stream_id] = index
        last_of_person[event.about] = max(index, last_of_person.get(event.about, index))
    return made


def _after_person(made: Sequence[tuple[str, list[Opened]]], last: int | None, name: str) -> int:
    """The first round that an event of this type may join after its person's last one."""
    if last is None:
        return 0
    return last if made[last][0] == name else last + 1
