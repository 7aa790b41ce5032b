"""What a parameter may do to its value before it is used."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from personakit_sdk.rules.operators import instant
from personakit_sdk.rules.plain import INT64, is_list
from personakit_sdk.rules.template import text_of

Transform = Callable[[Any], Any]
"""Gives None for a value that it cannot be applied to."""


def _number(value: Any) -> float | None:
    """A number that JSON can carry; None for everything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) and value in INT64 else None


def _minutes_to_hours(value: Any) -> float | None:
    minutes = _number(value)
    return None if minutes is None else minutes / 60


def _round(value: Any) -> int | None:
    """Halves away from zero, as people round."""
    number = _number(value)
    if number is None or isinstance(number, int):
        return number
    rounded = int(math.copysign(math.floor(abs(number) + 0.5), number))
    return rounded if rounded in INT64 else None


def _percent(value: Any) -> str | None:
    """A share as whole percent: 0.31 is `31%`. The decimal that is written counts: 0.285 is `29%`."""
    number = _number(value)
    if number is None:
        return None
    percent = int((Decimal(str(number)) * 100).to_integral_value(ROUND_HALF_UP))
    return f"{percent}%" if percent in INT64 else None


def _capitalize(value: Any) -> str | None:
    """The first letter upper case and the rest as it is."""
    return value[:1].upper() + value[1:] if isinstance(value, str) else None


def _lower(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) else None


def _upper(value: Any) -> str | None:
    return value.upper() if isinstance(value, str) else None


def _join(value: Any) -> str | None:
    return text_of(value) if is_list(value) else None


def _date(value: Any) -> str | None:
    """The calendar day of an instant, as it was written: `2026-03-02`."""
    return value[:10] if instant(value) is not None else None


TRANSFORMS: Final[dict[str, Transform]] = {
    "minutes_to_hours": _minutes_to_hours,
    "capitalize": _capitalize,
    "lower": _lower,
    "upper": _upper,
    "round": _round,
    "percent": _percent,
    "join": _join,
    "date": _date,
}
