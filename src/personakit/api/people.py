"""`/people`: who is known, and everything that is held about one of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from litestar import Response, Router, get
from litestar.datastructures import ResponseHeader, State

from personakit.api.answers import (
    POSITION,
    WAIT_SECONDS,
    answer,
    next_page,
    page_size,
    person_of,
)
from personakit.api.dependencies import CallerGiven, ServiceGiven
from personakit.api.parameters import PageAfterId, PageLimit, PersonIdInPath
from personakit.api.person_export import export
from personakit.api.streamed import Streamed
from personakit.api.touched import touch_all
from personakit.eventlog.everybody import listed
from personakit_sdk import wire


@get("/", sync_to_thread=True, operation_id="listPeople", summary="List the people")
def list_people(
    service: ServiceGiven, caller: CallerGiven, after: PageAfterId = "", limit: PageLimit = None
) -> Response[wire.PersonList]:
    """The people who are known (something was recorded about them, or they were made, or asked for consent),
    by id, with since when; those alone whom the key may see."""
    size, limits = page_size(limit), caller.grant.limits
    people = None if limits is None else sorted(limits.people)
    rows = listed(service.recorder, caller.tenant, people, after, size)
    touch_all(row.surrogate for row in rows)
    items = [wire.KnownPerson(id=row.id, registered_at=row.registered_at) for row in rows]
    page = wire.PersonList(items=items, next=next_page(items, size, lambda item: item.id))
    return answer(page, service.position)


_FILE: Final = ResponseHeader(
    name="Content-Disposition", description="What a browser calls the file", documentation_only=True
)


@get(
    "/{personId:str}/export",
    sync_to_thread=True,
    operation_id="exportPerson",
    response_headers=[_FILE],
    summary="Export all that is held about a person",
)
def export_person(
    service: ServiceGiven, caller: CallerGiven, person_id: PersonIdInPath, state: State
) -> Response[wire.PersonExport]:
    """Everything that is held about a person, as of one position of the log, which all read models have
    reached; and who read or changed it, up to now. The answer is made while it is sent, so that its size has
    no bound; one that is cut off is no JSON, and is to be asked for again."""
    person = person_of(service, caller, person_id).surrogate
    service.reader.wait_for_projections(service.reader.head(), WAIT_SECONDS)
    made = export(service, caller, person_id, person, datetime.now(UTC))
    headers = {
        POSITION: str(made.position),
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{person_id}.json"',
    }
    return Streamed(state.streams, made.pieces, headers)


router = Router("/people", route_handlers=[list_people, export_person], tags=["people"])
