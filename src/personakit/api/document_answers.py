"""Answers that are documents: as JSON or as YAML, with a tag, and not at all to who has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Request, Response
from litestar.datastructures import ResponseHeader

from personakit.api.answers import POSITION
from personakit.api.etags import quoted, tags_in
from personakit.api.uploads import YAML

ETAG = ResponseHeader(
    name="ETag", description="The document's hash, quoted; send it as `If-Match`", documentation_only=True
)


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
    same: bool = True,
) -> Response[Any]:
    """A document as the caller wants it: not at all where they have it (304), as YAML, or as JSON. `same`
    says that all that is shown in JSON is the same where the document is."""
    headers = {POSITION: str(position), **tagged(hash_)}
    seen = tags_in(request.headers.get("if-none-match"))
    in_yaml = request.accept.best_match(["application/json", *YAML]) in YAML
    if seen is not None and {"*", hash_} & seen and (same or in_yaml):
        return Response(b"", status_code=304, headers=headers)
    if in_yaml:
        return Response(text().encode(), media_type=YAML[0], headers=headers)
    return shown()
