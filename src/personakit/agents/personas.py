"""Personas beside people's own: defined, defined anew, retired."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

from personakit.agents.regenerator import state_in
from personakit.domain.events import PersonaDefined, PersonaRetired
from personakit.domain.persona import CoreState, definition_of, evolve
from personakit.eventlog.appender import wait
from personakit.eventlog.people import People
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.read import Reader


class Personas:
    """Appends to the streams of created personas. What is said there is sealed with a key of the persona's
    own, which dies with that of any of its people."""

    def __init__(self, reader: Reader, streams: Streams, people: People) -> None:
        self._reader = reader
        self._streams = streams
        self._people = people

    def create(self, tenant: str, event: PersonaDefined) -> tuple[UUID, int]:
        """A new persona; its UUID, and the event's position."""
        persona = uuid4()
        self._people.give_key(tenant, persona)
        appended = wait(self._streams.offer(_stream(tenant, persona), 1, event, person=persona))
        return persona, appended[0].position

    def redefine(self, tenant: str, persona: UUID, event: PersonaDefined) -> int | None:
        """Another definition; the event's position, or None where it has this one already or is not there."""

        def decide(state: CoreState) -> PersonaDefined | None:
            there = state.definition is not None and not state.retired
            same = (state.definition, state.name) == (definition_of(event), event.name)
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
        with self._reader.snapshot() as snapshot:
            row = snapshot.row("personas.by_id", tenant=tenant, personas=[persona])
        if row is None or row["own"]:
            return None
        start = Loaded(state_in(row), row["version"])
        return self._streams.update(_stream(tenant, persona), start, evolve, decide, person=persona).position


def _stream(tenant: str, persona: UUID) -> StreamId:
    return StreamId(tenant, "persona", persona)
