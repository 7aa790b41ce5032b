"""The Curator: pins traits in mindscapes, and unpins them, whoever else changes the mindscape."""

from __future__ import annotations

from uuid import UUID

from personakit.agents.mindscapes import read_mindscape
from personakit.domain import curation
from personakit.domain.events import TraitPinned, TraitUnpinned
from personakit.domain.mindscape import Mindscape, Pin, evolve
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Streams
from personakit.projections.read import Reader


class Curator:
    """Appends to mindscapes what somebody says of them."""

    def __init__(self, reader: Reader, streams: Streams) -> None:
        self._reader = reader
        self._streams = streams

    def pin(self, tenant: str, person: UUID, path: str, pin: Pin) -> int | None:
        """Pins a trait; the event's position, or None where it is pinned so already. Raises PersonErased."""

        def decide(mindscape: Mindscape) -> TraitPinned | None:
            return curation.pin(mindscape, path, pin)

        start = read_mindscape(self._reader, tenant, person)
        stream = StreamId(tenant, "mindscape", person)
        return self._streams.update(stream, start, evolve, decide, person=person).position

    def unpin(self, tenant: str, person: UUID, path: str, reason: str, origin: str) -> int | None:
        """Takes a pin away; the event's position. Raises NotPinned, PersonErased."""

        def decide(mindscape: Mindscape) -> TraitUnpinned:
            return curation.unpin(mindscape, path, reason, origin)

        start = read_mindscape(self._reader, tenant, person)
        stream = StreamId(tenant, "mindscape", person)
        return self._streams.update(stream, start, evolve, decide, person=person).position
