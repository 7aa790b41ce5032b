"""`/mappers`: upload, read, list, history."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Request, Response, Router, get, post, put
from litestar.datastructures import ResponseHeader
from litestar.params import HeaderParameter, QueryParameter, RawBody

from personakit.agents.service import Service
from personakit.api import bodies
from personakit.api.answers import answer, next_page, page_after, page_size
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit.api.openapi import MapperIdInPath, PageAfter, PageLimit, documented
from personakit.api.problems import NotFound, UnknownMediaType
from personakit.domain.mapper import Status, publish
from personakit_sdk import wire
from personakit_sdk.errors import DocumentInvalid, Fault, InvalidInput
from personakit_sdk.rules import compile_mapper, run_tests
from personakit_sdk.rules.plan import Plan
from personakit_sdk.rules.yaml import load_json, load_yaml

WAIT_SECONDS = 5.0
ShownStatus = Literal["draft", "active"]
_NEWEST = 2**63 - 1
_YAML = ("application/yaml", "application/x-yaml", "text/yaml")
_ETAG = ResponseHeader(
    name="ETag", description="The document's hash, quoted; send it as `If-Match`", documentation_only=True
)
_StatusToGive = Annotated[
    Status, QueryParameter(description="`active` puts it to use, in the place of the version before")
]


@get("/", sync_to_thread=True, operation_id="listMappers", summary="List the mappers")
def list_mappers(
    service: ServiceGiven,
    tenant: TenantGiven,
    status: Annotated[ShownStatus | None, QueryParameter(description="Only those of this status")] = None,
    after: Annotated[str, QueryParameter(description="The `next` of the page before")] = "",
    limit: PageLimit = None,
) -> Response[wire.MapperList]:
    """The mappers, by id, without their documents."""
    size = page_size(limit)
    with service.reader.snapshot() as snapshot:
        rows = snapshot.rows("mappers.list", tenant=tenant, status=status, after=after, limit=size)
    items = [_summary(row) for row in rows]
    page = wire.MapperList(items=items, next=next_page(items, size, lambda item: item.id))
    return answer(page, snapshot.position)


@get(
    "/{mapperId:str}",
    sync_to_thread=True,
    response_headers=[_ETAG],
    operation_id="getMapper",
    summary="Read a mapper",
)
def get_mapper(
    service: ServiceGiven, tenant: TenantGiven, mapper_id: MapperIdInPath
) -> Response[wire.Mapper]:
    """A mapper at its active version; one that was only ever a draft, as that draft."""
    with service.reader.snapshot() as snapshot:
        row = snapshot.row("mappers.by_id", tenant=tenant, mapper_id=mapper_id)
    if row is None:
        raise _unknown(mapper_id)
    return _shown(row, snapshot.position)


@post(
    "/",
    status_code=201,
    sync_to_thread=True,
    response_headers=[_ETAG],
    operation_class=documented(
        dict[str, Any],
        as_well={"application/yaml": None},
        repeated="The newest version is this one already",
    ),
    operation_id="uploadMapper",
    summary="Publish a mapper",
)
def upload(
    service: ServiceGiven,
    tenant: TenantGiven,
    body: RawBody,
    request: Request[Any, Any, Any],
    status: _StatusToGive = "active",
) -> Response[wire.Mapper]:
    """Publish a mapper: 201 a new version, 200 when the newest version is this one already."""
    return _publish(service, tenant, _plan(body, request), status, if_match=None, made=201)


@put(
    "/{mapperId:str}",
    sync_to_thread=True,
    response_headers=[_ETAG],
    operation_class=documented(dict[str, Any], as_well={"application/yaml": None}),
    operation_id="updateMapper",
    summary="Publish a mapper's next version",
)
def update(
    service: ServiceGiven,
    tenant: TenantGiven,
    mapper_id: MapperIdInPath,
    body: RawBody,
    request: Request[Any, Any, Any],
    status: _StatusToGive = "active",
    if_match: Annotated[
        str | None,
        HeaderParameter(
            name="If-Match", description="The `ETag` last seen; 412 when there is a newer version"
        ),
    ] = None,
) -> Response[wire.Mapper]:
    """Publish the next version of a mapper. With If-Match, only if it is as the caller last saw it."""
    plan = _plan(body, request)
    if plan.mapper_id != mapper_id:
        raise DocumentInvalid(
            "mapper",
            (Fault("/metadata/id", f"it says {plan.mapper_id!r}, but the address says {mapper_id!r}"),),
        )
    with service.reader.snapshot() as snapshot:
        if snapshot.row("mappers.by_id", tenant=tenant, mapper_id=mapper_id) is None:
            raise NotFound(f"There is no mapper {mapper_id!r} to update; POST /mappers makes one.")
    return _publish(service, tenant, plan, status, if_match=if_match and if_match.strip('"'), made=200)


@get(
    "/{mapperId:str}/versions",
    sync_to_thread=True,
    operation_id="listMapperVersions",
    summary="Read a mapper's history",
)
def list_versions(
    service: ServiceGiven,
    tenant: TenantGiven,
    mapper_id: MapperIdInPath,
    after: PageAfter = None,
    limit: PageLimit = None,
) -> Response[wire.MapperVersionList]:
    """A mapper's history, newest first: who or what made each version."""
    size = page_size(limit)
    with service.reader.snapshot() as snapshot:
        before = page_after(after, _NEWEST)
        rows = snapshot.rows(
            "mapper_versions.list", tenant=tenant, mapper_id=mapper_id, before=before, limit=size
        )
        if not rows and after is None:
            raise _unknown(mapper_id)
    items = [wire.MapperVersion(**row) for row in rows]
    page = wire.MapperVersionList(items=items, next=next_page(items, size, lambda item: item.version))
    return answer(page, snapshot.position)


