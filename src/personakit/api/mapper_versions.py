"""`/mappers/{id}/versions`: the history, one version, what differs between two, and publishing one anew."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.params import QueryParameter

from personakit.api.answers import NEWEST, answer, next_page, page_after, page_size
from personakit.api.dependencies import OriginGiven, ServiceGiven, TenantGiven
from personakit.api.document_answers import ETAG
from personakit.api.etags import tags_in
from personakit.api.mapper_answers import Row, changed, shown_as_asked, unknown, unknown_version
from personakit.api.mapper_texts import as_yaml
from personakit.api.openapi import documented
from personakit.api.parameters import (
    IfMatch,
    MapperIdInPath,
    PageAfter,
    PageLimit,
    ReasonGiven,
    VersionInPath,
)
from personakit.domain.events import MapperPublished
from personakit.domain.mapper import MapperState, restore
from personakit.domain.mapper_document import accept
from personakit.domain.publishing import Provenance
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.rules import diff_documents


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
    """A mapper's history, newest first: who or what made each version, how, and why."""
    size = page_size(limit)
    before = page_after(after, NEWEST)
    asked = {"tenant": tenant, "mapper_id": mapper_id, "before": before, "limit": size}
    with service.reader.snapshot(tenant) as snapshot:
        rows = snapshot.rows("mapper_versions.list", **asked)
    if not rows and after is None:
        raise unknown(mapper_id)
    items = [wire.MapperVersion(**row) for row in rows]
    page = wire.MapperVersionList(items=items, next=next_page(items, size, lambda item: item.version))
    return answer(page, snapshot.position)


@get(
    "/{mapperId:str}/versions/{version:int}",
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_class=documented(document=True),
    operation_id="getMapperVersion",
    summary="Read a version of a mapper",
)
def get_version(
    service: ServiceGiven,
    tenant: TenantGiven,
    mapper_id: MapperIdInPath,
    version: VersionInPath,
    request: Request[Any, Any, Any],
) -> Response[wire.Mapper]:
    """One version, whatever became of the mapper since. With `Accept: application/yaml` its document alone,
    as it was uploaded."""
    with service.reader.snapshot(tenant) as snapshot:
        row = _version(snapshot, tenant, mapper_id, version)
    return shown_as_asked(request, row, snapshot.position)


@get(
    "/{mapperId:str}/versions/{version:int}/diff",
    sync_to_thread=True,
    operation_id="diffMapperVersions",
    summary="Compare two versions of a mapper",
)
def diff_versions(
    service: ServiceGiven,
    tenant: TenantGiven,
    mapper_id: MapperIdInPath,
    version: VersionInPath,
    against: Annotated[
        int | None, QueryParameter(description="The other version; without it, the one before")
    ] = None,
) -> Response[wire.MapperDiff]:
    """What makes this version of another one. The first version is compared with no document at all."""
    other = version - 1 if against is None else against
    with service.reader.snapshot(tenant) as snapshot:
        after = _version(snapshot, tenant, mapper_id, version)["document"]
        before = _version(snapshot, tenant, mapper_id, other)["document"] if other else {}
    found = diff_documents(before, after)
    diff = wire.MapperDiff(
        id=mapper_id, before=other, after=version, rules=found.rules, elsewhere=found.elsewhere
    )
    return answer(diff, snapshot.position)


@post(
    "/{mapperId:str}/versions/{version:int}/publish",
    status_code=201,
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_class=documented(repeated="It is in use already; no version was made"),
    operation_id="publishMapperVersion",
    summary="Publish a version of a mapper anew",
)
def publish_version(
    service: ServiceGiven,
    tenant: TenantGiven,
    origin: OriginGiven,
    mapper_id: MapperIdInPath,
    version: VersionInPath,
    reason: ReasonGiven = "",
    if_match: IfMatch = None,
) -> Response[wire.Mapper]:
    """Roll back, activate a draft, or bring a withdrawn mapper back: the version's document becomes the next
    version, and active. The author's own `metadata.version` may go down by this."""
    with service.reader.snapshot(tenant) as snapshot:
        row = _version(snapshot, tenant, mapper_id, version)
    plan = accept(row["document"])
    source = None if row["source"] is None else as_yaml(row)
    by = Provenance(origin, reason)

    def decide(state: MapperState) -> MapperPublished | None:
        return restore(state, plan, version, by, if_match=tags_in(if_match), source=source)

    updated = service.mappers.change(tenant, mapper_id, decide)
    return changed(service, tenant, mapper_id, updated, made=201)


def _version(snapshot: Snapshot, tenant: str, mapper_id: str, version: int) -> Row:
    """The row of a version. Raises NotFound."""
    if 0 < version <= NEWEST:
        row = snapshot.row("mapper_versions.one", tenant=tenant, mapper_id=mapper_id, version=version)
        if row is not None:
            return row
    if snapshot.row("mappers.by_id", tenant=tenant, mapper_id=mapper_id) is None:
        raise unknown(mapper_id)
    raise unknown_version(mapper_id, version)
