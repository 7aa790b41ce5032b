"""What each operator means, the same for traits and for context."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from personakit_sdk.rules.plain import is_list, is_object

Comparison = Callable[[Any, Any, datetime], bool]
"""Takes the value seen, the value wanted and the instant of the request."""

_DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Operator(msgspec.Struct, frozen=True):
    """`holds` compares a value that is there; `operand` is what a constant `value` must be."""

    holds: Comparison
    operand: Literal["none", "any", "pair", "list", "text", "instant", "minutes"]


def same(a: Any, b: Any) -> bool:
    """Equality that is strict on types, but 1 equals 1.0; lists and objects compare by value."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b
    if is_list(a) and is_list(b):
        return len(a) == len(b) and all(map(same, a, b))
    if is_object(a) and is_object(b):
        return a.keys() == b.keys() and all(same(item, b[key]) for key, item in a.items())
    return type(a) is type(b) and bool(a == b)


def instant(value: Any) -> datetime | None:
    """The instant that an RFC 3339 text with an offset names, or None."""
    if not isinstance(value, str):
        return None
    try:
        return msgspec.convert(value, _Instant)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return None


def number(value: Any) -> float | None:
    """A finite number, given as one or as a text that is wholly a decimal number; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return _decimal(value)
    return None


def _decimal(text: str) -> float | None:
    """An integer that fits a double stays exact: 2^53 + 1 is more than 2^53."""
    value = float(text)
    if not math.isfinite(value):
        return None
    return int(text) if len(text) <= 400 and text.lstrip("+-").isdigit() else value


def _ordering(compare: Callable[[Any, Any], bool]) -> Comparison:
    """Numbers as numbers; two texts, one of them no number, by code point; everything else false."""

    def holds(seen: Any, wanted: Any, _at: datetime) -> bool:
        left, right = number(seen), number(wanted)
        if left is not None and right is not None:
            return compare(left, right)
        if isinstance(seen, str) and isinstance(wanted, str):
            return compare(seen, wanted)
        return False

    return holds


_at_least = _ordering(operator.ge)
_at_most = _ordering(operator.le)


def _between(seen: Any, wanted: Any, at: datetime) -> bool:
    if not is_list(wanted) or len(wanted) != 2:
        return False
    return _at_least(seen, wanted[0], at) and _at_most(seen, wanted[1], at)


def _equals(seen: Any, wanted: Any, _at: datetime) -> bool:
    return same(seen, wanted)


def _in(seen: Any, wanted: Any, _at: datetime) -> bool:
    return is_list(wanted) and _has(wanted, seen)


def _has(items: list[Any], wanted: Any) -> bool:
    return any(same(item, wanted) for item in items)


def _contains(seen: Any, wanted: Any, _at: datetime) -> bool:
    if is_list(seen):
        return _has(seen, wanted)
    return isinstance(seen, str) and isinstance(wanted, str) and wanted in seen


def _contains_any(seen: Any, wanted: Any, _at: datetime) -> bool:
    if not is_list(seen) or not is_list(wanted):
        return False
    return any(_has(seen, item) for item in wanted)


def _contains_all(seen: Any, wanted: Any, _at: datetime) -> bool:
    if not is_list(seen) or not is_list(wanted):
        return False
    return all(_has(seen, item) for item in wanted)


def _starts_with(seen: Any, wanted: Any, _at: datetime) -> bool:
    return isinstance(seen, str) and isinstance(wanted, str) and seen.startswith(wanted)


def _ends_with(seen: Any, wanted: Any, _at: datetime) -> bool:
    return isinstance(seen, str) and isinstance(wanted, str) and seen.endswith(wanted)


def _chronology(compare: Callable[[Any, Any], bool]) -> Comparison:
    def holds(seen: Any, wanted: Any, at: datetime) -> bool:
        left = instant(seen)
        right = at if wanted == "now" else instant(wanted)
        return left is not None and right is not None and compare(left, right)

    return holds


def _within_minutes(seen: Any, wanted: Any, at: datetime) -> bool:
    then = instant(seen)
    if then is None or isinstance(wanted, bool) or not isinstance(wanted, int | float):
        return False
    return 0 <= (then - at).total_seconds() <= wanted * 60


def _there(_seen: Any, _wanted: Any, _at: datetime) -> bool:
    return True


def _negation(of: Comparison) -> Comparison:
    """Its negation on a path that is there; a missing path is dealt with before any operator."""

    def holds(seen: Any, wanted: Any, at: datetime) -> bool:
        return not of(seen, wanted, at)

    return holds


OPERATORS: Final[dict[str, Operator]] = {
    "equals": Operator(_equals, "any"),
    "not_equals": Operator(_negation(_equals), "any"),
    "greater": Operator(_ordering(operator.gt), "any"),
    "greater_or_equal": Operator(_at_least, "any"),
    "less": Operator(_ordering(operator.lt), "any"),
    "less_or_equal": Operator(_at_most, "any"),
    "between": Operator(_between, "pair"),
    "in": Operator(_in, "list"),
    "not_in": Operator(_negation(_in), "list"),
    "contains": Operator(_contains, "any"),
    "not_contains": Operator(_negation(_contains), "any"),
    "contains_any": Operator(_contains_any, "list"),
    "contains_all": Operator(_contains_all, "list"),
    "starts_with": Operator(_starts_with, "text"),
    "ends_with": Operator(_ends_with, "text"),
    "exists": Operator(_there, "none"),
    "not_exists": Operator(_negation(_there), "none"),
    "before": Operator(_chronology(operator.lt), "instant"),
    "after": Operator(_chronology(operator.gt), "instant"),
    "within_minutes": Operator(_within_minutes, "minutes"),
}
