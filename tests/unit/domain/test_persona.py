"""Personas: which traits belong to one, and that a summary is the same from the log and from the database."""

from __future__ import annotations

from uuid import UUID

import pytest

from personakit.domain.events import PersonaDefined, PersonaRetired
from personakit.domain.mindscape import EMPTY, Mindscape
from personakit.domain.persona import (
    CoreState,
    Definition,
    compose_core,
    core_traits,
    evolve,
    overlay_traits,
    own,
    summarise,
)
from personakit.domain.traits import Trait


def test_neither_the_order_of_keys_nor_the_kind_of_a_whole_number_shows() -> None:
    from_log = {"work.hours": Trait(value={"share": 0.25, "peak": 21.0, "hours": [1, 2]})}
    from_database = {"work.hours": Trait(value={"peak": 21, "hours": [1, 2], "share": 0.25})}
    assert summarise(from_log) == summarise(from_database) == "Work hours: peak 21, share 0.25."
    assert summarise({"a": Trait(value=1e16)}) == summarise({"a": Trait(value=10**16)})
    assert summarise({"a": Trait(value=-0.0)}) == summarise({"a": Trait(value=0)}) == "A: 0."


def test_values_are_said_plainly() -> None:
    traits = {"a": Trait(value=1234.5678), "b": Trait(value=["x", 1]), "c": Trait(value=True)}
    assert summarise(traits) == "A: 1234.57. B: x, 1. C: True."
    assert summarise({}) == "Nothing is known yet."


ADA, BOB = UUID(int=1), UUID(int=2)


def mindscape(**values: int) -> Mindscape:
    """Each trait is slow, but for those that begin with `fast`."""
    traits = {
        path.replace("__", "."): Trait(value=value, volatility="high" if path.startswith("fast") else "low")
        for path, value in values.items()
    }
    return Mindscape(version=3, traits=traits, derivations={})


@pytest.mark.parametrize(
    ("paths", "path", "used"),
    [
        (None, "anything", True),
        (("work.hours",), "work.hours", True),
        (("work.hours",), "work.hours.more", False),
        (("work.*",), "work.hours", True),
        (("work.*",), "work.hours.more", True),
        (("work.*",), "work", False),
        (("work.*",), "workshop.a", False),
        (("diet", "work.*"), "diet", True),
        ((), "diet", False),
    ],
)
def test_a_persona_uses_the_traits_that_its_patterns_cover(
    paths: tuple[str, ...] | None, path: str, *, used: bool
) -> None:
    assert Definition((ADA,), paths).uses(path) is used


def test_of_a_trait_that_several_people_have_the_first_ones_counts() -> None:
    mindscapes = {BOB: mindscape(a=2, b=2, fast=2), ADA: mindscape(a=1, fast=1, fast__b=1)}
    both = Definition((ADA, BOB))
    assert {path: trait.value for path, trait in core_traits(mindscapes, both).items()} == {"a": 1, "b": 2}
    assert {path: trait.value for path, trait in overlay_traits(mindscapes, both).items()} == {
        "fast": 1,
        "fast.b": 1,
    }
    assert core_traits(mindscapes, Definition((BOB, ADA), ("a",)))["a"].value == 2
    assert compose_core(mindscapes, both).mindscape_versions == {str(ADA): 3, str(BOB): 3}


def test_a_person_of_whom_nothing_is_known_adds_nothing() -> None:
    core = compose_core({ADA: mindscape(a=1)}, Definition((BOB, ADA)))
    assert (list(core.traits), core.mindscape_versions[str(BOB)]) == (["a"], 0)
    assert compose_core({}, own(ADA)) == compose_core({ADA: EMPTY}, own(ADA))


def test_another_definition_forgets_what_the_core_was_made_from() -> None:
    state = CoreState()
    for event in (
        PersonaDefined(people=(ADA,), name="one"),
        compose_core({ADA: mindscape(a=1)}, own(ADA)),
        PersonaDefined(people=(ADA, BOB), name="two", paths=("a",)),
    ):
        state = evolve(state, event)
    assert state == CoreState(1, {}, Definition((ADA, BOB), ("a",)), "two")
    assert evolve(state, PersonaRetired(origin="me")).retired
