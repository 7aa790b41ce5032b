"""The created personas that view a person: those of them alone, and what concerns them of those that they
share with others."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple
from uuid import UUID

import msgspec

from personakit.agents.service import Service
from personakit.domain.events import PersonaCoreGenerated, PersonaDefined, PersonaRetired
from personakit.eventlog.access import ApiKey
from personakit.eventlog.people import persona_id as id_of
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.stored import LogNotification, StreamId
from personakit.projections.read import Snapshot
from personakit_sdk import wire


class Created(NamedTuple):
    """Those that never viewed anybody else, and what is told of the others."""

    alone: list[UUID]
    shared: list[wire.SharedPersona]

    @property
    def shared_ids(self) -> list[str]:
        """The ids of those others."""
        return [each.id for each in self.shared]


def created_personas(service: Service, snapshot: Snapshot, caller: ApiKey, person: UUID) -> Created:
    """The personas that view a person, or did, as they are told to that person; without those whose key is
    gone, of which nothing can be read, and those that are shared and not there for the caller."""
    tenant, created = caller.tenant, Created([], [])
    for row in snapshot.rows("changes.viewing", tenant=tenant, person=person):
        persona = row["persona"]
        with suppress(PersonErased):
            seen = _seen(service, snapshot, tenant, person, persona)
            if seen.people == {person}:
                created.alone.append(persona)
            elif _is_there(snapshot, caller, persona):
                asked = {"tenant": tenant, "person": persona, "through": snapshot.position}
                topics = snapshot.log_rows("topics_about", **asked)
                created.shared.append(seen.told(persona, {each["topic"]: each["events"] for each in topics}))
    return created


def _is_there(snapshot: Snapshot, caller: ApiKey, persona: UUID) -> bool:
    """Whether the caller may see the persona, which a key that is limited to people may not for one of them
    alone."""
    if caller.grant.limits is None:
        return True
    row = snapshot.row("personas.by_id", tenant=caller.tenant, personas=[persona])
    return caller.grant.has_persona(id_of(persona), (row and row["people_ids"]) or [])


def _seen(service: Service, snapshot: Snapshot, tenant: str, person: UUID, persona: UUID) -> _Seen:
    """What there is to see in the persona's stream. Raises PersonErased."""
    seen = _Seen(person)
    stream = StreamId(tenant, "persona", persona)
    for row, event in service.streams.events(stream, through=snapshot.position):
        match event:
            case PersonaDefined() | PersonaRetired():
                seen.defined(row, event)
            case PersonaCoreGenerated():
                seen.core(row, event)
    return seen


class _Seen:
    """What one person is told of a persona: when it viewed them and what it used, and when its cores were
    made. Not its name, which is of several people, nor what a core says: even which trait was taken for it
    would tell that another one has that trait as well."""

    def __init__(self, person: UUID) -> None:
        self._person = person
        self.people: set[UUID] = set()
        self._views: list[wire.SharedView] = []
        self._cores: list[wire.SharedCore] = []

    def defined(self, row: LogNotification, event: PersonaDefined | PersonaRetired) -> None:
        """It was defined, or retired, which ends what it was before."""
        if self._views and self._views[-1].until is None:
            ended = msgspec.structs.replace(self._views[-1], until=row.id, until_at=row.recorded_at)
            self._views[-1] = ended
        if isinstance(event, PersonaRetired):
            return
        self.people.update(event.people)
        if self._person in event.people:
            uses = None if event.paths is None else list(event.paths)
            view = wire.SharedView(
                since=row.id, since_at=row.recorded_at, until=None, until_at=None, uses=uses
            )
            self._views.append(view)

    def core(self, row: LogNotification, event: PersonaCoreGenerated) -> None:
        """A core was made, which is told where something of the person's may have gone in."""
        version = event.mindscape_versions.get(str(self._person))
        if version is not None:
            core = wire.SharedCore(
                position=row.id,
                recorded_at=row.recorded_at,
                source=event.source,
                mindscape_version=version,
            )
            self._cores.append(core)

    def told(self, persona: UUID, held_back: dict[str, int]) -> wire.SharedPersona:
        """All of it."""
        return wire.SharedPersona(
            id=id_of(persona), views=self._views, cores=self._cores, held_back=held_back
        )
