"""What a rule requires of one path: for which values the check may hold, said of whole kinds of values.

What is not known for sure is said in favour of the rule: a value may be let through that does not meet the
requirement, and none is turned away that does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from personakit_sdk.rules.clock import PERIODS, WEEKDAYS, in_hours
from personakit_sdk.rules.operators import OPERATORS, number
from personakit_sdk.rules.plain import is_list, is_object

_EQUALITIES: Final = frozenset({"equals", "not_equals", "in", "not_in"})
_ORDERINGS: Final = frozenset({"greater", "greater_or_equal", "less", "less_or_equal", "between"})
_OF_CONTENT: Final = frozenset({"contains", "contains_any", "contains_all"})
_OF_TEXTS: Final = frozenset({"starts_with", "ends_with", "before", "after", "within_minutes"})
_NEVER_OF_TEXTS: Final = frozenset({"contains_any", "contains_all", "not_exists"})
_NEVER_OF_NUMBERS: Final = _OF_CONTENT | _OF_TEXTS | {"not_exists"}
_NEVER_OF_LISTS: Final = _ORDERINGS | _OF_TEXTS | {"not_exists"}
ANY_INSTANT: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""For comparisons that ask no clock."""


class Requirement:
    """One check of a path by the rule with the number `rule`. Where what it compares with is taken from
    elsewhere, it is only known to fail where nothing is.

    `exact` says that of every JSON value all that is said here is known for sure.
    """

    __slots__ = ("_equals", "constant", "exact", "operator", "rule", "wanted")

    def __init__(self, rule: int, asked: Mapping[str, Any]) -> None:
        wanted: Any = asked.get("value")
        self.rule = rule
        self.operator: str = asked["operator"]
        self.constant = not _is_taken(wanted)
        self.wanted: Any = wanted if self.constant else None
        self._equals: list[Any] = []
        if self.constant and self.operator in _EQUALITIES:
            self._equals = wanted if self.operator in ("in", "not_in") else [wanted]
        self.exact = "min_confidence" not in asked and self._is_exact()

    def texts(self) -> list[str]:
        """The texts that it tells from all others."""
        return [item for item in self._equals if type(item) is str]

    def numbers(self) -> list[float]:
        """The numbers at which what it says of numbers changes."""
        if not self.constant or self.operator not in _ORDERINGS:
            return [item for item in self._equals if _is_number(item)]
        bounds = self.wanted if self.operator == "between" else [self.wanted]
        return [bound for bound in map(number, bounds) if bound is not None]

    def elements(self) -> list[Any] | None:
        """What a list must have one of; None where that cannot be said."""
        if not self.constant or self.operator not in _OF_CONTENT:
            return None
        wanted: list[Any] = [self.wanted] if self.operator == "contains" else self.wanted
        if not all(map(_is_scalar, wanted)):
            return None
        return wanted if wanted or self.operator == "contains_any" else None

    def looks_into_texts(self) -> bool:
        """Whether of a text more counts than what it is equal to, and which number it is."""
        return self.operator == "contains" and self.exact and isinstance(self.wanted, str)

    def asks_clock(self) -> bool:
        return self.operator in ("before", "after", "within_minutes")

    def of_single(self, seen: bool | None) -> bool:
        """Whether it holds for true, false or null."""
        if self.operator in ("exists", "not_exists"):
            return self.operator == "exists"
        return not self.constant or OPERATORS[self.operator].holds(seen, self.wanted, ANY_INSTANT)

    def of_texts(self, cells: Mapping[str, int], every: int, numeric: int) -> int:
        """The cells of texts in which it may hold. `cells` tells the cell of every text that some
        requirement names, `numeric` the cells of texts that are a number."""
        if self.operator in ("equals", "in") and self.constant:
            return self._named(cells)
        if self.operator in ("not_equals", "not_in") and self.constant:
            return every & ~self._named(cells)
        if self.orders_numbers():
            return numeric
        if self.operator == "contains" and self.constant and not isinstance(self.wanted, str):
            return 0
        return 0 if self.operator in _NEVER_OF_TEXTS else every

    def of_numbers(self, points: Sequence[float], every: int) -> int:
        """The cells of numbers in which it may hold: of `points` in order, cell 2i is what lies before
        the i-th, cell 2i + 1 that number itself."""
        if not self.constant:
            return every
        if self.operator in ("equals", "in"):
            return self._at(points)
        if self.operator in ("not_equals", "not_in"):
            return every & ~self._at(points)
        if self.operator in _ORDERINGS:
            return every & self._ordered(points)
        return 0 if self.operator in _NEVER_OF_NUMBERS else every

    def of_lists(self) -> bool:
        """Whether it may hold for a list, whatever is in it."""
        if self.constant and self.operator in ("equals", "in"):
            return any(map(is_list, self._equals))
        return self.operator not in _NEVER_OF_LISTS

    def of_others(self) -> bool:
        """Whether it may hold for an object, or for a number that is not finite."""
        if self.exact:
            return self.operator in ("exists", "not_equals", "not_in")
        return self.operator != "not_exists"

    def _is_exact(self) -> bool:
        if self.operator in _EQUALITIES:
            return self.constant and all(map(_is_scalar, self._equals))
        if self.operator in ("contains", "contains_any"):
            return self.elements() is not None
        return self.operator in ("exists", "not_exists") or self.orders_numbers()

    def orders_numbers(self) -> bool:
        """Whether it compares with numbers that are written as numbers."""
        bounds = self.wanted if self.operator == "between" else [self.wanted]
        return self.constant and self.operator in _ORDERINGS and all(map(_is_number, bounds))

    def _named(self, cells: Mapping[str, int]) -> int:
        return sum({1 << cells[text] for text in self.texts()})

    def _at(self, points: Sequence[float]) -> int:
        return sum({1 << 2 * bisect_left(points, point) + 1 for point in self.numbers()})

    def _ordered(self, points: Sequence[float]) -> int:
        at = [2 * bisect_left(points, bound) + 1 for bound in self.numbers()]
        if len(at) != (2 if self.operator == "between" else 1):
            return 0
        match self.operator:
            case "greater":
                return _from(at[0] + 1)
            case "greater_or_equal":
                return _from(at[0])
            case "less":
                return ~_from(at[0])
            case "less_or_equal":
                return ~_from(at[0] + 1)
            case _:
                return _from(at[0]) & ~_from(at[1] + 1)


class TimeRequirement:
    """What the rule with the number `rule` requires of the clock: hours and days, as bits."""

    __slots__ = ("days", "hours", "rule")

    def __init__(self, rule: int, asked: Mapping[str, Any]) -> None:
        days = asked.get("day_of_week", WEEKDAYS)
        periods = [PERIODS[asked["period"]]] if "period" in asked else []
        ranges = [*periods, asked.get("hour_range", (0, 24))]
        self.rule = rule
        self.hours = sum(1 << hour for hour in range(24) if all(in_hours(hour, *each) for each in ranges))
        self.days = sum(1 << number for number, day in enumerate(WEEKDAYS) if day in days)


def _from(cell: int) -> int:
    """All cells from this one on."""
    return -1 << cell


def _is_taken(wanted: object) -> bool:
    """Whether what is compared with is taken from elsewhere."""
    return is_object(wanted) and not {"from_trait", "from_context"}.isdisjoint(wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)
