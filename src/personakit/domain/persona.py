"""A persona: which of a mindscape's traits belong to its core and its overlay, and the core's summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from personakit.domain.events import (
    PersonaCoreGenerated,
    PersonaDefined,
    PersonaErased,
    PersonaRetired,
    PersonaWeightsAdjusted,
)
from personakit.domain.mindscape import EMPTY, Mindscape
from personakit.domain.traits import Trait


class Definition(msgspec.Struct, frozen=True):
    """Whose mindscapes a persona views (of a trait that several have, the first one's counts), and which of
    their traits it uses: None all, else paths, `work.*` for all below."""

    people: tuple[UUID, ...]
    paths: tuple[str, ...] | None = None

    def uses(self, path: str) -> bool:
        """Whether a trait belongs to it."""
        return self.paths is None or any(_covers(pattern, path) for pattern in self.paths)


class CoreState(msgspec.Struct, frozen=True):
    """What a persona's stream says of its core: how many were made, from which mindscape versions and who
    wrote the newest one's summary, and of which definition it is now (None: a person's own, which never
    changes)."""

    made: int = 0
    made_from: Mapping[str, int] = {}
    definition: Definition | None = None
    name: str = ""
    retired: bool = False
    source: str = "composed"


PersonaEvent = PersonaDefined | PersonaRetired | PersonaErased | PersonaCoreGenerated | PersonaWeightsAdjusted
"""What stands in a persona's stream."""


def evolve(state: CoreState, event: PersonaEvent) -> CoreState:
    """The state after one more event."""
    match event:
        case PersonaDefined():
            return CoreState(state.made, {}, definition_of(event), event.name)
        case PersonaRetired():
            return msgspec.structs.replace(state, retired=True)
        case PersonaErased():
            return CoreState()
        case PersonaCoreGenerated():
            made_from = event.mindscape_versions
            made = state.made + 1
            return msgspec.structs.replace(state, made=made, made_from=made_from, source=event.source)
        case PersonaWeightsAdjusted():
            return state


def definition_of(event: PersonaDefined) -> Definition:
    """The definition that an event gives."""
    return Definition(event.people, event.paths)


def own(person: UUID) -> Definition:
    """The definition of a person's own persona."""
    return Definition((person,))


def core_traits(mindscapes: Mapping[UUID, Mindscape], definition: Definition) -> dict[str, Trait]:
    """The slow traits that it uses: those of low or medium volatility."""
    return _traits(mindscapes, definition, high=False)


def overlay_traits(mindscapes: Mapping[UUID, Mindscape], definition: Definition) -> dict[str, Trait]:
    """The fast traits that it uses: those of high volatility."""
    return _traits(mindscapes, definition, high=True)


def _traits(mindscapes: Mapping[UUID, Mindscape], definition: Definition, *, high: bool) -> dict[str, Trait]:
    traits: dict[str, Trait] = {}
    for person in definition.people:
        mindscape = mindscapes.get(person, EMPTY)
        for path, trait in sorted(mindscape.visible_traits().items()):
            if (trait.volatility == "high") == high and definition.uses(path):
                traits.setdefault(path, msgspec.structs.replace(trait, state=None))
    return traits


def _covers(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith(".*") else path == pattern


def compose_core(mindscapes: Mapping[UUID, Mindscape], definition: Definition) -> PersonaCoreGenerated:
    """A core without a model: the slow traits, and their values in sentences. Costs nothing."""
    traits = core_traits(mindscapes, definition)
    return PersonaCoreGenerated(
        summary=summarise(traits),
        traits=traits,
        mindscape_versions={
            str(person): mindscapes.get(person, EMPTY).version for person in definition.people
        },
    )


def summarise(traits: Mapping[str, Trait]) -> str:
    """One short sentence a trait, by path."""
    if not traits:
        return "Nothing is known yet."
    return " ".join(f"{_title(path)}: {_words(trait.value)}." for path, trait in sorted(traits.items()))


def _title(path: str) -> str:
    return path.replace(".", " ").replace("_", " ").capitalize()


def _words(value: Any) -> str:
    """A trait's value as a person would say it; an object's long lists are left to those who look.

    The database keeps neither the order of an object's keys nor whether a whole number was a float: so
    they make no difference here.
    """
    match value:
        case Mapping():
            return ", ".join(
                f"{str(key).replace('_', ' ')} {_words(member)}"
                for key, member in sorted(value.items())
                if not isinstance(member, list | Mapping)
            )
        case list() | tuple():
            return ", ".join(str(member) for member in value)
        case float():
            return str(int(value)) if value.is_integer() else f"{value:g}"
        case _:
            return str(value)
