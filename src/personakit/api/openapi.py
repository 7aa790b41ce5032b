"""The API's description: OpenAPI 3.1 at `/openapi.json`, a page of it at `/docs`.

Litestar describes routes and parameters. Bodies are decoded by hand (a typed `data` parameter would
decode them twice), so a route names its body's type in `documented`; every schema is msgspec's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, get_args

import msgspec
from litestar import Litestar, MediaType, Request, Response, get
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    RequestBody,
    Schema,
)

from personakit.api.answers import MIN_POSITION, POSITION
from personakit.api.dependencies import IDEMPOTENCY_KEY, LONGEST_KEY
from personakit.api.docs_page import POLICY, render
from personakit.api.parameters import KEY_SAYS
from personakit.api.refusals import SAYS, refusals
from personakit.api.scopes import NEEDED, is_open
from personakit.domain.grant import SCOPES
from personakit_sdk import wire

_REF = "#/components/schemas/{name}"
_STRUCTS = [
    struct
    for struct in vars(wire).values()
    if isinstance(struct, type)
    and issubclass(struct, (wire.Request, wire.Answer))
    and struct.__struct_fields__
]
_SAID = {200: "What was asked for", 201: "It is stored"}
_POSITION_OF_LOG = {"type": "integer", "minimum": 0}
_PARAMETERS = {
    MIN_POSITION: {
        "name": MIN_POSITION,
        "in": "header",
        "description": "Answer from a state of at least this position, so that a caller reads what it wrote; "
        "503 when that takes longer than five seconds",
        "schema": _POSITION_OF_LOG,
        "required": False,
    }
}
_HEADERS = {
    POSITION: {
        "description": "The position of the log that the answer reflects; of a write, its event's; of an "
        "answer that reflects none, the newest that the service knows",
        "schema": _POSITION_OF_LOG,
        "required": True,
    },
    "RateLimit-Policy": {
        "description": "To whom bears a key: how many requests, and items, it may send in how many seconds",
        "schema": {"type": "string", "examples": ['"requests";q=200;w=10']},
        "required": False,
    },
    "RateLimit": {
        "description": "To whom bears a key: how much of that is left, and in how many seconds all of it is "
        "again; beyond it the answer is 429",
        "schema": {"type": "string", "examples": ['"requests";r=187;t=1']},
        "required": False,
    },
}
_REFERRED = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
_RETRY = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}, "required": True}}
_OF_REFUSAL = {
    "401": {"WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}, "required": True}},
    "429": _RETRY,
    "503": _RETRY,
}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}}
_REFUSALS = {
    status: {
        "description": says,
        "headers": {
            **_REFERRED,
            **_OF_REFUSAL.get(status, {}),
        },
        "content": _PROBLEM,
    }
    for status, says in SAYS.items()
}

_KEY = Parameter(
    name=IDEMPOTENCY_KEY,
    param_in="header",
    description=KEY_SAYS,
    schema=Schema(type=OpenAPIType.STRING, max_length=LONGEST_KEY),
    required=False,
)
_IF_NONE_MATCH = Parameter(
    name="If-None-Match",
    param_in="header",
    description="The `ETag` last seen; 304 when it is still that",
    schema=Schema(type=OpenAPIType.STRING),
    required=False,
)


def documented(
    body: Any = None,
    *,
    as_well: dict[str, dict[str, Any] | None] | None = None,
    repeated: str | None = None,
    keyed: bool = False,
    query: type[msgspec.Struct] | None = None,
    document: bool = False,
    unchanged: bool = False,
) -> type[Operation]:
    """The Litestar operation class of a route that reads its body, if it has one, and its query by hand.

    `body` is the type of its JSON; `as_well` maps other media types that it takes to their schema, None for
    the same one. `repeated` says what an answer of 200 beside 201 means; `keyed` that it takes an
    Idempotency-Key; the fields of `query` are its parameters; `unchanged` that it answers nothing where the
    caller has it; `document` that it does so, and answers a document, as YAML too where that is asked for.
    """

    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            if body is not None:
                self.request_body = _request_body(body, as_well or {})
            by_hand = [
                *(_query_parameters(query) if query else ()),
                *((_KEY,) if keyed else ()),
                *((_IF_NONE_MATCH,) if document or unchanged else ()),
            ]
            if by_hand:
                self.parameters = [*(self.parameters or []), *by_hand]
            answers = self.responses or {}
            made = answers.get("201")
            if repeated is not None and isinstance(made, OpenAPIResponse):
                again = OpenAPIResponse(repeated, headers=made.headers, content=made.content)
                self.responses = {"200": again, **answers}
            found = answers.get("200")
            if document and isinstance(found, OpenAPIResponse) and found.content is not None:
                found.content["application/yaml"] = OpenAPIMediaType(schema=_Raw({"type": "string"}))
            if (document or unchanged) and isinstance(found, OpenAPIResponse):
                same = OpenAPIResponse("What the caller has is what there is", headers=found.headers)
                self.responses = {**answers, "304": same}

    return Documented


def _request_body(body: Any, as_well: dict[str, dict[str, Any] | None]) -> RequestBody:
    schema = msgspec.json.schema_components([body], ref_template=_REF)[0][0]
    media = {"application/json": schema} | {kind: own or schema for kind, own in as_well.items()}
    content = {kind: OpenAPIMediaType(schema=_Raw(each)) for kind, each in media.items()}
    return RequestBody(content=content, required=True)


def _query_parameters(query: type[msgspec.Struct]) -> list[Parameter]:
    """A parameter for each field; one that may be None may be absent, and is never null."""
    schemas = msgspec.json.schema_components([query])[1][query.__name__]["properties"]
    return [
        Parameter(
            name=field.encode_name,
            param_in="query",
            description=schemas[field.encode_name].pop("description"),
            schema=_Raw(_plain_schema(schemas[field.encode_name], field.type)),
            required=field.required,
        )
        for field in msgspec.structs.fields(query)
    ]


def _plain_schema(schema: dict[str, Any], type_: Any) -> dict[str, Any]:
    """Without null; words in the order in which their type names them."""
    if "enum" in schema:
        return schema | {"type": "string", "enum": list(get_args(get_args(type_)[0]))}
    choices = [each for each in schema.pop("anyOf", ()) if each != {"type": "null"}]
    return {key: value for each in (*choices, schema) for key, value in each.items() if value is not None}


class _Raw(Schema):
    """A JSON schema taken as it is."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        self._schema = schema

    def to_schema(self) -> dict[str, Any]:
        return self._schema


