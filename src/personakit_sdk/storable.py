"""What of JSON can be stored: the service refuses the rest at its door, and the SDK at the call already."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, cast

from personakit_sdk.errors import Fault

MAX_DEPTH: Final = 32
_INT64: Final = range(-(2**63), 2**63)


def unstorable(value: Any, pointer: str = "", depth: int = 0) -> list[Fault]:
    """What in a JSON value PostgreSQL, or a reader in another language, could not hold."""
    if not isinstance(value, dict | list | tuple):
        return _unstorable_scalar(value, pointer)
    if depth >= MAX_DEPTH:
        return [Fault(pointer, f"nested deeper than {MAX_DEPTH} levels")]
    faults: list[Fault] = []
    if isinstance(value, dict):
        for key, member in cast("dict[str, Any]", value).items():
            at = f"{pointer}/{escape(key)}"
            faults += unstorable(key, at, depth)
            faults += unstorable(member, at, depth + 1)
    else:
        for number, member in enumerate(cast("Sequence[Any]", value)):
            faults += unstorable(member, f"{pointer}/{number}", depth + 1)
    return faults


def _unstorable_scalar(value: Any, pointer: str) -> list[Fault]:
    match value:
        case str() if "\x00" in value:
            return [Fault(pointer, "a text with a NUL character")]
        case str() if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
            return [Fault(pointer, "a text with half of a surrogate pair")]
        case bool():
            return []
        case int() if value not in _INT64:
            return [Fault(pointer, "a whole number beyond 64 bits; send it as a text")]
        case float() if not math.isfinite(value):
            return [Fault(pointer, "a number that is not finite")]
        case _:
            return []


def escape(key: str) -> str:
    """A key as a segment of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
