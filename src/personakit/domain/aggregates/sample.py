"""What counts as a sample, and the numbers that go in and come out of aggregates."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from personakit.domain.aggregates.decay import Weight

RESOLUTION: Final = 10**9
"""Numbers are summed as whole multiples of 10^-9, so that 0.1 ten times is 1."""
LARGEST: Final = 2**63
"""Numbers of this magnitude or above are no samples."""
LONGEST_KEY: Final = 128
"""Characters of a text that can be a category."""

Number = int | float


class Sample(msgspec.Struct, frozen=True):
    """One observation's value. `micros` is its instant after EPOCH; `local` the same in its own offset."""

    value: Any
    id: UUID
    micros: int
    local: datetime
    weight: Weight


def number(value: Any) -> Number | None:
    """The number that `value` is, a whole one as int; None for what is no number, or is too large.

    True and false are no numbers.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -LARGEST < value < LARGEST:  # nor is NaN, which compares false
        return None
    return int(value) if value == int(value) else value


def fixed(value: Number) -> int:
    """`value` in units of 10^-9, halves rounded up."""
    numerator, denominator = value.as_integer_ratio()
    return (2 * numerator * RESOLUTION + denominator) // (2 * denominator)


def category(value: Any) -> str | None:
    """The JSON text of a short text, a number, true or false; None for what is no category."""
    if isinstance(value, str):
        given: Any = value if len(value) <= LONGEST_KEY else None
    else:
        given = value if isinstance(value, bool) else number(value)
    return None if given is None else msgspec.json.encode(given).decode()


def categories(value: Any) -> list[str]:
    """The categories in `value`: of each element, where it is a list."""
    keys = [category(element) for element in (value if isinstance(value, list) else [value])]
    return [key for key in keys if key is not None]


def value_of(key: str) -> Any:
    """The value whose category is `key`."""
    return msgspec.json.decode(key)


def by_value(key: str) -> tuple[int, Any]:
    """Orders categories: false and true, numbers by size, texts by code point."""
    value = value_of(key)
    kind = 2 if isinstance(value, str) else 0 if isinstance(value, bool) else 1
    return kind, value


def exact(numerator: int, denominator: int) -> Number:
    """The quotient: an int where it is whole and below LARGEST, else the nearest double."""
    whole, rest = divmod(numerator, denominator)
    return whole if rest == 0 and abs(whole) < LARGEST else tidy(numerator / denominator)


def rounded(numerator: int, denominator: int) -> Number:
    """The quotient: whole, or at six significant digits."""
    if numerator % denominator == 0:
        return exact(numerator, denominator)
    return tidy(float(f"{numerator / denominator:.6g}"))


def tidy(value: float) -> Number:
    """A whole number below LARGEST as int, any other as it is: so that equal numbers are written the same,
    and that a database which writes 3.6e16 out in full gives back what it was given."""
    return int(value) if abs(value) < LARGEST and value == int(value) else value
