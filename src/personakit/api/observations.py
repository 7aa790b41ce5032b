"""`/observations`: record one or many, list a person's, retract one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.params import PathParameter, QueryParameter

from personakit.agents.service import Service
from personakit.api import bodies
from personakit.api.answers import answer, header, next_page, page_after, page_size, person_of, require_person
from personakit.api.dependencies import CallerGiven, ServiceGiven, idempotency_key, service_of
from personakit.api.openapi import documented
from personakit.api.parameters import PageAfter, PageLimit, ReasonIfAny
from personakit.api.problems import NotFound, problem_of
from personakit.api.rates import take_items
from personakit.api.touched import touch, touch_named
from personakit.eventlog.access import ApiKey
from personakit.eventlog.corrections import Refused
from personakit.eventlog.intake import Fate, id_of_key
from personakit.eventlog.retractions import not_recorded
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput

MAX_BATCH = 500
Item = wire.Observation | tuple[UUID | None, Exception]
_NDJSON = {"type": "string", "description": "An Observation on each line"}


@post(
    "/",
    status_code=201,
    operation_class=documented(wire.Observation, repeated="It was stored before", keyed=True),
    operation_id="recordObservation",
    summary="Record an observation",
)
async def record(request: Request[str, ApiKey, Any]) -> Response[wire.Written]:
    """Record one observation: 201 stored, 200 a repeat of one that is stored, 409 its id is taken."""
    body = await bodies.read_body(request)
    observation = bodies.plain_observation(body) or bodies.decode_item(body, wire.Observation)
    if observation.id is None and (key := idempotency_key(request.scope)) is not None:
        observation = msgspec.structs.replace(observation, id=id_of_key(request.user, key))
    require_person(request.auth, observation.person_id)
    take_items(request.scope, 1)
    service = service_of(request)
    (fate,) = await service.intake.record_async(request.user, [observation])
    touch_named(service, request.user, [observation.person_id])
    if isinstance(fate, Refused):
        raise fate
    written = wire.Written(id=fate.id, position=fate.position, status=fate.status)
    return answer(written, fate.position, 201 if fate.status == "stored" else 200)


@post(
    "/batch",
    status_code=200,
    operation_class=documented(list[wire.Observation], as_well={"application/x-ndjson": _NDJSON}),
    operation_id="recordObservations",
    summary="Record many observations",
)
async def record_batch(request: Request[str, ApiKey, Any]) -> Response[wire.BatchAnswer]:
    """Record up to 500 observations, as a JSON array or as NDJSON. Each needs an id; one that is bad is
    rejected alone, and the others are committed together."""
    service, body = service_of(request), await bodies.read_body(request)
    content_type = header(request.scope, b"content-type") or ""
    items = _plain_items(body, content_type)
    if items is None:
        items = await asyncio.to_thread(_items, body, content_type)
    take_items(request.scope, len(items))
    if request.auth.grant.limits is not None:
        items = [_allowed(request.auth, item) for item in items]
    good = [item for item in items if isinstance(item, wire.Observation)]
    fates = iter(await service.intake.record_async(request.user, good) if good else [])
    touch_named(service, request.user, {item.person_id for item in good})
    results = [
        _result(next(fates)) if isinstance(item, wire.Observation) else _rejected(*item) for item in items
    ]
    position = max((result.position or 0 for result in results), default=0)
    return answer(wire.BatchAnswer(results=results), position or await asyncio.to_thread(service.reader.head))


@get("/", sync_to_thread=True, operation_id="listObservations", summary="List a person's observations")
def list_observations(
    service: ServiceGiven,
    caller: CallerGiven,
    person_id: Annotated[str, QueryParameter(name="personId", description="Whose observations")],
    after: PageAfter = None,
    limit: PageLimit = None,
    retracted: Annotated[
        bool, QueryParameter(description="Those too that were retracted or have expired")
    ] = False,
) -> Response[wire.ObservationList]:
    """A person's observations, in the order in which they were recorded."""
    person = person_of(service, caller, person_id).surrogate
    size = page_size(limit)
    with service.reader.snapshot(caller.tenant) as snapshot:
        rows = snapshot.rows(
            "observations.listed",
            tenant=caller.tenant,
            person=person,
            after=page_after(after, 0),
            retracted=retracted,
            now=datetime.now(UTC),
            limit=size,
        )
    items = [stored(row, person_id) for row in rows]
    page = wire.ObservationList(items=items, next=next_page(items, size, lambda item: item.position))
    return answer(page, snapshot.position)


