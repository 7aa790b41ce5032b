"""`/computed-traits`: list, read, upload, withdraw, and the history of each document."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, Router, delete, get, post, put
from litestar.params import RawBody

from personakit.agents.service import Service
from personakit.api.answers import NEWEST, answer, next_page, page_after, page_size
from personakit.api.computed_trait_answers import changed, found, in_use, shown_as_asked, summary
from personakit.api.computed_trait_validation import ADDRESS, DOCUMENT, validate
from personakit.api.dependencies import OriginGiven, ServiceGiven, TenantGiven
from personakit.api.document_answers import ETAG
from personakit.api.etags import tags_in
from personakit.api.openapi import documented
from personakit.api.parameters import IfMatch, PageAfter, PageLimit, ReasonGiven, TraitsIdInPath
from personakit.api.uploads import refuse_other_id, refuse_taken_id, uploaded
from personakit.domain.own_traits import TraitsUnknown
from personakit.domain.publishing import Provenance
from personakit.domain.trait_tests import accept_traits
from personakit_sdk import wire


@get("/", sync_to_thread=True, operation_id="listComputedTraits", summary="List the computed traits")
def list_documents(service: ServiceGiven, tenant: TenantGiven) -> Response[wire.ComputedTraitsList]:
    """The documents that traits are computed by, by id: your own, and those of the release that none of
    yours replaces."""
    with service.reader.snapshot(tenant) as snapshot:
        rows = in_use(service, snapshot, tenant)
    page = wire.ComputedTraitsList(items=[summary(row) for row in rows.values()])
    return answer(page, snapshot.position)


@get(
    "/{documentId:str}",
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_class=documented(document=True),
    operation_id="getComputedTraits",
    summary="Read a document of computed traits",
)
def get_document(
    service: ServiceGiven, tenant: TenantGiven, document_id: TraitsIdInPath, request: Request[Any, Any, Any]
) -> Response[wire.ComputedTraits]:
    """A document as it is in use; one that was withdrawn as it was. With `Accept: application/yaml` the
    document alone, as it was uploaded."""
    with service.reader.snapshot(tenant) as snapshot:
        row = found(service, snapshot, tenant, document_id)
    if row is None:
        raise TraitsUnknown(document_id)
    return shown_as_asked(request, row, snapshot.position)


@post(
    "/",
    status_code=201,
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_class=documented(
        dict[str, Any],
        as_well={"application/yaml": None},
        repeated="It is in use already; no version was made",
    ),
    operation_id="uploadComputedTraits",
    summary="Publish computed traits",
)
def upload(
    service: ServiceGiven,
    tenant: TenantGiven,
    origin: OriginGiven,
    body: RawBody,
    request: Request[Any, Any, Any],
    reason: ReasonGiven = "",
    if_match: IfMatch = None,
) -> Response[wire.ComputedTraits]:
    """Publish a document of computed traits: 201 a new version, 200 when it is in use already. One with the
    id of a document of the release replaces that. Everybody's traits are then derived anew."""
    return _publish(service, tenant, None, Provenance(origin, reason), body, request, if_match)


@put(
    "/{documentId:str}",
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_class=documented(dict[str, Any], as_well={"application/yaml": None}),
    operation_id="updateComputedTraits",
    summary="Publish a document's next version",
)
def update(
    service: ServiceGiven,
    tenant: TenantGiven,
    origin: OriginGiven,
    document_id: TraitsIdInPath,
    body: RawBody,
    request: Request[Any, Any, Any],
    reason: ReasonGiven = "",
    if_match: IfMatch = None,
) -> Response[wire.ComputedTraits]:
    """Publish the next version of a document that there is. With If-Match, only if it is as the caller last
    saw it."""
    return _publish(service, tenant, document_id, Provenance(origin, reason), body, request, if_match)


@delete(
    "/{documentId:str}",
    status_code=200,
    sync_to_thread=True,
    response_headers=[ETAG],
    operation_id="withdrawComputedTraits",
    summary="Withdraw computed traits",
)
def withdraw_document(
    service: ServiceGiven,
    tenant: TenantGiven,
    origin: OriginGiven,
    document_id: TraitsIdInPath,
    reason: ReasonGiven = "",
    if_match: IfMatch = None,
) -> Response[wire.ComputedTraits]:
    """Take a document of your own out of use: its traits go, or are computed again as the release does where
    that has a document of this id."""
    by = Provenance(origin, reason)
    updated = service.trait_documents.withdraw(tenant, document_id, by, if_match=tags_in(if_match))
    return changed(service, tenant, document_id, updated, by)


@get(
    "/{documentId:str}/versions",
    sync_to_thread=True,
    operation_id="listComputedTraitsVersions",
    summary="Read a document's history",
)
def list_versions(
    service: ServiceGiven,
    tenant: TenantGiven,
    document_id: TraitsIdInPath,
    after: PageAfter = None,
    limit: PageLimit = None,
) -> Response[wire.ComputedTraitsVersionList]:
    """What you did to a document, newest first: who published or withdrew it, and why. Of one that comes with
    the release alone there is nothing to tell."""
    size = page_size(limit)
    before = page_after(after, NEWEST)
    with service.reader.snapshot(tenant) as snapshot:
        rows = snapshot.rows(
            "computed_traits.versions", tenant=tenant, document_id=document_id, before=before, limit=size
        )
        if not rows and after is None and found(service, snapshot, tenant, document_id) is None:
            raise TraitsUnknown(document_id)
    items = [wire.ComputedTraitsVersion(**row) for row in rows]
    page = wire.ComputedTraitsVersionList(items=items, next=next_page(items, size, lambda item: item.version))
    return answer(page, snapshot.position)


def _publish(
    service: Service,
    tenant: str,
    document_id: str | None,
    by: Provenance,
    body: bytes,
    request: Request[Any, Any, Any],
    if_match: str | None,
) -> Response[wire.ComputedTraits]:
    """Publishes the body; with `document_id`, as the next version of that document."""
    sent = uploaded(body, request, DOCUMENT)
    document = accept_traits(sent.document)
    refuse_taken_id(document.id, DOCUMENT, ADDRESS)
    refuse_other_id(document.id, DOCUMENT, document_id)
    updated = service.trait_documents.publish(
        tenant,
        document,
        by,
        known=document_id is not None,
        if_match=tags_in(if_match),
        source=sent.source,
    )
    made = 201 if document_id is None else 200
    return changed(service, tenant, document.id, updated, by, made=made)


router = Router(
    "/computed-traits",
    route_handlers=[
        list_documents,
        validate,
        get_document,
        upload,
        update,
        withdraw_document,
        list_versions,
    ],
    tags=["computed traits"],
)
