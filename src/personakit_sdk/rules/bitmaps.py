"""Bitmaps: of all that many rules require of one path, which rules a value still lets fire.

A bitmap is an integer with a bit for every rule. Each kind of value (missing, true, a text, a number …) is
cut into cells in which every requirement says the same, and each cell has its bitmap, made when the plan is
compiled. A bitmap may keep a rule that does not fire, and never loses one that does.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf, nextafter
from sys import float_info
from typing import Any, Final, Generic, Protocol, TypeVar

from personakit_sdk.rules.operators import number
from personakit_sdk.rules.paths import Missing
from personakit_sdk.rules.requirement import Requirement

Lookup = Callable[[Any], int]
"""Takes a value and gives the bitmap of the rules that it lets fire."""

_LARGEST: Final = float_info.max
_HASHED: Final = (str, int, float)
_NEVER_AN_ELEMENT: Final = frozenset({list, dict})
"""No requirement of elements names one of these types."""


class _OfRule(Protocol):
    @property
    def rule(self) -> int: ...


_R = TypeVar("_R", bound=_OfRule)


class Grid(Generic[_R]):
    """The requirements of one path, and how those of one rule go together: all of them must be met, or
    any. `rules` are the bits of all rules: one without a requirement here may fire where all must be met,
    and may not where any must."""

    def __init__(self, requirements: Sequence[_R], rules: int, need_all: bool) -> None:
        self.requirements = requirements
        self.need_all = need_all
        concerned = 0
        for each in requirements:
            concerned |= 1 << each.rule
        self.others = rules & ~concerned if need_all else 0

    def bitmaps(self, cells: int, may_hold: Callable[[_R], int]) -> list[int]:
        """The bitmap of each of so many cells; `may_hold` gives the cells in which a requirement may be
        met, as bits."""
        allowed: dict[int, int] = {}
        for each in self.requirements:
            within = may_hold(each)
            before = allowed.get(each.rule, within)
            allowed[each.rule] = before & within if self.need_all else before | within
        # From cell to cell, few rules change: each is flipped where its own cells begin and end.
        flips = [0] * (cells + 1)
        for rule, within in allowed.items():
            for cell in bits(within ^ within << 1):
                flips[cell] ^= 1 << rule
        made: list[int] = []
        current = self.others
        for cell in range(cells):
            current ^= flips[cell]
            made.append(current)
        return made

    def bitmap(self, may_hold: Callable[[_R], bool]) -> int:
        """The bitmap of a kind of values that is one cell."""
        return self.bitmaps(1, may_hold)[0]


def bits(bitmap: int) -> list[int]:
    """The numbers of the bits that are set, in order."""
    digits = f"{bitmap:b}"[::-1]
    found: list[int] = []
    at = digits.find("1")
    while at >= 0:
        found.append(at)
        at = digits.find("1", at + 1)
    return found


def lookups(grid: Grid[Requirement], sure: int) -> dict[type, Lookup]:
    """For each type of value, what gives its bitmap; under `object`, that of every type not named.

    Bitmaps have the bit `sure` where exact requirements are known to be met or not, and not where they may
    be met.
    """
    missing = grid.bitmap(lambda each: each.operator == "not_exists")
    there = grid.bitmap(lambda each: each.operator != "not_exists") & ~sure
    others = grid.bitmap(Requirement.of_others)
    single = _singles(grid)
    integer, floating = _numbers(grid, others)
    return {
        Missing: lambda _: missing,
        bool: single,
        type(None): single,
        str: _texts(grid, sure),
        int: integer,
        float: floating,
        list: _lists(grid, there),
        dict: lambda _: others,
        object: lambda _: there,
    }


def _singles(grid: Grid[Requirement]) -> Lookup:
    known = {
        True: grid.bitmap(lambda each: each.of_single(True)),
        False: grid.bitmap(lambda each: each.of_single(False)),
        None: grid.bitmap(lambda each: each.of_single(None)),
    }
    return known.__getitem__


def _texts(grid: Grid[Requirement], sure: int) -> Lookup:
    named = sorted({text for each in grid.requirements for text in each.texts()})
    cells = {text: cell for cell, text in enumerate(named, start=2)}
    every = (1 << len(cells) + 2) - 1
    numeric = 2 + sum(1 << cell for text, cell in cells.items() if number(text) is not None)
    bitmaps = grid.bitmaps(len(cells) + 2, lambda each: each.of_texts(cells, every, numeric))
    word, digits, *of_named = bitmaps
    if any(each.looks_into_texts() for each in grid.requirements):
        bitmaps = [bitmap & ~sure for bitmap in bitmaps]
        word, digits, *of_named = bitmaps
    if not any(each.orders_numbers() for each in grid.requirements):  # then no text counts as a number
        return _OrElse(word, zip(named, of_named, strict=True)).__getitem__
    known = {
        text: bitmap if number(text) is None else bitmap & ~sure
        for text, bitmap in zip(named, of_named, strict=True)
    }

    def lookup(value: str) -> int:
        bitmap = known.get(value)
        if bitmap is not None:
            return bitmap
        return word if number(value) is None else digits & ~sure

    return lookup


class _OrElse(dict[str, int]):
    """Bitmaps by text, and one for every other text; a look-up is not even a call of Python's."""

    def __init__(self, other: int, bitmaps: Iterable[tuple[str, int]]) -> None:
        super().__init__(bitmaps)
        self._other = other

    def __missing__(self, _: str) -> int:
        return self._other


