"""What puts a shadow in the place of what models made before: its laws, on mindscapes made by chance."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.events import DerivationCompleted, MindscapeUpdated
from personakit.domain.inference import is_inferred, meets
from personakit.domain.mindscape import Derived, Mindscape, Pin, evolve
from personakit.domain.rereading import Shadow, promoted, unread
from personakit.domain.traits import Trait

PATHS = st.sampled_from(["a", "a.b", "a.b.c", "d", "d.e", "f"])
IDS = [UUID(int=n) for n in range(1, 5)]
by_model = st.builds(
    lambda value, evidence, model: Trait(
        value=value,
        volatility="low",
        source=f"anthropic:{model}",
        evidence=tuple(sorted(evidence)),
        last_observed_at=datetime(2026, 3, 2, tzinfo=UTC),
    ),
    st.integers(0, 2),
    st.sets(st.sampled_from(IDS), min_size=1),
    st.sampled_from(["one", "two"]),
)
by_rules = st.builds(
    lambda value: Trait(value=value, volatility="low", source="computed:x@1.0.0"), st.integers(0, 2)
)
pins = st.dictionaries(PATHS, st.just(Pin(0, "low", "told", "key: me")), max_size=2)


@st.composite
def mindscapes(draw: st.DrawFn) -> Mindscape:
    traits = draw(st.dictionaries(PATHS, by_model | by_rules, max_size=4))
    read = draw(st.integers(0, 9))
    derivations = {"anthropic": Derived(read, "old")} if read else {}
    return Mindscape(version=3, traits=traits, derivations=derivations, pins=draw(pins))


@st.composite
def shadows(draw: st.DrawFn) -> Shadow:
    """A shadow of some mindscape: a model said something where nobody else owns the path."""
    begun = draw(mindscapes())
    blank = unread(begun)
    taken = blank.traits.keys() | begun.pins.keys()
    said = draw(st.dictionaries(PATHS, by_model, max_size=4))
    made = {path: trait for path, trait in said.items() if not meets(path, taken)}
    return Shadow(begun, msgspec.structs.replace(blank, traits=blank.traits | made), "new", 5)


owned = st.frozensets(PATHS, max_size=1)
gone = st.sets(st.sampled_from(IDS), max_size=2)


def of_models(mindscape: Mindscape) -> dict[str, Trait]:
    return {path: trait for path, trait in mindscape.traits.items() if is_inferred(trait)}


def after(mindscape: Mindscape, change: MindscapeUpdated | DerivationCompleted | None) -> Mindscape:
    return evolve(mindscape, change) if isinstance(change, MindscapeUpdated) else mindscape


@given(shadows())
def test_where_nothing_happened_meanwhile_the_shadow_is_what_there_is(shadow: Shadow) -> None:
    change = promoted(shadow.begun, shadow, 0, (), frozenset())
    assert after(shadow.begun, change).traits == shadow.made.traits


@given(shadows(), mindscapes(), gone, owned)
def test_pins_computed_traits_and_what_models_made_meanwhile_stay(
    shadow: Shadow, now: Mindscape, retracted: set[UUID], defined: frozenset[str]
) -> None:
    change = promoted(now, shadow, 0, retracted, defined)
    then = after(now, change)
    assert then.pins == now.pins
    for path, trait in now.traits.items():
        newer = is_inferred(trait) and shadow.begun.traits.get(path) != trait
        if not is_inferred(trait) or newer or meets(path, now.pins):
            assert then.traits.get(path) == trait
    came = then.traits.keys() - now.traits.keys()
    computed = [path for path, trait in now.traits.items() if not is_inferred(trait)]
    assert not any(meets(path, [*now.pins, *computed, *defined]) for path in came)


@given(shadows(), mindscapes(), gone)
def test_nothing_that_it_sets_rests_on_what_was_taken_back(
    shadow: Shadow, now: Mindscape, retracted: set[UUID]
) -> None:
    change = promoted(now, shadow, 0, retracted, frozenset())
    set_ = change.traits if isinstance(change, MindscapeUpdated) else {}
    assert all(trait.evidence and not set(trait.evidence) & retracted for trait in set_.values())


@given(shadows(), mindscapes(), st.integers(0, 9), gone, owned)
def test_how_far_was_read_never_goes_back_and_to_do_it_again_changes_nothing(
    shadow: Shadow, now: Mindscape, read: int, retracted: set[UUID], defined: frozenset[str]
) -> None:
    change = promoted(now, shadow, read, retracted, defined)
    if change is None:
        return
    assert change.read_through == max(read, shadow.through)
    assert change.use is None
    again = promoted(after(now, change), shadow, change.read_through, retracted, defined)
    assert again is None


@given(mindscapes())
def test_unread_has_nothing_by_a_model_but_beneath_pins(mindscape: Mindscape) -> None:
    blank = unread(mindscape)
    assert all(meets(path, mindscape.pins) for path in of_models(blank))
    assert "anthropic" not in blank.derivations
    assert unread(blank) == blank
