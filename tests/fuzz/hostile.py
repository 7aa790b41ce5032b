"""Input as somebody would send it who means harm: pieces that parsers stumble over, many times over."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

ODD_TEXTS: Final = (
    "",
    "\x00",
    "\ud800",
    "\udfff\ud800",
    "\u202e",
    "\ufeff",
    "\r\n",
    "\x1b[31m",
    "{x}",
    "{x.__class__}",
    "%s%n",
    "../../etc/passwd",
    "a" * 3_000,
    "a." * 600,
    "\\." * 600,
    "1" * 5_000,
    "1e999",
    "-0",
    "now",
    "2026-03-02T09:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:60-23:59",
    "sug_",
    "~",
    "é\u0301" * 300,
)
ODD_NUMBERS: Final = (0, -1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, -0.0, 5e-324, 1.8e308, 1e16, 0.1)
LONGEST: Final = 200_000
UNREAL: Final = (math.nan, math.inf, -math.inf)
texts: SearchStrategy[str] = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=40))
words: SearchStrategy[str] = texts.filter(
    lambda text: text.isascii() or text == text.encode(errors="replace").decode()
)
"""Texts as an address may have them: whole characters."""
scalars: SearchStrategy[Any] = st.one_of(
    texts, st.sampled_from(ODD_NUMBERS), st.none(), st.booleans(), st.integers(), st.floats()
)


def _deep(leaf: Any, depth: int, in_list: bool) -> Any:
    for _ in range(depth):
        leaf = [leaf] if in_list else {"a": leaf}
    return leaf


def nested(leaf: SearchStrategy[Any], size: int = 12) -> SearchStrategy[Any]:
    """Values of JSON's shapes; some deeper than any may be."""
    wide = st.recursive(
        leaf,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=size,
    )
    return st.one_of(wide, st.builds(_deep, leaf, st.integers(30, 400), st.booleans()))


values: SearchStrategy[Any] = nested(scalars)
objects: SearchStrategy[dict[str, Any]] = st.dictionaries(texts, values, max_size=6)


def _many(piece: str, times: int) -> str:
    return piece * min(times, LONGEST // max(1, len(piece)))


def repeated(pieces: Sequence[str], most: int = 60_000) -> SearchStrategy[str]:
    """Texts of a few of the pieces, each up to so many times one after another."""
    counts = st.one_of(st.integers(0, 3), st.sampled_from([33, 300, most]))
    run = st.builds(_many, st.sampled_from(list(pieces)) | texts, counts)
    return st.lists(run, max_size=8).map(lambda runs: "".join(runs)[:LONGEST])


def spoilt(valid: Any) -> SearchStrategy[Any]:
    """A valid value with one to three places in it made something else, taken out, or put elsewhere."""
    places = _places(valid)
    change = st.tuples(st.sampled_from(places), st.one_of(values, st.sampled_from(places).map(_Moved)))
    return st.lists(change, min_size=1, max_size=3).map(lambda changes: _changed(valid, changes))


def encoded(value: SearchStrategy[Any]) -> SearchStrategy[bytes]:
    """JSON of it, whole and cut; NaN and what no JSON has as Python writes it."""
    return st.tuples(value, st.integers(0, 9)).map(lambda each: _json(*each))


class _Moved(msgspec.Struct, frozen=True):
    place: tuple[Any, ...]


def _json(value: Any, cut: int) -> bytes:
    # Not msgspec, which refuses what a client may send: NaN, large numbers, half of a pair.
    text = json.dumps(value, ensure_ascii=bool(cut % 2)).encode(errors="surrogatepass")
    return text[: len(text) // 2] if cut == 9 else text


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    members: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list):
        members = list(enumerate(value))
    return [*([at] if at else []), *(place for key, each in members for place in _places(each, (*at, key)))]


def _changed(valid: Any, changes: Sequence[tuple[tuple[Any, ...], Any]]) -> Any:
    made = _copy(valid)
    for place, given in changes:
        parent: Any = made
        try:
            for key in place[:-1]:
                parent = parent[key]
            parent[place[-1]] = _copy(_at(valid, given.place)) if isinstance(given, _Moved) else given
        except (LookupError, TypeError):  # another change took it away
            continue
    return made


def _copy(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value
