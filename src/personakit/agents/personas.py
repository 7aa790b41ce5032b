"""Personas beside people's own: defined, defined anew, retired."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID, uuid4

from personakit.agents.regenerator import state_in
from personakit.domain.events import PersonaDefined, PersonaRetired
from personakit.domain.persona import CoreState, Definition, definition_of, evolve
from personakit.eventlog.appender import wait
from personakit.eventlog.intake import IdTaken
from personakit.eventlog.people import People
from personakit.eventlog.recorder import VersionConflict
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.read import Reader


class Created(NamedTuple):
    """A created persona, where its first event stands, and whether that is of now."""

    persona: UUID
    position: int
    new: bool


class Personas:
    """Appends to the streams of created personas. What is said there is sealed with a key of the persona's
    own, which dies with that of any of its people."""

    def __init__(self, reader: Reader, streams: Streams, people: People) -> None:
        self._reader = reader
        self._streams = streams
        self._people = people

    def create(self, tenant: str, event: PersonaDefined, id_: UUID | None = None) -> Created:
        """A new persona; of the same `id_` the one that was made first, however often it is asked for. Raises
        IdTaken where that was defined otherwise."""
        persona = id_ or uuid4()
        self._people.give_key(tenant, persona)
        stream = _stream(tenant, persona)
        try:
            appended = wait(self._streams.offer(stream, 1, event, person=persona))
        except VersionConflict:
            return self._made_before(stream, event)
        return Created(persona, appended[0].position, new=True)

    def _made_before(self, stream: StreamId, event: PersonaDefined) -> Created:
        stored, first = next(self._streams.events(stream))
        if not isinstance(first, PersonaDefined) or _says(first) != _says(event):
            raise IdTaken("persona", stream.stream)
        return Created(stream.stream, stored.id, new=False)

    def redefine(self, tenant: str, persona: UUID, event: PersonaDefined) -> int | None:
        """Another definition; the event's position, or None where it has this one already or is not there."""

        def decide(state: CoreState) -> PersonaDefined | None:
            there = state.definition is not None and not state.retired
            same = (state.definition, state.name) == _says(event)
            return event if there and not same else None

        return self._change(tenant, persona, decide)

    def retire(self, tenant: str, persona: UUID, event: PersonaRetired) -> int | None:
        """Takes a created persona away; the event's position, or None where it is not there."""

        def decide(state: CoreState) -> PersonaRetired | None:
            return event if state.definition is not None and not state.retired else None

        return self._change(tenant, persona, decide)

    def _change(
        self,
        tenant: str,
        persona: UUID,
        decide: Callable[[CoreState], PersonaDefined | PersonaRetired | None],
    ) -> int | None:
        with self._reader.snapshot(tenant) as snapshot:
            row = snapshot.row("personas.by_id", tenant=tenant, personas=[persona])
        if row is None or row["own"]:
            return None
        start = Loaded(state_in(row), row["version"])
        return self._streams.update(_stream(tenant, persona), start, evolve, decide, person=persona).position


def _stream(tenant: str, persona: UUID) -> StreamId:
    return StreamId(tenant, "persona", persona)


def _says(event: PersonaDefined) -> tuple[Definition, str]:
    """What a definition says, whoever gave it."""
    return definition_of(event), event.name
