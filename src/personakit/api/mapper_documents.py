"""Mapper documents as they come in: JSON or YAML, read, checked and compiled."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from litestar import Request

from personakit.api import bodies
from personakit.api.problems import UnknownMediaType
from personakit.domain.mapper_document import accept
from personakit_sdk.errors import DocumentInvalid, Fault, InvalidInput
from personakit_sdk.rules.plan import Plan
from personakit_sdk.rules.yaml import load_json, load_yaml

YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml")
"""The registered media type, and what it was called before."""
_TAKEN_BY_ROUTES: Final = ("validate",)


class Uploaded(NamedTuple):
    """A document that was sent; `source` is its text where that was YAML."""

    document: dict[str, Any]
    source: str | None


def uploaded(body: bytes, request: Request[Any, Any, Any]) -> Uploaded:
    """The document of a body. Raises UnknownMediaType for what is neither JSON nor YAML, DocumentInvalid for
    what cannot be read, InvalidInput for what could not be stored."""
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type not in (*YAML, "application/json"):
        raise UnknownMediaType(
            f"A mapper is sent as application/json or application/yaml, not as {media_type!r}."
        )
    is_yaml = media_type in YAML
    document = load_yaml(body) if is_yaml else load_json(body)
    if not isinstance(document, dict):
        raise DocumentInvalid("mapper", (Fault("", "a mapper is an object"),))
    faults = tuple(bodies.unstorable(document))
    if faults:
        raise InvalidInput(
            f"The mapper cannot be stored at {faults[0].pointer}: {faults[0].message}.", faults
        )
    return Uploaded(document, body.decode("utf-8-sig") if is_yaml else None)


def accepted(document: dict[str, Any]) -> Plan:
    """The compiled document. Raises DocumentInvalid for one that would not run, whose own tests fail, or that
    could not be addressed."""
    plan = accept(document)
    refuse_taken_id(plan)
    return plan


def refuse_taken_id(plan: Plan) -> None:
    """Raises DocumentInvalid for a mapper that could not be read at its own address."""
    if plan.mapper_id in _TAKEN_BY_ROUTES:
        message = f"/mappers/{plan.mapper_id} is an address of the service's own; give it another id"
        raise DocumentInvalid("mapper", (Fault("/metadata/id", message),))
