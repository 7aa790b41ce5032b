"""`/personas`: a person's persona, and making its core anew."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Response, Router, get, post

from personakit.agents.service import Service
from personakit.api import present
from personakit.api.answers import answer, persona_of
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit.api.openapi import PersonaIdInPath
from personakit_sdk import wire

WAIT_SECONDS = 30.0


@get("/{personaId:str}", sync_to_thread=True, operation_id="getPersona", summary="Read a persona")
def get_persona(
    service: ServiceGiven, tenant: TenantGiven, persona_id: PersonaIdInPath
) -> Response[wire.Persona]:
    """A persona: its cached core with whether it is stale, and its overlay read live."""
    return show(service, tenant, persona_id)


@post(
    "/{personaId:str}/regenerate",
    status_code=200,
    sync_to_thread=True,
    operation_id="regeneratePersona",
    summary="Make a persona's core anew",
)
def regenerate(
    service: ServiceGiven, tenant: TenantGiven, persona_id: PersonaIdInPath
) -> Response[wire.Persona]:
    """Make the core anew from today's mindscapes. Costs nothing as long as no model is used."""
    made = service.regenerator.regenerate(tenant, persona_of(service, tenant, persona_id))
    # Without one made now, another caller's may have been committed and not be shown yet.
    service.reader.wait_for_projections(made or service.reader.head(), WAIT_SECONDS)
    return show(service, tenant, persona_id)


def show(service: Service, tenant: str, persona_id: str) -> Response[wire.Persona]:
    """The persona as of one snapshot."""
    persona = persona_of(service, tenant, persona_id)
    with service.reader.snapshot() as snapshot:
        state = present.persona_state(snapshot, tenant, persona_id, persona)
    shown = present.persona(state, [persona_id], datetime.now(UTC), snapshot.position)
    return answer(shown, snapshot.position)


router = Router("/personas", route_handlers=[get_persona, regenerate], tags=["personas"])
