"""`/keys`: what opens a tenant. A secret is answered once, when its key is made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from litestar import Response, Router, delete, get, post
from litestar.params import PathParameter, RawBody

from personakit.api import bodies
from personakit.api.answers import answer, next_page, page_size
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit.api.openapi import documented
from personakit.api.parameters import PageAfterId, PageLimit
from personakit.domain.grant import granted
from personakit.domain.rate import Rate
from personakit.eventlog.access import grant_key, list_keys, revoke_key, rotate_key
from personakit_sdk import wire

KeyIdInPath = Annotated[str, PathParameter(name="keyId", description="How the key begins: its `id`")]
_UNSEEN = {"Cache-Control": "no-store"}


@post(
    "/",
    status_code=201,
    sync_to_thread=True,
    operation_class=documented(wire.CreateKey),
    operation_id="createKey",
    summary="Create an API key",
)
def create(service: ServiceGiven, tenant: TenantGiven, body: RawBody) -> Response[wire.CreatedKey]:
    """Create a key of this tenant. The secret is in this answer and never again: a hash of it is kept."""
    sent = bodies.decode(body, wire.CreateKey)
    grant = granted(sent.scopes, sent.people, sent.personas)
    rate = None if sent.rate is None else Rate(sent.rate.requests, sent.rate.items)
    made = grant_key(service.recorder, tenant, sent.name, grant, sent.expires_at, rate)
    return answer(made.shown(), service.position, 201, _UNSEEN)


@get("/", sync_to_thread=True, operation_id="listKeys", summary="List the API keys")
def list_all(
    service: ServiceGiven, tenant: TenantGiven, after: PageAfterId = "", limit: PageLimit = None
) -> Response[wire.KeyList]:
    """The keys of this tenant, without their secrets: what each may, its end, and when it was used last."""
    size = page_size(limit)
    items = [key.shown() for key in list_keys(service.recorder, tenant, after, size)]
    page = wire.KeyList(items=items, next=next_page(items, size, lambda item: item.id))
    return answer(page, service.position)


@delete(
    "/{keyId:str}",
    status_code=200,
    sync_to_thread=True,
    operation_id="revokeKey",
    summary="Revoke an API key",
)
def revoke(service: ServiceGiven, tenant: TenantGiven, key_id: KeyIdInPath) -> Response[wire.ApiKey]:
    """Let a key open nothing any more, within a second in every process. To revoke it again does nothing."""
    return answer(revoke_key(service.recorder, tenant, key_id).shown(), service.position)


@post(
    "/{keyId:str}/rotate",
    status_code=201,
    sync_to_thread=True,
    operation_class=documented(wire.RotateKey),
    operation_id="rotateKey",
    summary="Rotate an API key",
)
def rotate(
    service: ServiceGiven, tenant: TenantGiven, key_id: KeyIdInPath, body: RawBody
) -> Response[wire.CreatedKey]:
    """Create a key with the name, scopes, limits, expiry and rate of this one, which itself goes on for
    `overlapSeconds` and ends then. What clients of `/sync` hold stays good."""
    overlap = timedelta(seconds=bodies.decode(body, wire.RotateKey).overlap_seconds)
    made = rotate_key(service.recorder, tenant, key_id, overlap, datetime.now(UTC))
    return answer(made.shown(), service.position, 201, _UNSEEN)


router = Router("/keys", route_handlers=[create, list_all, revoke, rotate], tags=["keys"])
