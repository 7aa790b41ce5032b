"""`/sync`: what changed since a cursor or an instant."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from personakit.agents.service import Service
from personakit.api import present
from personakit.api.answers import answer, page_size
from personakit.api.as_of import AHEAD
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit.api.parameters import PageLimit
from personakit.api.problems import CursorExpired
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput

VALID_DAYS = 7
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a client stands: signed, so that it cannot be moved to another tenant or log."""

    epoch: UUID
    tenant: str
    position: int


_cursor = msgspec.json.Decoder(Cursor)


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
        items = _items(snapshot, tenant, rows, now)
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


def encode_cursor(cursor: Cursor, secret: bytes) -> str:
    """The cursor as opaque text: its content and an HMAC under the log's secret."""
    content = msgspec.json.encode(cursor)
    return base64.urlsafe_b64encode(_signature(content, secret) + content).decode().rstrip("=")


def decode_cursor(text: str, service: Service, tenant: str) -> Cursor:
    """The cursor that `encode_cursor` made. Raises InvalidInput for another text, CursorExpired for a
    cursor of another log or tenant."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        signature, content = data[:16], data[16:]
        genuine = hmac.compare_digest(signature, _signature(content, service.secret))
        cursor = _cursor.decode(content) if genuine else None
    except (ValueError, msgspec.MsgspecError):
        cursor = None
    if cursor is None:
        raise CursorExpired("This cursor is not of this service; begin again without `since`.")
    if (cursor.epoch, cursor.tenant) != (service.epoch, tenant):
        raise CursorExpired("This cursor is of another log; begin again without `since`.")
    return cursor


def _signature(content: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, content, hashlib.sha256).digest()[:16]


def _items(snapshot: Snapshot, tenant: str, rows: list[dict[str, Any]], now: datetime) -> list[wire.SyncItem]:
    put = [row for row in rows if row["op"] == "put"]
    mappers = [row["entity"] for row in put if row["kind"] == "mapper"]
    personas = [UUID(row["entity"]) for row in put if row["kind"] == "persona"]
    shown: dict[tuple[str, str], tuple[str, Any]] = {
        **_mappers(snapshot, tenant, mappers),
        **_personas(snapshot, tenant, personas, now),
    }
    return [item for row in rows if (item := _item(row, shown)) is not None]


def _item(row: dict[str, Any], shown: dict[tuple[str, str], tuple[str, Any]]) -> wire.SyncItem | None:
    """What is said of a change; None where its body is still to come, or is gone again by a later change,
    which is said when it is reached."""
    if row["op"] == "delete":
        gone = f"~{row['entity']}" if row["kind"] == "persona" else row["entity"]
        return wire.SyncItem(kind=row["kind"], id=gone, version=row["position"], op="delete")
    if (row["kind"], row["entity"]) not in shown:
        return None
    id_, body = shown[row["kind"], row["entity"]]
    return wire.SyncItem(kind=row["kind"], id=id_, version=row["position"], op="put", body=body)


def _mappers(
    snapshot: Snapshot, tenant: str, ids: list[str]
) -> dict[tuple[str, str], tuple[str, wire.SyncedMapper]]:
    rows = snapshot.rows("mappers.active_by_ids", tenant=tenant, mapper_ids=ids) if ids else []
    return {
        ("mapper", row["mapper_id"]): (
            row["mapper_id"],
            wire.SyncedMapper(
                id=row["mapper_id"], version=row["version"], hash=row["hash"], document=row["document"]
            ),
        )
        for row in rows
    }


def _personas(
    snapshot: Snapshot, tenant: str, ids: list[UUID], now: datetime
) -> dict[tuple[str, str], tuple[str, wire.SyncedPersona]]:
    states = present.persona_states(snapshot, tenant, ids) if ids else []
    return {
        ("persona", str(state.persona)): (
            state.id,
            wire.SyncedPersona(
                id=state.id,
                people=list(state.people_ids),
                core=present.core(state, now),
                is_stale=state.is_stale,
                core_version=state.core_version,
                traits=present.facts(state),
                mindscape_versions={
                    name: state.mindscapes[person].version
                    for name, person in zip(state.people_ids, state.people, strict=True)
                },
            ),
        )
        for state in states
    }
