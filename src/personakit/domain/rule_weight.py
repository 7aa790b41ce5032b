"""The author's weight of a rule, set or changed in exact decimals.

Weights are written in decimals, and doubles hold few of these: 0.001 added a thousand times in doubles is
not 1. So a sum is made of the decimals that the numbers are written as, and is refused where a double
could not be written as that sum.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

from personakit_sdk.errors import Fault, InvalidInput
from personakit_sdk.rules.rule import LARGEST_WEIGHT

_EXACT: Final = Context(prec=800)
"""More digits than any sum of two doubles has that lie within the range of a weight."""


def set_to(weight: float) -> float:
    """The weight. Raises InvalidInput for one that no rule may have."""
    return _checked(Decimal(repr(weight)), "/weight", f"weight is {weight!r}")


def changed_by(before: float, change: float) -> float:
    """`before` and `change` added exactly. Raises InvalidInput where no rule may have that weight, and for a
    sum of more digits than a weight can hold."""
    total = _EXACT.add(Decimal(repr(before)), Decimal(repr(change)))
    weight = _checked(total, "/change", f"weight {before!r} changed by {change!r} would be {float(total)!r}")
    if Decimal(repr(weight)) != total:
        raise InvalidInput(
            f"The weight {before!r} changed by {change!r} would have more digits than a weight can hold; "
            "give a change with fewer, or set `weight`.",
            (Fault("/change", "too many digits"),),
        )
    return weight


def _checked(weight: Decimal, pointer: str, said: str) -> float:
    if not 0 <= weight <= Decimal(LARGEST_WEIGHT):
        raise InvalidInput(
            f"The {said}; a weight is from 0 to {LARGEST_WEIGHT:g}.", (Fault(pointer, "out of range"),)
        )
    return float(weight) + 0.0  # of -0.0 it makes 0.0, as the database does
