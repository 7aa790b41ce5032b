"""Answers that are documents: as JSON or as YAML, with a tag, and not at all to who has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from litestar import Request, Response
from litestar.datastructures import ResponseHeader
from litestar.params import HeaderParameter, QueryParameter

from personakit.api.answers import POSITION
from personakit.api.etags import quoted, tags_in
from personakit.api.uploads import YAML

WAIT_SECONDS: Final = 5.0
LONGEST_REASON: Final = 500
ETAG = ResponseHeader(
    name="ETag", description="The document's hash, quoted; send it as `If-Match`", documentation_only=True
)
ReasonGiven = Annotated[
    str,
    QueryParameter(
        max_length=LONGEST_REASON,
        description="Why, in your words; it is kept with the version that this makes",
    ),
]
IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match", description="The `ETag` last seen; 412 when the document is another by now"
    ),
]


def tagged(hash_: str) -> dict[str, str]:
    """The headers of an answer that is the document of this hash."""
    return {"ETag": quoted(hash_), "Vary": "Accept"}


def as_asked(
    request: Request[Any, Any, Any],
    hash_: str,
    position: int,
    *,
    text: Callable[[], str],
    shown: Callable[[], Response[Any]],
) -> Response[Any]:
    """A document as the caller wants it: not at all where they have it (304), as YAML, or as JSON."""
    headers = {POSITION: str(position), **tagged(hash_)}
    seen = tags_in(request.headers.get("if-none-match"))
    if seen is not None and {"*", hash_} & seen:
        return Response(b"", status_code=304, headers=headers)
    if request.accept.best_match(["application/json", *YAML]) in YAML:
        return Response(text().encode(), media_type=YAML[0], headers=headers)
    return shown()
