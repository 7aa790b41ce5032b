"""`GET /sync`: what changed since a cursor or an instant."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from personakit.agents.service import Service
from personakit.api.answers import answer, page_size
from personakit.api.as_of import AHEAD
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit.api.parameters import PageLimit
from personakit.api.sync.cursor import Cursor, decode_cursor, encode_cursor
from personakit.api.sync.items import items_of
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput

VALID_DAYS = 7
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


@get("/sync", sync_to_thread=True, tags=["sync"], operation_id="sync", summary="Pull what changed")
def sync(
    service: ServiceGiven,
    tenant: TenantGiven,
    since: Annotated[
        str | None, QueryParameter(description="A cursor, or an RFC 3339 instant; without it, everything")
    ] = None,
    limit: PageLimit = None,
) -> Response[wire.SyncAnswer]:
    """Mappers and personas that changed since `since`: a cursor from `next`, an RFC 3339 instant, or
    nothing for all there is. Ask again with `next` until `upToDate`."""
    size = page_size(limit)
    now = datetime.now(UTC)
    with service.reader.snapshot() as snapshot:
        after = _position(service, snapshot, tenant, since, now)
        # A body may be older than its change as long as some read model lags. Such an item is served, and
        # the cursor stays below its change, so that it comes again when its body is new.
        through = snapshot.position
        rows = snapshot.rows("changes.since", tenant=tenant, after=after, limit=size + 1)
        full, rows = len(rows) > size, rows[:size]
        items = items_of(snapshot, tenant, rows, now)
    more = full or any(row["position"] > through for row in rows)
    reached = min(rows[-1]["position"], through) if full else through
    found = wire.SyncAnswer(
        epoch=service.epoch,
        intent="full" if since is None else "changes" if items else "none",
        items=items,
        next=encode_cursor(Cursor(service.epoch, tenant, max(after, reached)), service.secret),
        has_more=more,
        up_to_date=not more,
        as_of=now,
        position=snapshot.position,
        valid_until=now + timedelta(days=VALID_DAYS),
    )
    return answer(found, snapshot.position, headers={"Cache-Control": "no-store"})


def _position(service: Service, snapshot: Snapshot, tenant: str, since: str | None, now: datetime) -> int:
    """The position after which to look. An instant is inclusive; up to five minutes ahead counts as now."""
    if since is None:
        return 0
    if not _TIMESTAMP.match(since):
        return decode_cursor(since, service, tenant).position
    try:
        instant = msgspec.convert(since, wire.Instant)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"`since` must be a cursor or an instant with an offset, as in 2026-03-02T09:00:00Z: {error}.",
            (Fault("since", str(error)),),
        ) from None
    if instant > now + AHEAD:
        raise InvalidInput(f"`since` is {since}, which lies in the future; check your clock.")
    row = snapshot.row("changes.position_before", tenant=tenant, instant=min(instant, now))
    return row["position"] if row else 0