def _plan(body: bytes, request: Request[Any, Any, Any]) -> Plan:
    """The compiled document of the body. Raises DocumentInvalid for one that would not run, or whose own
    tests fail; UnknownMediaType for what is neither JSON nor YAML."""
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type not in (*_YAML, "application/json"):
        raise UnknownMediaType(
            f"A mapper is sent as application/json or application/yaml, not as {media_type!r}."
        )
    document = load_yaml(body) if media_type in _YAML else load_json(body)
    if not isinstance(document, dict):
        raise DocumentInvalid("mapper", (Fault("", "a mapper is an object"),))
    faults = tuple(bodies.unstorable(document))
    if faults:
        raise InvalidInput(
            f"The mapper cannot be stored at {faults[0].pointer}: {faults[0].message}.", faults
        )
    plan = compile_mapper(document)
    failed = tuple(
        Fault("/tests", f"its test {test.name!r} fails: {test.detail}")
        for test in run_tests(plan)
        if not test.passed
    )
    if failed:
        raise DocumentInvalid("mapper", failed)
    return plan


def _publish(
    service: Service, tenant: str, plan: Plan, status: Status, *, if_match: str | None, made: int
) -> Response[wire.Mapper]:
    """Publishes, and answers the version that was made, or the newest where that is this one already."""
    published = service.change_mapper(
        tenant,
        plan.mapper_id,
        lambda state: publish(state, plan, status, origin="api", if_match=if_match),
    )
    position = published.position or service.reader.head()
    service.until_shown(position, WAIT_SECONDS)
    with service.reader.snapshot() as snapshot:
        row = snapshot.row(
            "mapper_versions.one", tenant=tenant, mapper_id=plan.mapper_id, version=published.version
        )
    if row is None:
        raise _unknown(plan.mapper_id)
    return _shown(row, position, made if published.position else 200)


def _shown(row: dict[str, Any], position: int, status: int = 200) -> Response[wire.Mapper]:
    shown = wire.Mapper(
        id=row["mapper_id"],
        version=row["version"],
        status=row["status"],
        document=row["document"],
        hash=row["hash"],
        created_at=row["created_at"],
        origin=row["origin"],
    )
    return answer(shown, position, status, {"ETag": f'"{row["hash"]}"'})


def _unknown(mapper_id: str) -> NotFound:
    return NotFound(f"There is no mapper {mapper_id!r}; GET /mappers lists what there is.")


def _summary(row: dict[str, Any]) -> wire.MapperSummary:
    metadata = row["document"]["metadata"]
    return wire.MapperSummary(
        id=row["mapper_id"],
        version=row["version"],
        status=row["status"],
        name=metadata.get("name", row["mapper_id"]),
        description=metadata["description"],
        hash=row["hash"],
        created_at=row["created_at"],
    )


router = Router(
    "/mappers", route_handlers=[list_mappers, get_mapper, upload, update, list_versions], tags=["mappers"]
)
