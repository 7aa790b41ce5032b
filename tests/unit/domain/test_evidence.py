"""Evidence taken back: a trait that cannot be computed again loses it, and goes with the last of it."""

from __future__ import annotations

from uuid import UUID

from personakit.domain.events import DerivationCompleted
from personakit.domain.mindscape import EMPTY, Derived, Mindscape, derive_anew, derive_update, evolve
from personakit.domain.traits import Trait
from tests.unit.domain.observing import PATH, observe, one

RULES = one("sum")
ONE, TWO, THREE = (UUID(int=n) for n in (1, 2, 3))
HISTORY = observe(1, 2, 3, 4)


def guessed(*evidence: UUID) -> Trait:
    return Trait(value="early", source="anthropic", evidence=evidence)


def mindscape(**traits: Trait) -> Mindscape:
    """These traits beside what was computed of HISTORY."""
    update = derive_update(EMPTY, RULES, HISTORY, 4)
    assert not isinstance(update, DerivationCompleted)
    computed = evolve(EMPTY, update)
    return Mindscape(version=7, traits=computed.traits | traits, derivations=computed.derivations)


def test_a_trait_that_lost_some_of_its_evidence_is_marked_and_one_that_lost_all_is_removed() -> None:
    before = mindscape(some=guessed(ONE, TWO), all=guessed(ONE, THREE), none=guessed(TWO), said=guessed())
    event = derive_anew(before, RULES, [], 9, retracted={ONE, THREE})
    assert event.removed == ("all",)
    assert set(event.traits) == {"some"}
    after = evolve(before, event)
    assert after.traits["some"].evidence == (TWO,)
    assert [path for path, trait in after.traits.items() if trait.evidence_changed] == ["some"]
    assert after.traits[PATH] == before.traits[PATH]


def test_a_computed_trait_is_folded_anew_and_not_marked() -> None:
    before = mindscape(none=guessed(TWO))
    remaining = [HISTORY[0], HISTORY[3]]
    event = derive_anew(before, RULES, [remaining[:1], remaining[1:]], 9, types=["seen"], retracted={ONE})
    after = evolve(before, event)
    assert after.traits[PATH] == RULES.fold({}, remaining)[PATH]
    assert (event.anew, event.removed, event.material) == (("seen",), (), (PATH,))
    assert after.derivations == {"computed": Derived(9, RULES.fingerprint)}


def test_what_is_derived_anew_is_an_update_even_where_nothing_changes() -> None:
    """Else a slower pass that read before the retraction would not meet a conflict."""
    event = derive_anew(mindscape(), RULES, [HISTORY], 9, types=["seen"])
    assert (event.traits, event.removed, event.read_through) == ({}, (), 9)


def test_with_nothing_left_a_computed_trait_goes() -> None:
    event = derive_anew(mindscape(), RULES, [], 9, types=["seen"])
    assert (event.removed, event.material) == ((PATH,), (PATH,))


def test_a_model_says_in_its_place_what_was_computed_from_nothing_left() -> None:
    """What another source left at a computed path stays where nothing is folded over it."""
    before = mindscape(**{PATH: guessed(TWO)})
    assert derive_anew(before, RULES, [], 9, types=["seen"]).removed == ()
    assert derive_anew(before, RULES, [HISTORY], 9, types=["seen"], retracted={TWO}).removed == ()