def describe(app: Litestar) -> dict[str, Any]:
    """The OpenAPI document: Litestar's routes, with our schemas, headers and problems."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    document["components"] |= {
        "schemas": _schemas(),
        "parameters": _PARAMETERS,
        "headers": _HEADERS,
        "responses": _REFUSALS,
    }
    document["paths"] = {
        path: {
            method: _completed(operation, method, is_open=is_open(path))
            for method, operation in operations.items()
        }
        for path, operations in document["paths"].items()
    }
    return document


def _schemas() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template=_REF)
    schemas["SyncItem"]["properties"]["body"] = {
        "description": "By its `kind`; absent when it was deleted",
        "anyOf": [{"$ref": _REF.format(name=name)} for name in ("SyncedPersona", "SyncedMapper")],
    }
    for schema in schemas.values():
        schema["description"] = " ".join(schema["description"].split())
    return dict(sorted(schemas.items()))


def _completed(operation: dict[str, Any], method: str, *, is_open: bool) -> dict[str, Any]:
    """An operation as it is: with what every one has in common, and without Litestar's own problems."""
    parameters = [_parameter(parameter) for parameter in operation.get("parameters", [])]
    answers = {
        status: _answer(int(status), answer, is_open=is_open)
        for status, answer in operation["responses"].items()
        if status != "400"
    }
    refused = {
        status: {"$ref": f"#/components/responses/{status}"}
        for status in refusals(operation, method=method, is_open=is_open)
    }
    if "503" in answers:  # of readiness, which is an answer of its own
        answers["503"]["content"] |= _PROBLEM
    if not is_open:
        parameters.append({"$ref": f"#/components/parameters/{MIN_POSITION}"})
    return {
        **_without_noise(operation),
        "description": " ".join(operation["description"].split()),
        **({"parameters": parameters} if parameters else {}),
        "security": [] if is_open else _security(operation["operationId"]),
        "responses": {**refused, **answers},
    }


def _security(operation_id: str) -> list[dict[str, list[str]]]:
    """A key with the scope that it takes, or with any of those."""
    return [{"key": [scope]} for scope in SCOPES if scope in NEEDED[operation_id]]


def _answer(status: int, answer: dict[str, Any], *, is_open: bool) -> dict[str, Any]:
    text = answer["description"]
    headers = {
        name: {"schema": {"type": "string"}, **_without_noise(header)}
        for name, header in sorted(answer.get("headers", {}).items())  # Litestar has them in a set
    }
    headers |= {POSITION: _REFERRED[POSITION]} if is_open else _REFERRED
    described = _SAID[status] if text == HTTPStatus(status).description else text
    return answer | {"description": described, "headers": headers}


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    """A parameter may be absent; it is never null, as Litestar has it of one without a default."""
    schema = dict(parameter["schema"])
    for choice in schema.pop("oneOf", ()):
        if choice != {"type": "null"}:
            schema = {**choice, **schema}
    schema.pop("description", None)
    if isinstance(schema.get("type"), list):
        schema["type"] = next(each for each in schema["type"] if each != "null")
        schema["enum"] = [each for each in schema["enum"] if each is not None]
    return _without_noise(parameter) | {"required": parameter["required"], "schema": schema}


def _without_noise(described: dict[str, Any]) -> dict[str, Any]:
    """Without what says no more than that something is not the case."""
    return {key: value for key, value in described.items() if value is not False}


class _Published(msgspec.Struct, frozen=True):
    """The description as it is sent."""

    document: bytes
    page: str


async def _published(app: Litestar) -> _Published:
    """Made at the first request for it, and kept with the app: it cannot change while the app runs. It takes
    a third of a second, in a thread, in which others are served."""
    async with app.state["describing"]:
        if "description" not in app.state:
            app.state["description"] = await asyncio.to_thread(_make, app)
    found: _Published = app.state["description"]
    return found


def _make(app: Litestar) -> _Published:
    document = describe(app)
    return _Published(msgspec.json.encode(document), render(document))


@get("/openapi.json", media_type=MediaType.JSON, include_in_schema=False)
async def openapi_json(request: Request[Any, Any, Any]) -> bytes:
    """The OpenAPI document."""
    return (await _published(request.app)).document


@get("/docs", include_in_schema=False)
async def docs(request: Request[Any, Any, Any]) -> Response[str]:
    """The same as a page, without scripts and without anything from elsewhere."""
    return Response(
        (await _published(request.app)).page,
        media_type=MediaType.HTML,
        headers={"Content-Security-Policy": POLICY},
    )
