"""The mindscape: what derivations change in it, and that the document follows its events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit.domain.computed_traits import ComputedTraits, Observed, load_computed_traits
from personakit.domain.events import DerivationCompleted, MindscapeUpdated
from personakit.domain.mindscape import EMPTY, Derived, Mindscape, derive_update, evolve
from personakit.domain.traits import Trait
from tests.unit.domain.observing import PATH, START, document, histories, observe, observed, one, stored

LANGUAGE = {"path": "test.language", "aggregate": "mode", "from": "v", "volatility": "medium"}
RECENT = {"path": "test.recent", "aggregate": "last", "from": "v", "volatility": "high"}
RULES = load_computed_traits(
    [document({"aggregate": "sum", "from": "v"}, LANGUAGE, RECENT, {"path": "test.n", "aggregate": "count"})]
)


def after(
    mindscape: Mindscape, computed: ComputedTraits, history: Sequence[Observed], read_through: int = 1
) -> Mindscape:
    """The mindscape after a derivation, as it is read back from the database."""
    event = derive_update(mindscape, computed, history, read_through)
    if isinstance(event, DerivationCompleted):
        return mindscape
    kept = msgspec.json.decode(msgspec.json.encode(event), type=MindscapeUpdated)
    evolved = evolve(mindscape, kept)
    return Mindscape(evolved.version, stored(evolved.traits), evolved.derivations)


def test_a_first_derivation_sets_traits_and_says_by_which_rules() -> None:
    event = derive_update(EMPTY, RULES, observe(3, 4), 17)
    assert isinstance(event, MindscapeUpdated)
    assert {path: trait.value for path, trait in event.traits.items()} == {
        PATH: 7,
        "test.language": 3,
        "test.recent": 4,
        "test.n": 2,
    }
    assert (event.derivation, event.definition, event.read_through) == ("computed", RULES.fingerprint, 17)
    assert event.material == ("test.language", "test.n", PATH)
    mindscape = evolve(EMPTY, event)
    assert mindscape.version == 1
    assert mindscape.derivations == {"computed": Derived(17, RULES.fingerprint)}


def test_observations_that_change_nothing_complete_the_derivation() -> None:
    mindscape = after(EMPTY, RULES, observe(1))
    for start in (EMPTY, mindscape):
        event = derive_update(start, RULES, [observed(1, type_="unheard of")], 40)
        assert event == DerivationCompleted(
            derivation="computed", definition=RULES.fingerprint, read_through=40
        )


def test_an_update_bears_only_what_changed() -> None:
    mindscape = after(EMPTY, RULES, observe(1, 2))
    event = derive_update(mindscape, RULES, [observed({}, START + timedelta(days=1), 9)], 3)
    assert isinstance(event, MindscapeUpdated)
    assert set(event.traits) == {"test.recent", "test.n"}
    assert event.removed == ()
    assert event.material == ("test.n",)


@settings(max_examples=40, deadline=None)
@given(histories, st.randoms(use_true_random=False), st.integers(1, 7))
def test_batches_in_any_order_end_in_the_mindscape_of_one_derivation(
    history: list[Observed], random: Random, size: int
) -> None:
    calm = after(EMPTY, RULES, history)
    shuffled = random.sample(history, len(history))
    mindscape = EMPTY
    for start in range(0, len(shuffled), size):
        mindscape = after(mindscape, RULES, shuffled[start : start + size])
    assert mindscape.traits == calm.traits


@settings(max_examples=40, deadline=None)
@given(histories, st.integers(0, 30))
def test_other_rules_end_where_they_would_have_had_they_always_been_there(
    history: list[Observed], cut: int
) -> None:
    # given a mindscape by older rules, one of whose traits is no longer defined
    older = load_computed_traits(
        [document({"aggregate": "max", "from": "v"}, {"path": "test.gone", "aggregate": "count"})]
    )
    mindscape = after(EMPTY, older, history)
    # when all observations are derived anew, in two batches
    for part in (history[:cut], history[cut:]):
        mindscape = after(mindscape, RULES, part)
    # then nothing of the older rules is left
    assert mindscape.traits == after(EMPTY, RULES, history).traits


def test_new_rules_remove_what_they_do_not_derive_and_that_is_material() -> None:
    mindscape = after(EMPTY, RULES, observe(1, 2))
    event = derive_update(mindscape, one("sum"), observe(1, 2), 2)
    assert isinstance(event, MindscapeUpdated)
    assert event.removed == ("test.language", "test.n", "test.recent")
    assert event.material == ("test.language", "test.n")
    assert set(evolve(mindscape, event).traits) == {PATH}


def test_rules_that_came_to_the_same_are_recorded_so_that_the_next_pass_continues() -> None:
    # given rules to which a definition was added that says nothing of this person
    mindscape = after(EMPTY, one("sum"), observe(1, 2))
    grown = load_computed_traits(
        [
            document({"aggregate": "sum", "from": "v", "options": {}}),
            document({"path": "other.trait", "aggregate": "count"}, observes="other"),
        ]
    )
    # when all is derived anew, and then one observation more
    event = derive_update(mindscape, grown, observe(1, 2), 2)
    assert isinstance(event, MindscapeUpdated)
    assert (event.traits, event.removed, event.material) == ({}, (), ())
    again = after(evolve(mindscape, event), grown, [observed(10, START, 7)], 3)
    # then it continues from the traits that were kept
    assert again.traits[PATH].value == 13


def test_traits_of_another_source_outlive_every_derivation() -> None:
    guessed = Trait(value="guess", source="anthropic")
    mindscape = Mindscape(version=3, traits={"test.guess": guessed}, derivations={})
    event = derive_update(mindscape, RULES, observe(5), 9)
    assert isinstance(event, MindscapeUpdated)
    assert event.removed == ()
    evolved = evolve(mindscape, event)
    assert evolved.traits["test.guess"] == guessed
    assert evolved.version == 4


def test_a_trait_with_too_few_samples_is_kept_out_of_sight_until_it_has_enough() -> None:
    rules = one("mean", {"min_samples": 2})
    mindscape = after(EMPTY, rules, observe(4))
    assert mindscape.visible_traits() == {}
    assert derive_update(EMPTY, rules, observe(4), 1).definition == rules.fingerprint
    event = derive_update(mindscape, rules, [observed(8, START, 5)], 2)
    assert isinstance(event, MindscapeUpdated)
    assert event.material == (PATH,)
    assert {path: trait.value for path, trait in evolve(mindscape, event).visible_traits().items()} == {
        PATH: 6
    }


def test_evolving_sets_removes_and_leaves_the_rest() -> None:
    mindscape = Mindscape(
        version=1, traits={"a": Trait(value=1), "b": Trait(value=2)}, derivations={"other": Derived(5, "x")}
    )
    event = MindscapeUpdated(
        traits={"c": Trait(value=3)}, derivation="computed", definition="y", read_through=6, removed=("a",)
    )
    evolved = evolve(mindscape, event)
    assert set(evolved.traits) == {"b", "c"}
    assert evolved.derivations == {"other": Derived(5, "x"), "computed": Derived(6, "y")}
    assert set(mindscape.traits) == {"a", "b"}
