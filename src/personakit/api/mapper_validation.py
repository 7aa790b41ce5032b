"""`/mappers/validate`: what publishing a document would meet. Nothing is stored."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, post
from litestar.params import RawBody

from personakit.agents.service import Service
from personakit.api.answers import answer
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit.api.mapper_documents import MAPPER, require_address
from personakit.api.openapi import documented
from personakit.api.uploads import uploaded
from personakit.api.validations import faults_at, refused
from personakit.domain.inline_tests import faults_of_tests
from personakit_sdk import wire
from personakit_sdk.errors import InvalidInput
from personakit_sdk.rules import compile_mapper, lint, run_tests
from personakit_sdk.rules.plan import Plan

PEOPLE_LOOKED_AT: Final = 1000
"""A trait counts as known when one of so many people has it."""


@post(
    "/validate",
    status_code=200,
    sync_to_thread=True,
    operation_class=documented(dict[str, Any], as_well={"application/yaml": None}),
    operation_id="validateMapper",
    summary="Validate a mapper",
)
def validate(
    service: ServiceGiven, tenant: TenantGiven, body: RawBody, request: Request[Any, Any, Any]
) -> Response[wire.Validation]:
    """What publishing a document would meet: faults, warnings, and what its own tests give. Nothing is
    stored, and a document that is refused is answered with 200 as well."""
    try:
        plan = compile_mapper(uploaded(body, request, MAPPER).document)
        require_address(plan)
    except InvalidInput as error:
        return answer(refused(error), service.reader.head())
    known, position = _known_traits(service, tenant)
    return answer(_validated(plan, known), position)


def _validated(plan: Plan, known: frozenset[str]) -> wire.Validation:
    tests = run_tests(plan)
    faults = faults_at(faults_of_tests(tests))
    return wire.Validation(
        valid=not faults,
        id=plan.mapper_id,
        version=plan.author_version,
        hash=plan.hash,
        faults=faults,
        warnings=faults_at(lint(plan, known)),
        tests=tests,
        document=plan.document,
    )


def _known_traits(service: Service, tenant: str) -> tuple[frozenset[str], int]:
    """The paths of computed traits and of people's mindscapes; and the position that they reflect."""
    with service.reader.snapshot(tenant) as snapshot:
        rows = snapshot.rows("mindscapes.trait_paths", tenant=tenant, people=PEOPLE_LOOKED_AT)
        computed = service.rules.of(snapshot, tenant)
    return computed.paths | {row["path"] for row in rows}, snapshot.position
