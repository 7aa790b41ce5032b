"""`/personas`: personas beside people's own are created, listed, defined anew and retired."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post, put
from litestar.openapi import ResponseSpec
from litestar.params import RawBody

from personakit.agents.service import Service
from personakit.api import bodies
from personakit.api.answers import (
    WAIT_SECONDS,
    answer,
    next_page,
    no_persona,
    page_size,
    person_of,
)
from personakit.api.dependencies import CallerGiven, OriginGiven, ServiceGiven
from personakit.api.openapi import documented
from personakit.api.parameters import IdempotencyKey, PageAfterId, PageLimit, PersonaIdInPath, ReasonIfAny
from personakit.api.personas import get_persona, persona_there, regenerate, show
from personakit.api.touched import touch_all
from personakit.api.trait_paths import is_pattern
from personakit.domain.events import PersonaDefined, PersonaRetired
from personakit.eventlog.access import ApiKey
from personakit.eventlog.intake import id_of_key
from personakit.eventlog.people import persona_id as id_of
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput


@get("/", sync_to_thread=True, operation_id="listPersonas", summary="List the personas")
def list_personas(
    service: ServiceGiven,
    caller: CallerGiven,
    after: PageAfterId = "",
    limit: PageLimit = None,
) -> Response[wire.PersonaList]:
    """The personas that the key may see, by id, without their cores: people's own, and those that were
    created."""
    size, limits = page_size(limit), caller.grant.limits
    with service.reader.snapshot(caller.tenant) as snapshot:
        rows = snapshot.rows(
            "personas.page",
            tenant=caller.tenant,
            after=after,
            limit=size,
            people=None if limits is None else list(limits.people),
            named=[] if limits is None else list(limits.personas),
        )
    for row in rows:
        touch_all(row["people"] or ())
    items = [
        wire.PersonaSummary(
            id=row["id"],
            name=row["name"],
            people=row["people_ids"],
            is_stale=row["is_stale"],
            core_version=row["core_version"],
            stale_since=row["stale_since"],
        )
        for row in rows
    ]
    page = wire.PersonaList(items=items, next=next_page(items, size, lambda item: item.id))
    return answer(page, snapshot.position)


@post(
    "/",
    status_code=201,
    sync_to_thread=True,
    operation_class=documented(wire.DefinePersona),
    operation_id="createPersona",
    summary="Create a persona",
    responses={200: ResponseSpec(wire.Persona, description="It was created before", generate_examples=False)},
)
def create_persona(
    service: ServiceGiven,
    caller: CallerGiven,
    origin: OriginGiven,
    body: RawBody,
    key: IdempotencyKey = None,
) -> Response[wire.Persona]:
    """Create a persona of one or more people: 201, its id begins with `~`. The same again with the same
    Idempotency-Key: 200 and the persona that was created first, as it is now. A key without `read` is told
    nothing of its traits."""
    defined = _defined(service, caller, body, origin)
    id_ = None if key is None else id_of_key(caller.tenant, key)
    created = service.personas.create(caller.tenant, defined, id_)
    service.until_shown(created.position, WAIT_SECONDS)
    status = 201 if created.new else 200
    return _told(service, caller, id_of(created.persona), status)


@put(
    "/{personaId:str}",
    sync_to_thread=True,
    operation_class=documented(wire.DefinePersona),
    operation_id="redefinePersona",
    summary="Define a persona anew",
)
def redefine_persona(
    service: ServiceGiven,
    caller: CallerGiven,
    origin: OriginGiven,
    persona_id: PersonaIdInPath,
    body: RawBody,
) -> Response[wire.Persona]:
    """Give a created persona another definition. Its core is stale from then on. A key without `read` is told
    nothing of its traits."""
    persona = _created(service, caller, persona_id)
    position = service.personas.redefine(caller.tenant, persona, _defined(service, caller, body, origin))
    service.until_shown(position or service.reader.head(), WAIT_SECONDS)
    return _told(service, caller, persona_id)


@delete(
    "/{personaId:str}",
    status_code=200,
    sync_to_thread=True,
    operation_id="retirePersona",
    summary="Retire a persona",
)
def retire_persona(
    service: ServiceGiven,
    caller: CallerGiven,
    origin: OriginGiven,
    persona_id: PersonaIdInPath,
    reason: ReasonIfAny = "",
) -> Response[wire.PersonaRetired]:
    """Take a created persona away. Those of people go with the person (DELETE /people/{personId})."""
    persona = _created(service, caller, persona_id)
    said = bodies.storable(reason, "reason")
    position = service.personas.retire(caller.tenant, persona, PersonaRetired(origin=origin, reason=said))
    if position is None:
        raise no_persona(persona_id)
    service.until_shown(position, WAIT_SECONDS)
    return answer(wire.PersonaRetired(id=persona_id, position=position), position)


def _told(service: Service, caller: ApiKey, persona_id: str, status: int = 200) -> Response[wire.Persona]:
    """The persona; for a key that may not read, without anything that it shows of its people."""
    shown = show(service, caller, persona_id, datetime.now(UTC), cached=False, status=status)
    if caller.grant.may_read:
        return shown
    persona = shown.content
    bare = msgspec.structs.replace(
        persona,
        core=msgspec.structs.replace(persona.core, traits={}, summary=""),
        overlay={},
        changed_traits=[],
        learned={},
        consented_to=[],
    )
    return answer(bare, persona.position, status)


def _created(service: Service, caller: ApiKey, persona_id: str) -> UUID:
    """The UUID of a created persona. Raises InvalidInput for a person's own, NotFound for none."""
    if not persona_id.startswith("~"):
        raise InvalidInput(
            f"{persona_id!r} is a person's own persona, which is of that person and all their traits; "
            "POST /personas makes another.",
            (Fault("personaId", "a person's own"),),
        )
    return persona_there(service, caller, persona_id)


def _defined(service: Service, caller: ApiKey, body: bytes, origin: str) -> PersonaDefined:
    sent = bodies.decode(body, wire.DefinePersona)
    people = tuple(person_of(service, caller, person_id).surrogate for person_id in sent.people)
    faults = [
        Fault(f"/uses/{n}", f"{path!r} is no path")
        for n, path in enumerate(sent.uses or ())
        if not is_pattern(path)
    ]
    if len(set(people)) < len(people):
        faults.append(Fault("/people", "somebody is named twice"))
    if faults:
        raise InvalidInput(
            f"The persona is not valid at {faults[0].pointer}: {faults[0].message}.", tuple(faults)
        )
    paths = None if sent.uses is None else tuple(dict.fromkeys(sent.uses))
    return PersonaDefined(people=people, name=sent.name, paths=paths, origin=origin)


router = Router(
    "/personas",
    route_handlers=[list_personas, create_persona, get_persona, redefine_persona, retire_persona, regenerate],
    tags=["personas"],
)
