"""What a client is shown by `/sync`: what its key may see, as far as it asked for it."""

from __future__ import annotations

import hashlib
from uuid import UUID

import msgspec

from personakit.agents.service import Service
from personakit.eventlog.people import persona_id as id_of
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput

MOST_PERSONAS = 100
EVERYTHING = "*"
"""What every key of a tenant may see."""


class Scope(msgspec.Struct, frozen=True):
    """A tenant, and in it the personas asked for; None is all. All mappers belong to it."""

    tenant: str
    personas: tuple[str, ...] | None = None

    @property
    def hash(self) -> str:
        """What is shown, in 32 hexadecimal digits: another key or filter, another hash."""
        return hashlib.sha256(msgspec.json.encode([EVERYTHING, self.tenant, self.personas])).hexdigest()[:32]

    def entities(self, service: Service) -> list[str] | None:
        """The personas' UUIDs, as the read model knows them. Who is not there yet has none: they come when
        they are there."""
        if self.personas is None:
            return None
        found = (_entity(service, self.tenant, persona_id) for persona_id in self.personas)
        return [entity for entity in found if entity is not None]


def scope_of(tenant: str, persona_ids: list[str] | None) -> Scope:
    """The scope of a request. Raises InvalidInput for too many ids, or for what is no persona's id."""
    if not persona_ids:
        return Scope(tenant)
    asked = tuple(sorted(set(persona_ids)))
    if len(asked) > MOST_PERSONAS:
        raise InvalidInput(
            f"`personaId` names {len(asked)} personas; it may name {MOST_PERSONAS}. Leave it out for all.",
            (Fault("personaId", "too many"),),
        )
    for each in asked:
        _require_id(each)
    return Scope(tenant, asked)


def _require_id(persona_id: str) -> None:
    try:
        msgspec.convert(persona_id, wire.PersonaId)
    except msgspec.ValidationError:
        raise InvalidInput(
            f"`personaId` is {persona_id!r}, which no persona has for an id.", (Fault("personaId", "no id"),)
        ) from None


def _entity(service: Service, tenant: str, persona_id: str) -> str | None:
    if persona_id.startswith("~"):
        try:
            persona = UUID(persona_id[1:])
        except ValueError:
            return None
        return str(persona) if id_of(persona) == persona_id else None
    person = service.people.find(tenant, persona_id)
    return None if person is None else str(person.surrogate)
