"""`/schemas`: what editors complete and check documents by. Open to all: it holds nobody's data."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Response, get

from personakit_sdk.rules.schema import PATH_OF_SCHEMA, mapper_schema

_MAPPER: Final = msgspec.json.encode(mapper_schema())
_HEADERS: Final = {"Cache-Control": "public, max-age=3600"}


@get(PATH_OF_SCHEMA, include_in_schema=False, sync_to_thread=False)
def mapper_json() -> Response[bytes]:
    """The JSON Schema of mapper documents."""
    return Response(_MAPPER, media_type="application/schema+json", headers=_HEADERS)
