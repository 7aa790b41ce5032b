"""The first difference between what a case expects and what there is, as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def difference(expected: Any, found: Any, where: str) -> str | None:
    """Where and how `found` differs; None where it is as expected. Of an object, only what is expected is
    looked at; a list has to be the same length; a text that is an instant may be written in any way."""
    match expected, found:
        case Mapping(), Mapping():
            pairs = [(f"{where}.{key}", value, found.get(key)) for key, value in expected.items()]
        case list(), list() if len(expected) == len(found):
            pairs = [(f"{where}[{n}]", *both) for n, both in enumerate(zip(expected, found, strict=True))]
        case _:
            return None if _same(expected, found) else f"{where} is {_short(found)}, not {_short(expected)}"
    return next((told for at, one, other in pairs if (told := difference(one, other, at))), None)


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, str) and isinstance(found, str) and expected != found:
        instants = _instant(expected), _instant(found)
        return instants[0] is not None and instants[0] == instants[1]
    return bool(expected == found)


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
