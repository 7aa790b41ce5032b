"""The Regenerator: makes persona cores, once per set of mindscape versions however many ask."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from personakit.agents.mindscaper import mindscape_in, mindscape_of
from personakit.domain.events import PersonaCoreGenerated
from personakit.domain.mindscape import EMPTY, Mindscape
from personakit.domain.persona import CoreState, compose_core, evolve
from personakit.eventlog.appender import wait
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.recorder import VersionConflict
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.read import Reader, Snapshot


class Regenerator:
    """Composes cores from mindscapes."""

    def __init__(self, reader: Reader, streams: Streams) -> None:
        self._reader = reader
        self._streams = streams

    def first_cores(self, limit: int) -> int:
        """Composes the first core of personas that have none although there are traits, `limit` at most,
        read together and appended together; how many were made. Whom another process came first for has
        one."""
        with self._reader.snapshot() as snapshot:
            rows = snapshot.rows("personas.without_core", limit=limit)
        offered = []
        for row in rows:
            core = compose_core({row["person"]: mindscape_in(row)})
            stream = StreamId(row["tenant"], "persona", row["persona"])
            with suppress(PersonErased):
                offered.append(
                    self._streams.offer(stream, row["persona_version"] + 1, core, person=row["person"])
                )
        made = 0
        for future in offered:
            with suppress(VersionConflict, PersonErased):
                wait(future)
                made += 1
        return made

    def regenerate(self, tenant: str, persona: UUID) -> int | None:
        """Composes a core from today's mindscapes; the event's position, or None when the newest core is
        of these or newer ones."""
        with self._reader.snapshot() as snapshot:
            row = snapshot.row("personas.by_id", tenant=tenant, personas=[persona])
            if row is None:
                return None
            core = compose_core(mindscapes_of(snapshot, tenant, row["people"]))

        def decide(state: CoreState) -> PersonaCoreGenerated | None:
            return core if _newer(core, state) else None

        start = Loaded(CoreState(row["core_version"], row["made_from"] or {}), row["version"])
        stream = StreamId(tenant, "persona", persona)
        return self._streams.update(stream, start, evolve, decide, person=row["people"][0]).position


def _newer(core: PersonaCoreGenerated, state: CoreState) -> bool:
    """Whether the core saw a mindscape version that the newest one did not: never the other way round."""
    return any(
        version > state.made_from.get(person, -1) for person, version in core.mindscape_versions.items()
    )


def mindscapes_of(snapshot: Snapshot, tenant: str, people: list[UUID]) -> dict[UUID, Mindscape]:
    """The mindscapes of these people, in their order; empty ones for those without."""
    rows = snapshot.rows("mindscapes.by_people", tenant=tenant, people=people)
    found = {row["person"]: mindscape_of(row) for row in rows}
    return {person: found.get(person, EMPTY) for person in people}
