"""`/personas`: a person's persona, and making its core anew."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Response, Router, get, post
from litestar.params import FromPath

from personakit.agents.service import Service
from personakit.api import present
from personakit.api.answers import answer, persona_of
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit_sdk import wire

WAIT_SECONDS = 30.0


@get("/{persona_id:str}", sync_to_thread=True)
def get_persona(
    service: ServiceGiven, tenant: TenantGiven, persona_id: FromPath[str]
) -> Response[wire.Persona]:
    """A persona: its cached core with whether it is stale, and its overlay read live."""
    return show(service, tenant, persona_id)


@post("/{persona_id:str}/regenerate", status_code=200, sync_to_thread=True)
def regenerate(
    service: ServiceGiven, tenant: TenantGiven, persona_id: FromPath[str]
) -> Response[wire.Persona]:
    """Make the core anew from today's mindscapes. Costs nothing as long as no model is used."""
    made = service.regenerator.regenerate(tenant, persona_of(service, tenant, persona_id))
    if made is not None:
        service.reader.wait_for_projections(made, WAIT_SECONDS)
    return show(service, tenant, persona_id)


def show(service: Service, tenant: str, persona_id: str) -> Response[wire.Persona]:
    """The persona as of one snapshot."""
    persona = persona_of(service, tenant, persona_id)
    with service.reader.snapshot() as snapshot:
        state = present.persona_state(snapshot, tenant, persona_id, persona)
    shown = present.persona(state, [persona_id], datetime.now(UTC), snapshot.position)
    return answer(shown, snapshot.position)


router = Router("/personas", route_handlers=[get_persona, regenerate], tags=["personas"])
