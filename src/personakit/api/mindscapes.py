"""`/mindscapes`: all that is believed about a person."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Response, Router, get

from personakit.agents.mindscaper import mindscape_of
from personakit.api import present
from personakit.api.answers import answer, person_of
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit.api.openapi import PersonIdInPath
from personakit_sdk import wire


@get("/{personId:str}", sync_to_thread=True, operation_id="getMindscape", summary="Read a mindscape")
def get_mindscape(
    service: ServiceGiven, tenant: TenantGiven, person_id: PersonIdInPath
) -> Response[wire.Mindscape]:
    """A person's traits, each with its confidence as of now. A person without any has version 0."""
    person = person_of(service, tenant, person_id).surrogate
    with service.reader.snapshot() as snapshot:
        row = snapshot.row("mindscapes.by_person", tenant=tenant, person=person)
        derived = snapshot.rows("derivation_due.of_people", tenant=tenant, people=[person])
    mindscape = mindscape_of(row)
    shown = wire.Mindscape(
        person_id=person_id,
        version=mindscape.version,
        traits=present.traits(mindscape.visible_traits(), datetime.now(UTC)),
        derived_through={each["derivation"]: each["read_through"] for each in derived},
        position=snapshot.position,
    )
    return answer(shown, snapshot.position)


router = Router("/mindscapes", route_handlers=[get_mindscape], tags=["mindscapes"])
