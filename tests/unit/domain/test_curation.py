"""Pins: what somebody says of a trait is shown, what is derived goes on beneath it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.computed_traits import load_computed_traits
from personakit.domain.curation import NotPinned, contradicts, pin, pinned_value, unpin
from personakit.domain.events import MindscapeEvent, MindscapeUpdated, TraitPinned
from personakit.domain.mindscape import EMPTY, Mindscape, Pin, derive_update, evolve
from personakit.domain.traits import is_material
from tests.unit.domain.observing import PATH, document, observe

RULES = load_computed_traits([document({"aggregate": "mean", "from": "v"})])


def saying(value: Any, volatility: Any = "low") -> Pin:
    return Pin(value, volatility, "I know", "key: me")


def derived(mindscape: Mindscape, *values: Any, through: int = 1) -> Mindscape:
    event = derive_update(mindscape, RULES, observe(*values), through)
    assert isinstance(event, MindscapeUpdated)
    return evolve(mindscape, event)


def happened(mindscape: Mindscape, event: MindscapeEvent | None) -> Mindscape:
    assert event is not None
    return evolve(mindscape, event)


def test_a_pin_is_shown_certain_and_derivation_goes_on_beneath_it() -> None:
    pinned = happened(derived(EMPTY, 10), pin(derived(EMPTY, 10), PATH, saying(50)))
    later = derived(pinned, 40, through=2)
    shown = later.visible_traits()[PATH]
    assert (shown.value, shown.pinned, shown.weight, shown.source) == (50, True, None, "pinned")
    beneath = later.beneath(PATH)
    assert beneath is not None
    assert beneath.value == 25
    assert later.version == 3


def test_what_is_derived_beneath_a_pin_makes_no_core_stale() -> None:
    pinned = happened(EMPTY, pin(EMPTY, PATH, saying(50)))
    event = derive_update(pinned, RULES, observe(10), 1)
    assert isinstance(event, MindscapeUpdated)
    assert event.material == ()


def test_pinning_the_same_again_makes_no_event_and_another_reason_does() -> None:
    pinned = happened(EMPTY, pin(EMPTY, PATH, saying(50)))
    assert pin(pinned, PATH, saying(50)) is None
    assert pin(pinned, PATH, msgspec.structs.replace(saying(50), reason="so my doctor says")) is not None


def test_unpinning_shows_what_was_derived_meanwhile() -> None:
    pinned = derived(happened(EMPTY, pin(EMPTY, PATH, saying(50))), 10)
    free = happened(pinned, unpin(pinned, PATH, "measured now", "key: me"))
    assert {path: trait.value for path, trait in free.visible_traits().items()} == {PATH: 10}
    with pytest.raises(NotPinned, match="not pinned"):
        unpin(free, PATH, "again", "key: me")


@pytest.mark.parametrize(
    ("said", "holds"), [(10, False), (10.2, False), (11, True), ("10", True), (None, True)]
)
def test_a_contradiction_is_told_at_the_precision_of_what_is_derived(said: Any, *, holds: bool) -> None:
    mindscape = derived(EMPTY, 10)
    assert contradicts(happened(mindscape, pin(mindscape, PATH, saying(said))), PATH) is holds


def test_nothing_contradicts_where_nothing_is_derived_or_pinned() -> None:
    assert not contradicts(happened(EMPTY, pin(EMPTY, PATH, saying(1))), PATH)
    assert not contradicts(derived(EMPTY, 10), PATH)


@given(
    st.lists(st.sampled_from([None, 1, 2, 100, "a"]), min_size=1, max_size=6),
    st.sampled_from(["low", "medium", "high"]),
)
def test_material_is_what_a_reader_sees_change(steps: list[Any], volatility: Any) -> None:
    """Of each event: the path is material exactly where the trait that is shown changed materially."""
    mindscape = derived(EMPTY, 10)
    for step in steps:
        event: MindscapeEvent | None
        if step is None and PATH in mindscape.pins:
            event = unpin(mindscape, PATH, "r", "o")
        else:
            event = pin(mindscape, PATH, saying(step, volatility))
        if event is None:
            continue
        before = mindscape.visible_traits().get(PATH)
        mindscape = evolve(mindscape, event)
        assert event.material == (
            (PATH,) if is_material(before, mindscape.visible_traits().get(PATH)) else ()
        )


@given(st.recursive(st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.booleans(), st.lists))
def test_a_pinned_value_is_what_json_would_give_back(value: Any) -> None:
    kept = pinned_value(value)
    assert kept == value
    assert isinstance(pin(EMPTY, PATH, saying(kept)), TraitPinned)
    assert pinned_value(msgspec.json.decode(msgspec.json.encode(kept))) == kept
