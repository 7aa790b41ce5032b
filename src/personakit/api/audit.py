"""`/audit`: who read or changed whose data."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter

from personakit.api.answers import NEWEST, answer, next_page, page_after, page_size, person_of
from personakit.api.dependencies import CallerGiven, ServiceGiven
from personakit.api.parameters import PageAfter, PageLimit
from personakit.api.touched import touch_all
from personakit.eventlog.audit import COMMAND_STATUS, Asked, Audited
from personakit_sdk import wire


@get(
    "/audit",
    sync_to_thread=True,
    tags=["audit"],
    operation_id="getAudit",
    summary="Read who read or changed whose data",
)
def get_audit(
    service: ServiceGiven,
    caller: CallerGiven,
    person_id: Annotated[
        str | None, QueryParameter(name="personId", description="Of this person's data; without it, of all")
    ] = None,
    key: Annotated[
        str | None, QueryParameter(description="By the key with this id, or by commands: `cli`")
    ] = None,
    operation: Annotated[
        str | None, QueryParameter(description="By this operation, for example `mapPersona`")
    ] = None,
    after: PageAfter = None,
    limit: PageLimit = None,
) -> Response[wire.AuditList]:
    """Who read or changed whose data, by which operation and with what outcome, the newest first. What is
    equal within an hour is one entry. It comes up to a second late."""
    person = None if person_id is None else person_of(service, caller, person_id).surrogate
    size, before = page_size(limit), page_after(after, NEWEST)
    asked = Asked(person, key, operation)
    rows = service.audit.page(caller.tenant, asked, before, size, datetime.now(UTC))
    touch_all(row.person for row in rows if row.person_id is not None)
    page = wire.AuditList(items=[entry(row) for row in rows], next=next_page(rows, size, lambda row: row.id))
    return answer(page, service.position)


def entry(row: Audited) -> wire.AuditEntry:
    """A row as a caller sees it."""
    return wire.AuditEntry(
        person_id=row.person_id,
        key=row.key,
        key_name=row.key_name,
        operation=row.operation,
        status=None if row.status == COMMAND_STATUS else row.status,
        times=row.times,
        first_at=row.first_at,
        last_at=row.last_at,
        position=row.position,
    )
