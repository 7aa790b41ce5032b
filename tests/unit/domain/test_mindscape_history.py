"""What a version of a mindscape changed for a reader, and why."""

from __future__ import annotations

from typing import Any

from personakit.domain.events import DerivationCompleted, MindscapeUpdated
from personakit.domain.mindscape import EMPTY, Derived, Mindscape, evolve, read_on
from personakit.domain.mindscape_history import reason, trait_changes
from personakit.domain.traits import Trait


def trait(value: Any, **more: Any) -> Trait:
    return Trait(value=value, source="computed:seen@1.0.0", **more)


def update(read_through: int = 10, definition: str = "x", **more: Any) -> MindscapeUpdated:
    return MindscapeUpdated(
        **{"traits": {}, "derivation": "computed", **more}, definition=definition, read_through=read_through
    )


def mindscape(**traits: Trait) -> Mindscape:
    return Mindscape(version=3, traits=traits, derivations={"computed": Derived(7, "x")})


def said(before: Mindscape, event: MindscapeUpdated) -> str:
    return reason(before, event, trait_changes(before, event))


def test_a_trait_comes_changes_and_goes() -> None:
    before = mindscape(old=trait(1), gone=trait(2), same=trait(3))
    event = update(traits={"new": trait(4), "old": trait(5)}, removed=("gone",), material=("gone", "new"))
    changes = trait_changes(before, event)
    values = {
        change.path: (change.before and change.before.value, change.after and change.after.value)
        for change in changes
    }
    assert values == {"gone": (2, None), "new": (None, 4), "old": (1, 5)}
    assert {change.path: change.kind for change in changes} == {
        "gone": "went",
        "new": "came",
        "old": "changed",
    }
    assert [change.path for change in changes if change.material] == ["gone", "new"]
    assert said(before, event) == (
        "The derivation 'computed' read on from position 7 through 10: "
        "1 trait came, 1 trait changed, 1 trait went (from computed:seen@1.0.0)."
    )


def test_what_no_reader_sees_is_not_shown() -> None:
    hidden = trait(None, visible=False, state={"secret": 1})
    before = mindscape(shy=hidden, bold=trait(1))
    event = update(traits={"shy": trait(2, state={"secret": 2}), "bold": hidden, "other": hidden})
    changes = {change.path: change for change in trait_changes(before, event)}
    assert set(changes) == {"shy", "bold"}
    assert (changes["shy"].kind, changes["bold"].kind) == ("came", "went")
    assert changes["shy"].after == trait(2)
    assert said(before, update(traits={"shy": hidden})).endswith("nothing changed that a reader sees.")


def test_the_reason_tells_a_first_reading_from_one_by_other_rules() -> None:
    assert said(EMPTY, update()).startswith(
        "The derivation 'computed' read the observations through position 10 for the first time: "
    )
    assert said(mindscape(), update(definition="y")).startswith(
        "The derivation 'computed' began again by other rules and read the observations through position 10: "
    )


def test_reading_on_never_goes_back_but_for_other_rules() -> None:
    completed = DerivationCompleted(derivation="computed", definition="x", read_through=4)
    assert read_on(None, completed) == Derived(4, "x")
    assert read_on(Derived(9, "x"), completed) == Derived(9, "x")
    assert read_on(Derived(9, "y"), completed) == Derived(4, "x")


def test_what_changed_turns_the_version_before_into_the_one_after() -> None:
    before = mindscape(a=trait(1), b=trait(2), c=trait(3))
    event = update(traits={"a": trait(9), "d": trait(4)}, removed=("b",))
    shown = before.visible_traits()
    for change in trait_changes(before, event):
        assert shown.pop(change.path, None) == change.before
        if change.after is not None:
            shown[change.path] = change.after
    assert shown == evolve(before, event).visible_traits()
