"""`/mappers`: list, read, upload, withdraw; what else is done with them is put together here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, Router, delete, get, post, put
from litestar.params import QueryParameter, RawBody

from personakit.agents.service import Service
from personakit.api.answers import answer, next_page, page_size
from personakit.api.dependencies import OriginGiven, ServiceGiven, TenantGiven
from personakit.api.document_answers import ETAG
from personakit.api.etags import tags_in
from personakit.api.learned_weights import adjust_weights, get_weights
from personakit.api.mapper_answers import changed, shown_as_asked, unknown
from personakit.api.mapper_documents import MAPPER, accepted
from personakit.api.mapper_validation import validate
from personakit.api.mapper_versions import diff_versions, get_version, list_versions, publish_version
from personakit.api.mapper_weights import change_weight
from personakit.api.openapi import documented
from personakit.api.parameters import IfMatch, MapperIdInPath, PageAfterId, PageLimit, ReasonGiven
from personakit.api.uploads import refuse_other_id, uploaded
from personakit.domain.events import MapperPublished, MapperWithdrawn
from personakit.domain.mapper import MapperState, Status, publish, require_known, withdraw
from personakit.domain.publishing import Provenance
from personakit_sdk import wire

Operator = Annotated[
    str | None,
    QueryParameter(max_length=64, description="Only those with a trait check of this operator"),
]
_StatusToGive = Annotated[
    Status, QueryParameter(description="`active` puts it to use, in the place of the version before")
]


@get("/", sync_to_thread=True, operation_id="listMappers", summary="List the mappers")
def list_mappers(
    service: ServiceGiven,
    tenant: TenantGiven,
    status: Annotated[
        Literal["draft", "active", "deprecated"] | None,
        QueryParameter(description="Only those of this status; without it, all that are not withdrawn"),
    ] = None,
    trait: Annotated[
        str | None,
        QueryParameter(
            max_length=2048,
            description="Only those with a trait check at this path or below it, as in `work.focus_duration`",
        ),
    ] = None,
    operator: Operator = None,
    suggestion_type: Annotated[
        str | None,
        QueryParameter(
            name="suggestionType", max_length=128, description="Only those that suggest this type"
        ),
    ] = None,
    after: PageAfterId = "",
    limit: PageLimit = None,
) -> Response[wire.MapperList]:
    """The mappers, by id, without their documents. `trait` and `operator` together look for one check that
    has both."""
    size = page_size(limit)
    facets = _facets(trait, operator, suggestion_type)
    asked = {"tenant": tenant, "status": status, "after": after, "limit": size}
    with service.reader.snapshot(tenant) as snapshot:
        if facets:
            wanted = msgspec.json.encode(facets).decode()
            rows = snapshot.rows("mappers.list_by_facets", facets=wanted, **asked)
        else:
            rows = snapshot.rows("mappers.list", **asked)
    items = [_summary(row) for row in rows]
    page = wire.MapperList(items=items, next=next_page(items, size, lambda item: item.id))
    return answer(page, snapshot.position)


@get(
    "/{mapperId:str}",
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_class=documented(document=True),
    operation_id="getMapper",
    summary="Read a mapper",
)
def get_mapper(
    service: ServiceGiven, tenant: TenantGiven, mapper_id: MapperIdInPath, request: Request[Any, Any, Any]
) -> Response[wire.Mapper]:
    """A mapper at its active version; one that was only ever a draft, as that draft; a withdrawn one
    (`deprecated`) as it was. With `Accept: application/yaml` its document alone, as it was uploaded."""
    with service.reader.snapshot(tenant) as snapshot:
        row = snapshot.row("mappers.by_id", tenant=tenant, mapper_id=mapper_id)
    if row is None:
        raise unknown(mapper_id)
    return shown_as_asked(request, row, snapshot.position)


@post(
    "/",
    status_code=201,
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_class=documented(
        dict[str, Any],
        as_well={"application/yaml": None},
        repeated="It is there already; no version was made",
    ),
    operation_id="uploadMapper",
    summary="Publish a mapper",
)
def upload(
    service: ServiceGiven,
    tenant: TenantGiven,
    origin: OriginGiven,
    body: RawBody,
    request: Request[Any, Any, Any],
    status: _StatusToGive = "active",
    reason: ReasonGiven = "",
    if_match: IfMatch = None,
) -> Response[wire.Mapper]:
    """Publish a mapper: 201 a new version, 200 when it is there already."""
    return _publish(service, tenant, None, Provenance(origin, reason), body, request, status, if_match)


@put(
    "/{mapperId:str}",
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_class=documented(dict[str, Any], as_well={"application/yaml": None}),
    operation_id="updateMapper",
    summary="Publish a mapper's next version",
)
def update(
    service: ServiceGiven,
    tenant: TenantGiven,
    origin: OriginGiven,
    mapper_id: MapperIdInPath,
    body: RawBody,
    request: Request[Any, Any, Any],
    status: _StatusToGive = "active",
    reason: ReasonGiven = "",
    if_match: IfMatch = None,
) -> Response[wire.Mapper]:
    """Publish the next version of a mapper. With If-Match, only if it is as the caller last saw it: a draft
    follows the newest version, all else what is in use."""
    return _publish(service, tenant, mapper_id, Provenance(origin, reason), body, request, status, if_match)


@delete(
    "/{mapperId:str}",
    status_code=200,
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_id="withdrawMapper",
    summary="Withdraw a mapper",
)
def withdraw_mapper(
    service: ServiceGiven,
    tenant: TenantGiven,
    origin: OriginGiven,
    mapper_id: MapperIdInPath,
    reason: ReasonGiven = "",
    if_match: IfMatch = None,
) -> Response[wire.Mapper]:
    """Take a mapper out of use: nothing is mapped with it, and clients drop it. Its versions stay, and
    publishing one brings it back."""

    def decide(state: MapperState) -> MapperWithdrawn | None:
        require_known(state, mapper_id)
        return withdraw(state, mapper_id, Provenance(origin, reason), if_match=tags_in(if_match))

    return changed(service, tenant, mapper_id, service.mappers.change(tenant, mapper_id, decide))


def _publish(
    service: Service,
    tenant: str,
    mapper_id: str | None,
    by: Provenance,
    body: bytes,
    request: Request[Any, Any, Any],
    status: Status,
    if_match: str | None,
) -> Response[wire.Mapper]:
    """Publishes the body; with `mapper_id`, as the next version of that mapper."""
    sent = uploaded(body, request, MAPPER)
    plan = accepted(sent.document)
    refuse_other_id(plan.mapper_id, MAPPER, mapper_id)

    def decide(state: MapperState) -> MapperPublished | None:
        if mapper_id is not None:
            require_known(state, mapper_id)
        return publish(state, plan, status, by, if_match=tags_in(if_match), source=sent.source)

    updated = service.mappers.change(tenant, plan.mapper_id, decide)
    made = 201 if mapper_id is None else 200
    return changed(service, tenant, plan.mapper_id, updated, made=made, drafted=status == "draft")


def _facets(trait: str | None, operator: str | None, type_: str | None) -> list[dict[str, str]]:
    """What a mapper must have, as the read model keeps it; a parameter that is empty asks for nothing."""
    check = {"trait": trait, "operator": operator}
    wanted = [{name: value for name, value in each.items() if value} for each in (check, {"type": type_})]
    return [each for each in wanted if each]


def _summary(row: dict[str, Any]) -> wire.MapperSummary:
    return wire.MapperSummary(
        id=row["mapper_id"],
        version=row["version"],
        status=row["status"],
        name=row["name"] or row["mapper_id"],
        description=row["description"],
        hash=row["hash"],
        created_at=row["created_at"],
    )


router = Router(
    "/mappers",
    route_handlers=[
        list_mappers,
        validate,
        get_mapper,
        upload,
        update,
        withdraw_mapper,
        change_weight,
        get_weights,
        adjust_weights,
        list_versions,
        get_version,
        diff_versions,
        publish_version,
    ],
    tags=["mappers"],
)
