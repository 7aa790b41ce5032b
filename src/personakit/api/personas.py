"""`/personas`: a person's persona, and making its core anew."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.openapi import ResponseSpec

from personakit.agents.past import AsOf, PastPersona
from personakit.agents.regenerations import StillRegenerating
from personakit.agents.service import Service
from personakit.api import present
from personakit.api.answers import answer, asks_position, no_persona, persona_of, require_persona
from personakit.api.as_of import require_known, resolve
from personakit.api.dependencies import CallerGiven, ServiceGiven
from personakit.api.hot_reads import read_persona
from personakit.api.parameters import AsOfGiven, PersonaIdInPath
from personakit.api.problems import NotFound
from personakit.api.regenerating import offer
from personakit.api.regenerating import regenerate as make_anew
from personakit.api.touched import touch_all
from personakit.eventlog.access import ApiKey
from personakit_sdk import wire


@get("/{personaId:str}", sync_to_thread=True, operation_id="getPersona", summary="Read a persona")
def get_persona(
    service: ServiceGiven,
    caller: CallerGiven,
    request: Request[str, Any, Any],
    persona_id: PersonaIdInPath,
    as_of: AsOfGiven = None,
) -> Response[wire.Persona]:
    """A persona: its cached core with whether it is stale, and its overlay read live; or all of it as it
    was, stale as it was."""
    now = datetime.now(UTC)
    if as_of is None:
        return show(service, caller, persona_id, now, cached=not asks_position(request.scope))
    return show_past(service, caller, persona_id, as_of, now)


@post(
    "/{personaId:str}/regenerate",
    status_code=200,
    sync_to_thread=True,
    operation_id="regeneratePersona",
    summary="Make a persona's core anew",
    responses={202: ResponseSpec(wire.Persona, description="It is under way", generate_examples=False)},
)
def regenerate(
    service: ServiceGiven, caller: CallerGiven, persona_id: PersonaIdInPath
) -> Response[wire.Persona]:
    """Make the core anew from today's mindscapes. Where a model writes the summary this costs: about what
    `regenerate.estimate` of the persona says. When it takes longer than 30 seconds the answer is 202 with the
    old core; when it fails, 502 or, with the budget spent, 503, and the old core goes on serving."""
    persona = persona_there(service, caller, persona_id)
    status = 200
    try:
        make_anew(service, caller.tenant, persona)
    except StillRegenerating:
        status = 202
    return show(service, caller, persona_id, datetime.now(UTC), cached=False, status=status)


def persona_there(service: Service, caller: ApiKey, persona_id: str) -> UUID:
    """The UUID of a persona that has this id: that of a person with a ~ before it is none. Raises
    NotFound."""
    persona = persona_of(service, caller, persona_id)
    with service.reader.snapshot(caller.tenant) as snapshot:
        row = snapshot.row("personas.by_id", tenant=caller.tenant, personas=[persona])
    if row is None or row["own"] == persona_id.startswith("~"):
        raise no_persona(persona_id)
    touch_all(row["people"])
    return persona


def show(
    service: Service, caller: ApiKey, persona_id: str, now: datetime, *, cached: bool, status: int = 200
) -> Response[wire.Persona]:
    """The persona as it is."""
    hot, position = read_persona(service, caller, persona_id, cached=cached)
    return answer(_shown(service, hot.state, now, position), position, status)


def _shown(service: Service, state: present.PersonaState, at: datetime, position: int) -> wire.Persona:
    offered = offer(service, state)
    return msgspec.structs.replace(present.persona(state, at, position), regenerate=offered)


def show_past(
    service: Service, caller: ApiKey, persona_id: str, as_of: str, now: datetime
) -> Response[wire.Persona]:
    """The persona as it was."""
    persona = persona_of(service, caller, persona_id)
    then = resolve(service, as_of, now)
    state = present.past_persona(past_of(service, caller, persona_id, persona, then), persona_id, persona)
    names = service.people.names(caller.tenant, state.people)
    state = msgspec.structs.replace(state, people_ids=tuple(names[person] for person in state.people))
    return answer(_shown(service, state, then.instant, then.position), then.position)


def past_of(service: Service, caller: ApiKey, persona_id: str, persona: UUID, then: AsOf) -> PastPersona:
    """The persona as it was. Raises NotFound where it was not there, or its person was not known."""
    own = not persona_id.startswith("~")
    if own:
        require_known(service, caller.tenant, persona_id, persona, then)
    past = service.past.persona(caller.tenant, persona, then.position, own=own)
    if past is None:
        raise NotFound(f"At position {then.position} there was no persona {persona_id!r}.")
    people = list(past.definition.people)
    require_persona(caller, persona_id, service.people.names(caller.tenant, people).values())
    touch_all(people)
    return past
