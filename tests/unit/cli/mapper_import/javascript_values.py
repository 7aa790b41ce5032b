"""JavaScript's comparisons of JSON values, by ECMA-262, for the reference engines. UNDEFINED is one."""

from __future__ import annotations

import math
import re
from typing import Any, Final

UNDEFINED: Final = object()
_NUMBER = re.compile(r"[+-]?(Infinity|[0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?)")
_LEADING = re.compile(r"\s*[+-]?(Infinity|[0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?)")


def to_text(value: Any) -> str:  # noqa: PLR0911 - one case a type
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(int(value)) if value == int(value) else repr(value)
        case str():
            return value
        case list():
            return ",".join("" if item is None else to_text(item) for item in value)
        case dict():
            return "[object Object]"
        case _:
            return "undefined"


def to_number(value: Any) -> float:
    match value:
        case None:
            return 0
        case bool() | int() | float():
            return float(value)
        case str():
            return _parsed(value.strip())
        case list() | dict():
            return to_number(to_text(value))
        case _:
            return math.nan


def _parsed(text: str) -> float:
    if text == "":
        return 0
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    return float(text.replace("Infinity", "inf")) if _NUMBER.fullmatch(text) else math.nan


def parse_float(value: Any) -> float:
    found = _LEADING.match(to_text(value))
    return float(found[0].replace("Infinity", "inf")) if found else math.nan


def strictly_equal(a: Any, b: Any) -> bool:
    if isinstance(a, list | dict) or isinstance(b, list | dict):
        return False  # never the same object: one comes from the facts, one from the rule
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b
    return type(a) is type(b) and (a is b or a == b)


def loosely_equal(a: Any, b: Any) -> bool:
    nothing = (None, UNDEFINED)
    if a in nothing or b in nothing:
        return a in nothing and b in nothing
    if isinstance(a, str) and isinstance(b, str):
        return a == b
    if isinstance(a, list | dict):
        return not isinstance(b, list | dict) and loosely_equal(to_text(a), b)
    if isinstance(b, list | dict):
        return loosely_equal(a, to_text(b))
    return to_number(a) == to_number(b)


def compare(a: Any, sign: str, b: Any) -> bool:
    """`a < b` and its like."""
    left, right = (to_text(side) if isinstance(side, list | dict) else side for side in (a, b))
    if not (isinstance(left, str) and isinstance(right, str)):
        left, right = to_number(left), to_number(right)
    else:
        left, right = left.encode("utf-16-be"), right.encode("utf-16-be")
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign]