@delete(
    "/{observationId:uuid}",
    status_code=200,
    sync_to_thread=True,
    operation_id="retractObservation",
    summary="Retract an observation",
)
def retract(
    service: ServiceGiven,
    caller: CallerGiven,
    observation_id: Annotated[
        UUID, PathParameter(name="observationId", description="The id it was recorded under")
    ],
    reason: ReasonIfAny = "",
) -> Response[wire.Retracted]:
    """Take an observation back: it counts no longer, and the traits that it went into are derived anew
    without it. Its id stays taken. To retract it again does nothing, and tells what the first time did."""
    if caller.grant.limits is not None:
        _require_about(service, caller, observation_id)
    done = service.retractions.retract(
        caller.tenant, observation_id, bodies.storable(reason, "reason") or None
    )
    touch(done.person)
    shown = wire.Retracted(
        id=observation_id,
        position=done.position,
        status="repeated" if done.repeated else "retracted",
        cause=done.event.cause,
        reason=done.event.reason,
        superseded_by=done.event.superseded_by,
    )
    return answer(shown, done.position)


def _allowed(caller: ApiKey, item: Item) -> Item:
    """The item, or that whom it is about is not there for the caller."""
    if isinstance(item, wire.Observation):
        try:
            require_person(caller, item.person_id)
        except NotFound as refused:
            return item.id, refused
    return item


def _require_about(service: Service, caller: ApiKey, observation: UUID) -> None:
    """Raises NotRecorded for an observation of somebody who is not there for the caller."""
    person = service.retractions.person_of(caller.tenant, observation)
    if not caller.grant.has_person(service.people.names(caller.tenant, [person])[person]):
        raise not_recorded(observation)


def _split(body: bytes, content_type: str) -> list[msgspec.Raw]:
    """The items of a batch, not read yet. NDJSON by its media type, or when it does not begin with [."""
    if "ndjson" in content_type or not body.lstrip().startswith(b"["):
        items = [msgspec.Raw(line) for line in body.splitlines() if line.strip()]
    else:
        items = bodies.decode_items(body)
    if not 1 <= len(items) <= MAX_BATCH:
        raise InvalidInput(f"A batch has 1 to {MAX_BATCH} observations; this one has {len(items)}.")
    return items


def _plain_items(body: bytes, content_type: str) -> list[Item] | None:
    """The observations of an ordinary batch; None for one that is to be read item by item."""
    plain = bodies.plain_observations(body) if "ndjson" not in content_type else None
    if plain is None or not 1 <= len(plain) <= MAX_BATCH or any(item.id is None for item in plain):
        return None
    return list(plain)


def _items(body: bytes, content_type: str) -> list[Item]:
    """Each observation of a batch, or what is wrong with it. Raises InvalidInput for a body that is none."""
    return [_item(raw) for raw in _split(body, content_type)]


def _item(raw: msgspec.Raw) -> Item:
    """An observation, or what is wrong with it and the id it bears if one can be read."""
    try:
        return _with_id(bodies.decode_item(raw, wire.Observation))
    except InvalidInput as error:
        return bodies.id_in(raw), error


def _with_id(observation: wire.Observation) -> wire.Observation:
    if observation.id is None:
        raise InvalidInput(
            "An observation in a batch needs an id (a UUID), so that sending the batch again is harmless.",
            (Fault("/id", "missing"),),
        )
    return observation


def _result(fate: Fate) -> wire.BatchResult:
    if isinstance(fate, Refused):
        return _rejected(fate.id, fate)
    return wire.BatchResult(id=fate.id, status=fate.status, position=fate.position)


def _rejected(id_: UUID | None, error: Exception) -> wire.BatchResult:
    return wire.BatchResult(id=id_, status="rejected", problem=problem_of(error))


def stored(row: dict[str, Any], person_id: str) -> wire.StoredObservation:
    """A row of the read model as a caller sees it."""
    return wire.StoredObservation(
        id=row["id"],
        person_id=person_id,
        type=row["type"],
        content=row["content"],
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        position=row["position"],
        source=row["source"],
        metadata=row["metadata"],
        supersedes=row["supersedes"],
        expires_at=row["expires_at"],
        retraction=_retraction(row),
    )


def _retraction(row: dict[str, Any]) -> wire.Retraction | None:
    if row["retracted"] is None:
        return None
    return wire.Retraction(
        position=row["retracted"],
        at=row["retracted_at"],
        cause=row["cause"],
        reason=row["reason"],
        superseded_by=row["superseded_by"],
    )


router = Router(
    "/observations", route_handlers=[record, record_batch, list_observations, retract], tags=["observations"]
)
