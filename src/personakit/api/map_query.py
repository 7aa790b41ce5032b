"""The question that `GET /map-persona` puts in its address: described once, and read by hand.

Litestar would read nine typed parameters one by one; this takes a tenth of that. What it refuses, it refuses
as Litestar does.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Request
from litestar.datastructures import URL
from litestar.exceptions import ValidationException
from msgspec import Meta

from personakit.api import bodies
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput
from personakit_sdk.mapping import LIMITS

_LEVELS = ", ".join(f"`{level}` up to {limit} suggestions" for level, limit in LIMITS.items())


class MapQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The parameters, as they are spelled in the address."""

    mapper_id: Annotated[str, Meta(description="An active mapper's id")]
    persona_id: Annotated[str, Meta(description="A person's or a persona's id")]
    detail_level: Annotated[wire.DetailLevel, Meta(description=f"How much to answer: {_LEVELS}")] = "balanced"
    if_stale: Annotated[
        wire.IfStale,
        Meta(
            description="What to do when the core is stale: `serve` it as it is, `regenerate` it first, or "
            "`fail` with 409 and the price of a fresh one"
        ),
    ] = "serve"
    at: Annotated[
        str | None,
        Meta(
            description="The instant to decide for, RFC 3339 with an offset; without it "
            "`context.current_time`, and without that now",
            extra_json_schema={"format": "date-time"},
        ),
    ] = None
    timezone: Annotated[str | None, Meta(description="Where the person is, as in `Europe/Berlin`")] = None
    context: Annotated[
        str | None, Meta(description="What the rules may know of the moment, a JSON object")
    ] = None
    limit: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(description="How many suggestions at most; without it, as the detail level has it"),
    ] = None
    explain: Annotated[bool, Meta(description="Say of every rule why it fired or did not")] = False


_FIELDS: Final = msgspec.structs.fields(MapQuery)


def asked_by(request: Request[Any, Any, Any]) -> wire.MapPersona:
    """The question. Raises ValidationException for a parameter that is missing or wrong in itself, and
    InvalidInput for what the body of a POST could not say either."""
    given = dict(request.query_params.items())  # of a parameter that is given twice, the last one counts
    try:
        query = msgspec.convert(given, MapQuery, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(request, given) from error
    asked = {field.encode_name: getattr(query, field.name) for field in _FIELDS}
    asked["context"] = context_of(query.context)
    return bodies.checked(asked, wire.MapPersona, doubtful="context")


def context_of(text: str | None) -> dict[str, Any]:
    """The context that a parameter says; empty where there is none. Raises InvalidInput."""
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidInput(
            f"`context` must be a JSON object: {error}.", (Fault("context", str(error)),)
        ) from None


def _refusal(request: Request[Any, Any, Any], given: dict[str, str]) -> ValidationException:
    for field in _FIELDS:
        if field.required and field.encode_name not in given:
            address = URL.from_components(path=request.url.path, query=request.url.query)
            name = field.encode_name
            return ValidationException(f"Missing required query parameter {name!r} for path {address}")
    return ValidationException(extra=[fault for field in _FIELDS for fault in _faults(field, given)])


def _faults(field: msgspec.structs.FieldInfo, given: dict[str, str]) -> list[dict[str, str]]:
    if field.encode_name not in given:
        return []
    try:
        msgspec.convert(given[field.encode_name], field.type, strict=False)
    except msgspec.ValidationError as error:
        return [{"key": field.encode_name, "message": str(error).split(" - ", maxsplit=1)[0]}]
    return []
