"""Observations to fold, definitions to fold them by, and the round trip that a stored trait makes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from personakit.domain.computed_traits import ComputedTraits, Observed, load_computed_traits
from personakit.domain.traits import Trait

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
PATH = "test.trait"


def document(*traits: Mapping[str, Any], version: str = "1.0.0", observes: str = "seen") -> dict[str, Any]:
    """A document that defines these traits, with the keys that are always needed filled in."""
    return {
        "metadata": {"id": observes, "version": version, "description": "For a test"},
        "observes": observes,
        "traits": [{"path": PATH, "volatility": "low"} | dict(trait) for trait in traits],
    }


def one(aggregate: str, options: Mapping[str, Any] | None = None, **keys: Any) -> ComputedTraits:
    """The computed trait at PATH; `from` is `v` unless given as `source`."""
    source = {"from": keys.pop("source", "v")}
    return load_computed_traits(
        [document({"aggregate": aggregate, "options": options or {}} | source | keys)]
    )


def observed(value: Any, at: datetime = START, number: int = 0, type_: str = "seen") -> Observed:
    """An observation of `value`; `number` is its id."""
    return Observed(UUID(int=number), type_, {"v": value}, at)


def observe(*values: Any, every: timedelta = timedelta(hours=1)) -> list[Observed]:
    """One observation a value, `every` so often."""
    return [observed(value, START + n * every, n) for n, value in enumerate(values)]


def folded(computed: ComputedTraits, observations: Sequence[Observed]) -> Trait:
    """The trait at PATH after these observations."""
    return computed.fold({}, observations)[PATH]


def stored(traits: Mapping[str, Trait]) -> dict[str, Trait]:
    """Traits as they come back from the database, whose JSON does not keep the order of keys."""
    rows = json.loads(msgspec.json.encode(traits))
    return msgspec.convert(json.loads(json.dumps(rows, sort_keys=True)), dict[str, Trait])


def in_batches(
    computed: ComputedTraits, observations: Sequence[Observed], cuts: Sequence[int]
) -> dict[str, Trait]:
    """All traits after these observations, cut at these places and stored in between."""
    traits: dict[str, Trait] = {}
    edges = [0, *sorted(cut % (len(observations) + 1) for cut in cuts), len(observations)]
    for start, end in pairwise(edges):
        traits |= stored(computed.fold(traits, observations[start:end]))
    return traits


numbers = st.one_of(
    st.integers(-1000, 1000),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(-1e6, 1e6),
    st.floats(),
    st.sampled_from([0, -0.0, 0.1, 1, 1.0, True, False, 10**400, 5e-324]),
)
texts = st.sampled_from(["Python", "Rust", "SQL", "1", "true", "", "é", "x" * 500])
keys = st.tuples(st.integers(0, 400), st.integers(0, 90)).map(
    lambda span: [f"k{n}" for n in range(span[0], span[0] + span[1])]
)
values = st.one_of(numbers, texts, keys, st.none(), st.lists(st.one_of(numbers, texts), max_size=4))
offsets = st.sampled_from([-720, -210, 0, 60, 345, 840]).map(
    lambda minutes: timezone(timedelta(minutes=minutes))
)
instants = st.one_of(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 6, 1), timezones=offsets),  # noqa: DTZ001 - bounds are naive
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=offsets),  # noqa: DTZ001 - bounds are naive
    st.just(START),
)
histories = st.lists(st.tuples(values, instants), max_size=30).map(
    lambda rows: [observed(value, at, number) for number, (value, at) in enumerate(rows)]
)
