"""Pins: what somebody says of a trait is shown, what is derived goes on beneath it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.computed_traits import load_computed_traits
from personakit.domain.curation import (
    MOST_PINS,
    NotPinned,
    TooManyPins,
    contradicts,
    pin,
    pinned_value,
    unpin,
)
from personakit.domain.events import MindscapeEvent, MindscapeUpdated, TraitPinned
from personakit.domain.mindscape import EMPTY, Mindscape, Pin, derive_update, evolve, material_paths
from personakit.domain.mindscape_history import trait_changes
from personakit.domain.traits import Trait, is_material
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


def inferred(mindscape: Mindscape, *paths: str) -> Mindscape:
    """A model set these."""
    traits = {path: Trait(value="so", volatility="low", source="anthropic:m") for path in paths}
    event = MindscapeUpdated(traits=traits, derivation="anthropic", definition="m", read_through=1)
    return evolve(mindscape, event)


def test_a_pin_hides_all_that_is_derived_below_it_and_unpinning_shows_it_again() -> None:
    before = inferred(EMPTY, "a", "a.b", "a.b.c", "a.b.c.d", "a.bc")
    event = pin(before, "a.b", saying({"c": 1}))
    assert event is not None
    assert event.material == ("a.b", "a.b.c", "a.b.c.d")
    pinned = evolve(before, event)
    assert {path: trait.value for path, trait in pinned.visible_traits().items()} == {
        "a": "so",
        "a.b": {"c": 1},
        "a.bc": "so",
    }
    changes = {change.path: change.kind for change in trait_changes(before, event)}
    assert changes == {"a.b": "changed", "a.b.c": "went", "a.b.c.d": "went"}
    freed = unpin(pinned, "a.b", "r", "o")
    assert freed.material == event.material
    assert evolve(pinned, freed).visible_traits() == before.visible_traits()


def test_what_is_pinned_below_a_pin_is_shown_and_what_changes_below_one_is_not_material() -> None:
    pinned = happened(EMPTY, pin(EMPTY, "a.b", saying(1)))
    both = happened(pinned, pin(pinned, "a.b.c", saying(2)))
    assert {path: trait.value for path, trait in both.visible_traits().items()} == {"a.b": 1, "a.b.c": 2}
    later = {"a.b.x": Trait(value=3, volatility="low", source="computed:x@1")}
    assert material_paths(both, later, ()) == ()
    event = MindscapeUpdated(traits=later, derivation="computed", definition="x", read_through=1)
    assert trait_changes(both, event) == ()


trees = st.sampled_from(["a", "a.b", "a.b.c", "a.bc", "b", "b.a"])


@given(st.sets(trees), st.lists(st.tuples(st.booleans(), trees), max_size=8))
def test_at_every_path_the_nearest_pin_from_above_counts(
    derived_at: set[str], steps: list[tuple[bool, str]]
) -> None:
    """And material is told of exactly the paths at which what is seen changes."""
    mindscape = inferred(EMPTY, *derived_at)
    for down, path in steps:
        event: MindscapeEvent | None
        if down:
            event = pin(mindscape, path, saying("pinned"))
        else:
            event = unpin(mindscape, path, "r", "o") if path in mindscape.pins else None
        if event is None:
            continue
        before, mindscape = mindscape.visible_traits(), evolve(mindscape, event)
        after = mindscape.visible_traits()
        assert set(event.material) == {
            each for each in before | after if is_material(before.get(each), after.get(each))
        }
        for each in derived_at:
            covered = any(each == top or each.startswith(f"{top}.") for top in mindscape.pins)
            shown = after.get(each)
            assert (shown is None or shown.pinned) if covered else shown == mindscape.traits[each]


def test_a_person_has_a_thousand_pins_at_most() -> None:
    full = msgspec.structs.replace(EMPTY, pins={f"p{n}": saying(n) for n in range(MOST_PINS)})
    with pytest.raises(TooManyPins, match="1,000 traits"):
        pin(full, "one.more", saying(1))
    assert pin(full, "p7", saying("another value")) is not None
    freed = evolve(full, unpin(full, "p7", "r", "o"))
    assert pin(freed, "one.more", saying(1)) is not None


def as_jsonb(value: Any) -> Any:
    """A value as PostgreSQL gives it back: of numbers it keeps the digits, not how they were written."""
    match value:
        case bool() | str() | None:
            return value
        case int() | float():
            return msgspec.json.decode(f"{Decimal(repr(value)):f}")
        case list():
            return [as_jsonb(member) for member in value]
        case _:
            return {key: as_jsonb(member) for key, member in value.items()}


@given(
    st.recursive(
        st.floats(allow_nan=False, allow_infinity=False)
        | st.integers(-(2**63), 2**63 - 1)
        | st.sampled_from([1e25, -1e25, 2.0**63, -(2.0**63), 1e300, 1e-300])
        | st.booleans(),
        st.lists,
    )
)
def test_a_value_that_came_back_from_the_database_is_the_one_that_was_pinned(value: Any) -> None:
    kept = pinned_value(value)
    pinned = happened(EMPTY, pin(EMPTY, PATH, saying(pinned_value(as_jsonb(kept)))))
    assert pin(pinned, PATH, saying(kept)) is None
