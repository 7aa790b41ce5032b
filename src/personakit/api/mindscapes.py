"""`/mindscapes`: all that is believed about a person, now or as of then, and how it came to be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, get

from personakit.agents.service import Service
from personakit.api import present
from personakit.api.answers import NEWEST, answer, asks_position, next_page, page_after, page_size, person_of
from personakit.api.as_of import require_known, resolve
from personakit.api.dependencies import CallerGiven, ServiceGiven
from personakit.api.hot_reads import read_persona
from personakit.api.parameters import AsOfGiven, PageAfter, PageLimit, PersonIdInPath
from personakit.domain.mindscape import DERIVATION
from personakit.eventlog.access import ApiKey
from personakit_sdk import wire


@get("/{personId:str}", sync_to_thread=True, operation_id="getMindscape", summary="Read a mindscape")
def get_mindscape(
    service: ServiceGiven,
    caller: CallerGiven,
    request: Request[str, Any, Any],
    person_id: PersonIdInPath,
    as_of: AsOfGiven = None,
) -> Response[wire.Mindscape]:
    """A person's traits, each with its confidence as of now, or as they were with their confidence as of
    then (of a position, when it was recorded). A person without any has version 0."""
    now = datetime.now(UTC)
    if as_of is None:
        return show(service, caller, person_id, now, cached=not asks_position(request.scope))
    return show_past(service, caller, person_id, as_of, now)


@get(
    "/{personId:str}/history",
    sync_to_thread=True,
    operation_id="listMindscapeVersions",
    summary="Read a mindscape's history",
)
def list_versions(
    service: ServiceGiven,
    caller: CallerGiven,
    person_id: PersonIdInPath,
    after: PageAfter = None,
    limit: PageLimit = None,
) -> Response[wire.MindscapeVersionList]:
    """A mindscape's history, newest first: what each version changed, why and by whom."""
    person = person_of(service, caller, person_id).surrogate
    size, before, position = page_size(limit), page_after(after, NEWEST), service.reader.head()
    versions = service.past.history(caller.tenant, person, before=before, limit=size)
    items = [present.mindscape_version(version) for version in versions]
    page = wire.MindscapeVersionList(items=items, next=next_page(items, size, lambda item: item.version))
    return answer(page, position)


def show(
    service: Service, caller: ApiKey, person_id: str, now: datetime, *, cached: bool
) -> Response[wire.Mindscape]:
    """The mindscape as it is: what the person's own persona views."""
    person = person_of(service, caller, person_id).surrogate
    hot, position = read_persona(service, caller, person_id, cached=cached)
    through = {DERIVATION: 0} | hot.derived_through[person_id]
    return answer(
        present.mindscape(person_id, hot.state.mindscapes[person], through, now, position), position
    )


def show_past(
    service: Service, caller: ApiKey, person_id: str, as_of: str, now: datetime
) -> Response[wire.Mindscape]:
    """The mindscape as it was."""
    person = person_of(service, caller, person_id).surrogate
    then = resolve(service, as_of, now)
    require_known(service, caller.tenant, person_id, person, then)
    past = service.past.mindscape(caller.tenant, person, then.position)
    shown = present.mindscape(person_id, past.mindscape, past.derived_through, then.instant, then.position)
    return answer(shown, then.position)
