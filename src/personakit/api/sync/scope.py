"""What a client is shown by `/sync`: what its key may see, as far as it asked for it."""

from __future__ import annotations

import hashlib
from uuid import UUID

import msgspec

from personakit.agents.service import Service
from personakit.domain.grant import Limits
from personakit.eventlog.access import ApiKey
from personakit.eventlog.people import persona_id as id_of
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput

MOST_PERSONAS = 100
EVERYTHING = "*"
"""What every key of a tenant may see."""


class Shown(msgspec.Struct, frozen=True):
    """The personas of a scope by their UUIDs; None is all. Those that have `left` it were in it once."""

    personas: frozenset[str] | None = None
    left: frozenset[str] = frozenset()

    def only(self, asked: frozenset[str]) -> Shown:
        """Of these, those asked for."""
        return Shown(asked if self.personas is None else asked & self.personas, asked & self.left)


class Scope(msgspec.Struct, frozen=True):
    """A tenant, and in it the personas that are asked for, as far as a key is limited to them; None is all.
    All mappers belong to it."""

    tenant: str
    personas: tuple[str, ...] | None = None
    limits: Limits | None = None

    @property
    def hash(self) -> str:
        """What is shown, in 32 hexadecimal digits: another filter or other limits of a key, another hash."""
        limits = self.limits
        seen = EVERYTHING if limits is None else [sorted(limits.people), sorted(limits.personas)]
        return hashlib.sha256(msgspec.json.encode([seen, self.tenant, self.personas])).hexdigest()[:32]

    def shown(self, snapshot: Snapshot, asked: list[str] | None) -> Shown:
        """The personas that are shown; `asked` are those asked for."""
        may = Shown() if self.limits is None else _within(snapshot, self.tenant, self.limits)
        return may if asked is None else may.only(frozenset(asked))

    def asked(self, service: Service) -> list[str] | None:
        """The UUIDs of the personas asked for, as the read model knows them. Who is not there yet has none:
        they come when they are there. Who was erased has that of then: it is told that they are gone."""
        if self.personas is None:
            return None
        found = (_entities(service, self.tenant, persona_id) for persona_id in self.personas)
        return [entity for entities in found for entity in entities]


def _within(snapshot: Snapshot, tenant: str, limits: Limits) -> Shown:
    rows = snapshot.rows(
        "changes.in_scope", tenant=tenant, people=list(limits.people), named=list(limits.personas)
    )
    there = frozenset(row["entity"] for row in rows if row["now"])
    return Shown(there, frozenset(row["entity"] for row in rows) - there)


def scope_of(caller: ApiKey, persona_ids: list[str] | None) -> Scope:
    """The scope of a request. Raises InvalidInput for too many ids, or for what is no persona's id."""
    if not persona_ids:
        return Scope(caller.tenant, limits=caller.grant.limits)
    asked = tuple(sorted(set(persona_ids)))
    if len(asked) > MOST_PERSONAS:
        raise InvalidInput(
            f"`personaId` names {len(asked)} personas; it may name {MOST_PERSONAS}. Leave it out for all.",
            (Fault("personaId", "too many"),),
        )
    for each in asked:
        _require_id(each)
    return Scope(caller.tenant, asked, caller.grant.limits)


def _require_id(persona_id: str) -> None:
    try:
        msgspec.convert(persona_id, wire.PersonaId)
    except msgspec.ValidationError:
        raise InvalidInput(
            f"`personaId` is {persona_id!r}, which no persona has for an id.", (Fault("personaId", "no id"),)
        ) from None


def _entities(service: Service, tenant: str, persona_id: str) -> list[str]:
    if persona_id.startswith("~"):
        try:
            persona = UUID(persona_id[1:])
        except ValueError:
            return []
        return [str(persona)] if id_of(persona) == persona_id else []
    person = service.people.find(tenant, persona_id)
    those = service.people.erased(tenant, persona_id) if person is None else [person.surrogate]
    return [str(each) for each in those]