def _numbers(grid: Grid[Requirement], others: int) -> tuple[Lookup, Lookup]:
    """Of integers and of floats. The cell of a number is how many of the points, which cut all numbers into
    cells, lie before it, and how many not after it, added together."""
    points = sorted({point for each in grid.requirements for point in each.numbers()})
    cells = 2 * len(points) + 1
    every = (1 << cells) - 1
    of_cell = grid.bitmaps(cells, lambda each: each.of_numbers(points, every))
    edges = [-_LARGEST, *(edge for point in points for edge in _edges(point)), inf]
    of_float = [others, *of_cell, others]
    return (
        lambda value: of_cell[bisect_left(points, value) + bisect_right(points, value)],
        lambda value: of_float[bisect_right(edges, value)],
    )


def _edges(point: float) -> tuple[float, float]:
    """The smallest floats that are not below the point, and above it: the cells of floats begin there. Below
    the first edge and above the last are infinities, and where nothing is less lies NaN."""
    try:
        near = float(point)
    except OverflowError:
        return (inf, inf) if point > 0 else (-_LARGEST, -_LARGEST)
    after = nextafter(near, inf)
    return near if near >= point else after, near if near > point else after


def _lists(grid: Grid[Requirement], there: int) -> Lookup:
    """Where a list must have certain elements, those that it has say which rules may fire."""
    whatever = grid.bitmap(lambda each: each.elements() is None and each.of_lists())
    possible = grid.bitmap(Requirement.of_lists)
    hashed: dict[Any, int] = {}
    singles: dict[Any, int] = {}  # true is not 1, and would be found where 1 is
    for each in grid.requirements:
        for element in each.elements() or ():
            table = hashed if type(element) in _HASHED else singles
            table[element] = table.get(element, 0) | 1 << each.rule & possible
    tables: dict[type, dict[Any, int]] = {
        **dict.fromkeys(_HASHED, hashed),
        **dict.fromkeys((bool, type(None)), singles),
    }
    return _elements(tables, whatever, there) if hashed or singles else lambda _: whatever


def _elements(tables: Mapping[type, Mapping[Any, int]], whatever: int, there: int) -> Lookup:
    def lookup(value: list[Any]) -> int:
        found = whatever
        for element in value:
            table = tables.get(element.__class__)
            if table is not None:
                found |= table.get(element, 0)
            elif element.__class__ not in _NEVER_AN_ELEMENT:
                return there
        return found

    return lookup
