"""`/mappers/validate`: what publishing a document would meet. Nothing is stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from litestar import Request, Response, post
from litestar.params import RawBody

from personakit.agents.service import Service
from personakit.api.answers import answer
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit.api.mapper_documents import refuse_taken_id, uploaded
from personakit.api.openapi import documented
from personakit.domain.mapper_document import faults_of_tests
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput
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
        plan = compile_mapper(uploaded(body, request).document)
        refuse_taken_id(plan)
    except InvalidInput as error:
        faults = error.faults or (Fault("", str(error)),)
        return answer(_refused(faults), service.reader.head())
    known, position = _known_traits(service, tenant)
    return answer(_validated(plan, known), position)


def _validated(plan: Plan, known: frozenset[str]) -> wire.Validation:
    tests = run_tests(plan)
    faults = _faults(faults_of_tests(tests))
    return wire.Validation(
        valid=not faults,
        id=plan.mapper_id,
        version=plan.author_version,
        hash=plan.hash,
        faults=faults,
        warnings=_faults(lint(plan, known)),
        tests=tests,
        document=plan.document,
    )


def _refused(faults: Iterable[Fault]) -> wire.Validation:
    return wire.Validation(
        valid=False,
        id=None,
        version=None,
        hash=None,
        faults=_faults(faults),
        warnings=[],
        tests=[],
        document=None,
    )


def _faults(faults: Iterable[Fault]) -> list[wire.FaultAt]:
    return [wire.FaultAt(pointer=fault.pointer, message=fault.message) for fault in faults]


def _known_traits(service: Service, tenant: str) -> tuple[frozenset[str], int]:
    """The paths of computed traits and of people's mindscapes; and the position that they reflect."""
    with service.reader.snapshot() as snapshot:
        rows = snapshot.rows("mindscapes.trait_paths", tenant=tenant, people=PEOPLE_LOOKED_AT)
    return service.computed.paths | {row["path"] for row in rows}, snapshot.position
