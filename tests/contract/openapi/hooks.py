"""What Schemathesis is told of this service: ids that are there, and a check of its own.

Loaded by its command line (`SCHEMATHESIS_HOOKS`). Chance alone finds no person and no mapper, so that every
second name in an address becomes one that `site.py` made; the other half stays what chance made of it.
"""

from __future__ import annotations

import os
from typing import Any
from zlib import crc32

import msgspec
import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.failures import Failure

from personakit.api.security_headers import ALWAYS

KNOWN = msgspec.json.decode(os.environ["KNOWN_IDS"], type=dict[str, str])
OF_EVERY_ANSWER = {
    "connection",
    "content-type",
    "content-length",
    "transfer-encoding",
    "date",
    "server",
    "allow",
    "cache-control",
    "vary",
    "content-security-policy",
    *(name.decode() for name, _ in ALWAYS),
}
"""Headers of HTTP itself and for browsers, which nobody looks up in a description."""


class HeaderUndocumented(Failure):
    """An answer has a header that its description has not."""

    def __init__(self, operation: str, header: str, status: int) -> None:
        super().__init__(
            operation=operation,
            title="Undocumented header",
            message=f"The answer {status} has a header {header!r}, which is not described.",
        )


def _with_known(given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    changed = {name: KNOWN[name] for name in KNOWN.keys() & given.keys() if _every_second(given[name])}
    return {**given, **changed}


def _every_second(value: object) -> bool:
    return crc32(repr(value).encode(errors="replace")) % 2 == 0


@schemathesis.hook
def map_path_parameters(_context: HookContext, given: Any) -> Any:
    """Every second name in a path."""
    return _with_known(given)


@schemathesis.hook
def map_query(_context: HookContext, given: Any) -> Any:
    """Every second name in a query."""
    return _with_known(given)


@schemathesis.check
def documented_headers(_context: CheckContext, response: Response, case: Case) -> None:
    """Every header of an answer is HTTP's own, or described."""
    described = case.operation.definition.raw["responses"].get(str(response.status_code))
    if described is None:
        return
    if "$ref" in described:
        status = described["$ref"].rpartition("/")[2]
        described = case.operation.schema.raw_schema["components"]["responses"][status]
    known = {name.lower() for name in described.get("headers", {})} | OF_EVERY_ANSWER
    for header in response.headers:
        if header.lower() not in known:
            raise HeaderUndocumented(case.operation.label, header, response.status_code)
