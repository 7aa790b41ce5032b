"""Comparisons made ready to run. What is compared with is nearly always a constant: then all that can be
said of it is said once, when the plan is compiled. `operators.py` says what each operator means; nothing
here means anything else."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import isfinite
from typing import Any, Final

from personakit_sdk.rules.operators import OPERATORS, Comparison, instant, number
from personakit_sdk.rules.paths import MISSING
from personakit_sdk.rules.plain import is_list
from personakit_sdk.rules.reading import Reading

Test = Callable[[Reading], bool]
_OF_INSTANTS: Final = frozenset({"before", "after", "within_minutes"})


def compare_with_constant(name: str, slot: int, wanted: Any) -> Test:
    """Whether the value at `slot` compares so with `wanted`; false where it is missing, except for
    `not_exists`."""
    special = _SPECIAL.get(name)
    test = None if special is None else special(slot, wanted)
    return test or _clocked(name, slot, _compare(OPERATORS[name].holds, slot, wanted))


def compare_with_slot(name: str, slot: int, other: int) -> Test:
    """The same with what is at another slot, which may be missing too."""
    compare = OPERATORS[name].holds

    def holds(reading: Reading) -> bool:
        seen, wanted = reading.values[slot], reading.values[other]
        return seen is not MISSING and wanted is not MISSING and compare(seen, wanted, reading.at)

    return _clocked(name, slot, holds)


def _clocked(name: str, slot: int, test: Test) -> Test:
    """The test; of one that compares with now, noting that it may turn out otherwise at any moment."""
    if name not in _OF_INSTANTS:
        return test

    def holds(reading: Reading) -> bool:
        if reading.values[slot] is MISSING:
            return False
        reading.hold_until(reading.at)
        return test(reading)

    return holds


def _compare(compare: Comparison, slot: int, wanted: Any) -> Test:
    def holds(reading: Reading) -> bool:
        seen = reading.values[slot]
        return seen is not MISSING and compare(seen, wanted, reading.at)

    return holds


def _exists(slot: int, _: Any) -> Test:
    return lambda reading: reading.values[slot] is not MISSING


def _not_exists(slot: int, _: Any) -> Test:
    return lambda reading: reading.values[slot] is MISSING


def _equals(slot: int, wanted: Any) -> Test | None:
    if wanted is None or isinstance(wanted, bool):
        return lambda reading: reading.values[slot] is wanted
    if isinstance(wanted, str):
        return _equals_text(slot, wanted)
    return _equals_number(slot, wanted) if isinstance(wanted, int | float) else None


def _equals_text(slot: int, wanted: str) -> Test:
    def holds(reading: Reading) -> bool:
        seen = reading.values[slot]
        return type(seen) is str and seen == wanted

    return holds


def _equals_number(slot: int, wanted: float) -> Test:
    def holds(reading: Reading) -> bool:
        seen = reading.values[slot]
        return isinstance(seen, (int, float)) and not isinstance(seen, bool) and seen == wanted

    return holds


def _in(slot: int, wanted: Any) -> Test | None:
    if not is_list(wanted) or not all(type(item) is str for item in wanted):
        return None
    texts = frozenset[Any](wanted)

    def holds(reading: Reading) -> bool:
        seen = reading.values[slot]
        return type(seen) is str and seen in texts

    return holds


def _contains(slot: int, wanted: Any) -> Test | None:
    if not isinstance(wanted, str):
        return None

    def holds(reading: Reading) -> bool:
        seen = reading.values[slot]
        if is_list(seen):
            for item in seen:  # noqa: SIM110 - a generator would take longer than the search
                if type(item) is str and item == wanted:
                    return True
            return False
        return isinstance(seen, str) and wanted in seen

    return holds


def _negated(of: Callable[[int, Any], Test | None]) -> Callable[[int, Any], Test | None]:
    """The negation on a path that is there."""

    def special(slot: int, wanted: Any) -> Test | None:
        test = of(slot, wanted)
        if test is None:
            return None
        return lambda reading: reading.values[slot] is not MISSING and not test(reading)

    return special


def _ordering(compare: Callable[[Any, Any], bool]) -> Callable[[int, Any], Test | None]:
    """A number as the constant leaves only numbers, and texts that are one, to compare it with."""

    def special(slot: int, wanted: Any) -> Test | None:
        bound = number(wanted)
        if bound is None or isinstance(wanted, str):
            return None

        def holds(reading: Reading) -> bool:
            seen = reading.values[slot]
            if type(seen) is float:
                return compare(seen, bound) and isfinite(seen)
            if type(seen) is int:
                return compare(seen, bound)
            left = number(seen)
            return left is not None and compare(left, bound)

        return holds

    return special


_at_least, _at_most = _ordering(operator.ge), _ordering(operator.le)


def _between(slot: int, wanted: Any) -> Test | None:
    if not is_list(wanted) or len(wanted) != 2:
        return None
    low, high = _at_least(slot, wanted[0]), _at_most(slot, wanted[1])
    if low is None or high is None:
        return None
    return lambda reading: low(reading) and high(reading)


def _chronology(compare: Callable[[Any, Any], bool]) -> Callable[[int, Any], Test | None]:
    def special(slot: int, wanted: Any) -> Test | None:
        bound = instant(wanted)
        if bound is None:
            return None

        def holds(reading: Reading) -> bool:
            seen = instant(reading.values[slot])
            return seen is not None and compare(seen, bound)

        return holds

    return special


_SPECIAL: Final[dict[str, Callable[[int, Any], Test | None]]] = {
    "exists": _exists,
    "not_exists": _not_exists,
    "equals": _equals,
    "not_equals": _negated(_equals),
    "in": _in,
    "not_in": _negated(_in),
    "contains": _contains,
    "not_contains": _negated(_contains),
    "greater": _ordering(operator.gt),
    "greater_or_equal": _at_least,
    "less": _ordering(operator.lt),
    "less_or_equal": _at_most,
    "between": _between,
    "before": _chronology(operator.lt),
    "after": _chronology(operator.gt),
}
"""What can be said of a constant beforehand; each gives None where that is nothing."""
