"""Which categories occur, and which most often: exact up to 256 of them, a fair sample above.

What is kept above 256 is decided by hashes, not by arrival: a sample that once was dropped would be
dropped in any other order too, so that every order ends in the same state.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from personakit.domain.aggregates.accumulator import Options, Reading
from personakit.domain.aggregates.decay import Sums, Weight
from personakit.domain.aggregates.sample import Sample, by_value, categories, value_of

KEYS_KEPT: Final = 256
_HASH_BYTES: Final = 8


class Set:
    """The distinct categories, ordered; above 256 the 256 of the smallest hashes (a bottom-k sketch:
    Cohen and Kaplan, PODC 2007)."""

    def __init__(self, state: Any, _options: Options) -> None:
        state = state or {"keys": [], "truncated": False}
        self._keys: set[str] = set(state["keys"])
        self._truncated: bool = state["truncated"]

    def take(self, sample: Sample) -> int:
        keys = categories(sample.value)
        for key in keys:
            self._keys.add(key)
            if len(self._keys) > KEYS_KEPT:
                self._keys.remove(max(self._keys, key=_hash))
                self._truncated = True
        return 1 if keys else 0

    def dump(self) -> Any:
        return {"keys": sorted(self._keys), "truncated": self._truncated}

    def read(self, _as_of: Weight) -> Reading:
        return Reading([value_of(key) for key in sorted(self._keys, key=by_value)], 0.0, self._truncated)


class Mode:
    """The category of the greatest weight, of equals the first in order.

    Each sample has a level: how many zero bits its hash begins with. A window that has more than 256
    categories gives up its lowest levels until it has not, which leaves every 2nd, 4th, 8th … sample and
    so nearly surely the frequent categories (Gibbons, Distinct Sampling, VLDB 2001).
    """

    def __init__(self, state: Any, _options: Options) -> None:
        state = state or {"sums": None, "levels": {}}
        self._sums = Sums.load(state["sums"])
        self._levels: dict[int, int] = {int(window): level for window, level in state["levels"].items()}

    def take(self, sample: Sample) -> int:
        keys = categories(sample.value)
        for key in keys:
            self._count(key, _level(f"{sample.id} {key}"), sample.weight)
        return 1 if keys else 0

    def dump(self) -> Any:
        levels = {str(window): level for window, level in sorted(self._levels.items())}
        return {"sums": self._sums.dump(), "levels": levels}

    def read(self, _as_of: Weight) -> Reading:
        lowest = max(self._levels.values(), default=0)
        weights: dict[str, int] = {}
        for name, weight in self._sums.totals().items():
            level, key = _parted(name)
            if level >= lowest:
                weights[key] = weights.get(key, 0) + weight
        return _most(weights, truncated=lowest > 0)

    def _count(self, key: str, level: int, weight: Weight) -> None:
        """Counts one sample under its category and level, unless its window has given up that level."""
        kept = level >= self._levels.get(weight.window, 0)
        cell = self._sums.cell(weight.window)
        if self._levels:
            self._levels = {w: low for w, low in self._levels.items() if w in self._sums.windows}
        if cell is None or not kept:
            return
        name = f"{level} {key}"
        cell[name] = cell.get(name, 0) + weight.units
        if len(cell) > KEYS_KEPT:
            self._give_up_levels(weight.window, cell)

    def _give_up_levels(self, window: int, cell: dict[str, int]) -> None:
        while len({_parted(name)[1] for name in cell}) > KEYS_KEPT:
            given_up = self._levels.get(window, 0)
            self._levels[window] = given_up + 1
            for name in [name for name in cell if _parted(name)[0] == given_up]:
                del cell[name]


def _most(weights: Mapping[str, int], *, truncated: bool) -> Reading:
    """The first category of the greatest weight; the spread is the share of all others (the variation
    ratio of Freeman, Elementary Applied Statistics, 1965)."""
    mode = min(weights, key=lambda key: (-weights[key], by_value(key)), default=None)
    if mode is None:  # every sample that its window kept has a level that another window gave up
        return Reading(None, 1.0, truncated)
    return Reading(value_of(mode), round(1 - weights[mode] / sum(weights.values()), 4), truncated)


def _parted(name: str) -> tuple[int, str]:
    level, _, key = name.partition(" ")
    return int(level), key


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=_HASH_BYTES).digest(), "big")


def _level(text: str) -> int:
    """Leading zero bits of the hash: at least n for one text in 2^n."""
    return 8 * _HASH_BYTES - _hash(text).bit_length()
