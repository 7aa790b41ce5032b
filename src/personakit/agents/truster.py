"""The part of the Adjuster that moves how far a person's traits are believed."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from functools import partial
from uuid import UUID

import msgspec

from personakit.agents.mindscapes import read_mindscape
from personakit.domain.mindscape import evolve
from personakit.domain.trust import DaysVotes, adjust_trust, votes_on_traits
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Streams
from personakit.projections.read import Reader


class Truster:
    """Reads what a person voted, on all mappers, and moves the trust in the traits that it rests on."""

    def __init__(self, reader: Reader, streams: Streams) -> None:
        self._reader = reader
        self._streams = streams

    def unsettled(self, tenant: str, today: date) -> set[UUID]:
        """Those whose trust has further to go than the day of its last step allowed."""
        with self._reader.snapshot(tenant) as snapshot:
            rows = snapshot.rows("mindscapes.unsettled", tenant=tenant, today=today)
        return {row["person"] for row in rows}

    def adjust(self, tenant: str, person: UUID, today: date, read_through: int) -> int:
        """One pass for one person; how many events it made. Nothing becomes of the votes of a created
        persona, which do not say whose traits they are about."""
        with self._reader.snapshot(tenant) as snapshot:
            rows = snapshot.rows("votes.of_persona", tenant=tenant, persona=person)
            mappers = sorted({row["mapper_id"] for row in rows})
            active = snapshot.rows("mappers.active_by_ids", tenant=tenant, mapper_ids=mappers)
        documents = {row["mapper_id"]: row["document"] for row in active}
        votes = votes_on_traits(msgspec.convert(rows, list[DaysVotes]), documents, today)
        start = read_mindscape(self._reader, tenant, person)
        decide = partial(adjust_trust, votes=votes, today=today, read_through=read_through)
        if decide(start.state) is None:
            return 0
        with suppress(PersonErased):
            stream = StreamId(tenant, "mindscape", person)
            return self._streams.update(stream, start, evolve, decide, person=person).position is not None
        return 0
