"""`/computed-traits/validate`: what publishing a document would meet. Nothing is stored."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, post
from litestar.params import RawBody

from personakit.agents.service import Service
from personakit.api.answers import answer
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit.api.openapi import documented
from personakit.api.uploads import refuse_taken_id, uploaded
from personakit.api.validations import faults_at, refused
from personakit.domain.computed_trait_documents import WHAT, TraitDocument, read_document
from personakit.domain.inline_tests import faults_of_tests
from personakit.domain.own_traits import misfits
from personakit.domain.trait_lint import lint_traits
from personakit.domain.trait_tests import run_trait_tests
from personakit_sdk import wire
from personakit_sdk.errors import InvalidInput

ADDRESS: Final = "/computed-traits"
DOCUMENT: Final = WHAT


@post(
    "/validate",
    status_code=200,
    sync_to_thread=True,
    operation_class=documented(dict[str, Any], as_well={"application/yaml": None}),
    operation_id="validateComputedTraits",
    summary="Validate computed traits",
)
def validate(
    service: ServiceGiven, tenant: TenantGiven, body: RawBody, request: Request[Any, Any, Any]
) -> Response[wire.Validation]:
    """What publishing a document would meet: faults, warnings, and what its own tests give. Nothing is
    stored, and a document that is refused is answered with 200 as well."""
    try:
        sent = read_document(uploaded(body, request, DOCUMENT).document)
        refuse_taken_id(sent.id, DOCUMENT, ADDRESS)
    except InvalidInput as error:
        return answer(refused(error), service.reader.head())
    own, position = _own(service, tenant)
    shipped = service.rules.documents
    tests = run_trait_tests(sent)
    faults = (*misfits(shipped, own, sent), *faults_of_tests(tests))
    validation = wire.Validation(
        valid=not faults,
        id=sent.id,
        version=sent.version,
        hash=sent.hash,
        faults=faults_at(faults),
        warnings=faults_at(lint_traits(sent, shipped.get(sent.id))),
        tests=tests,
        document=sent.document,
    )
    return answer(validation, position)


def _own(service: Service, tenant: str) -> tuple[list[TraitDocument], int]:
    with service.reader.snapshot(tenant) as snapshot:
        rows = snapshot.rows("computed_traits.in_use", tenants=[tenant])
    return [read_document(row["document"]) for row in rows], snapshot.position
