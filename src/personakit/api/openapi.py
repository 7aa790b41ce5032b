"""The API's description: OpenAPI 3.1 at `/openapi.json`, a page of it at `/docs`.

Bodies are decoded by hand (a typed `data` parameter would decode them twice), so they are described
here by hand: a route names its body's type, and the schema is msgspec's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema

from personakit.api.docs_page import render
from personakit_sdk import wire

_BODIES = [wire.Observation, wire.Feedback, wire.MapPersona, wire.Problem]
_REF = "#/components/schemas/{name}"


def documented(body: Any) -> type[Operation]:
    """The Litestar operation class of a route whose JSON body is a `body`."""
    schema = msgspec.json.schema_components([body], ref_template=_REF)[0][0]

    @dataclass
    class WithBody(Operation):
        def __post_init__(self) -> None:
            content = {"application/json": OpenAPIMediaType(schema=_Raw(schema))}
            self.request_body = RequestBody(content=content, required=True)

    return WithBody


class _Raw(Schema):
    """A JSON schema taken as it is."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        self._schema = schema

    def to_schema(self) -> dict[str, Any]:
        return self._schema


def description(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The OpenAPI document: Litestar's, with the bodies' schemas and the problem document added."""
    document: dict[str, Any] = request.app.openapi_schema.to_schema()
    _, components = msgspec.json.schema_components(_BODIES, ref_template=_REF)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    document["components"]["schemas"] = {**schemas, **components}
    problem = {
        "description": "A problem document (RFC 9457): what happened, and what to do about it",
        "content": {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}},
    }
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"] = {
                status: answer for status, answer in operation["responses"].items() if status < "400"
            } | {"default": problem}
    return document


@get("/openapi.json", media_type=MediaType.JSON, include_in_schema=False, sync_to_thread=False)
def openapi_json(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The OpenAPI document."""
    return description(request)


@get("/docs", include_in_schema=False, sync_to_thread=False)
def docs(request: Request[Any, Any, Any]) -> Response[str]:
    """The same as a page, without scripts and without anything from elsewhere."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return Response(
        render(description(request)),
        media_type=MediaType.HTML,
        headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"},
    )
