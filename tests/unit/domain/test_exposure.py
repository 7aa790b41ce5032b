"""Exposures: what was sealed comes back, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.exploration import MOST, Place
from personakit.domain.exposure import LONGEST, ExposureInvalid, decode, encode, seed

SECRET = b"secret"
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
PLACES = st.builds(
    Place,
    st.floats(0, 1, exclude_min=True),
    st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=MOST).map(tuple),
)


@given(PLACES, st.text(max_size=30), st.text(max_size=10))
def test_what_was_sealed_comes_back(place: Place, suggestion: str, tenant: str) -> None:
    assert decode(SECRET, tenant, suggestion, encode(SECRET, tenant, suggestion, place)) == place


@given(PLACES, st.data())
def test_what_was_altered_is_refused(place: Place, data: st.DataObject) -> None:
    sealed = encode(SECRET, "t", "sug_1", place)
    at = data.draw(st.integers(0, len(sealed) - 2))  # of the last character some bits say nothing
    other = data.draw(st.characters(codec="ascii", categories=["L", "N"]).filter(lambda c: c != sealed[at]))
    with pytest.raises(ExposureInvalid):
        decode(SECRET, "t", "sug_1", sealed[:at] + other + sealed[at + 1 :])


@given(st.text(max_size=200))
def test_what_was_made_up_is_refused(text: str) -> None:
    with pytest.raises(ExposureInvalid):
        decode(SECRET, "t", "sug_1", text)


def test_it_is_of_one_suggestion_one_tenant_and_one_log() -> None:
    sealed = encode(SECRET, "t", "sug_1", Place(0.5, ("a", "b")))
    for secret, tenant, suggestion in (
        (b"other", "t", "sug_1"),
        (SECRET, "u", "sug_1"),
        (SECRET, "t", "sug_2"),
    ):
        with pytest.raises(ExposureInvalid, match="came with this suggestion"):
            decode(secret, tenant, suggestion, sealed)


def test_the_longest_one_is_taken() -> None:
    place = Place(1 / 3, tuple(str(number) * 256 for number in range(MOST)))
    assert len(encode(SECRET, "t", "sug_1", place)) <= LONGEST


def test_a_seed_is_of_one_question() -> None:
    asked = [
        (SECRET, "t", "ada", "m", 1, AT),
        (b"other", "t", "ada", "m", 1, AT),
        (SECRET, "u", "ada", "m", 1, AT),
        (SECRET, "t", "bo", "m", 1, AT),
        (SECRET, "t", "ada", "n", 1, AT),
        (SECRET, "t", "ada", "m", 2, AT),
        (SECRET, "t", "ada", "m", 1, AT + timedelta(microseconds=1)),
    ]
    for one, other in combinations(asked, 2):
        assert seed(*one) != seed(*other)
    zone = datetime.fromisoformat("2026-03-02T10:00:00+01:00")
    assert seed(SECRET, "t", "ada", "m", 1, zone) == seed(*asked[0])
