"""A persona: which of a mindscape's traits belong to its core and its overlay, and the core's summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from personakit.domain.events import PersonaCoreGenerated
from personakit.domain.mindscape import Mindscape
from personakit.domain.traits import Trait


class CoreState(msgspec.Struct, frozen=True):
    """What a persona's stream says of its core: how many were made, and from which mindscape versions."""

    made: int = 0
    made_from: Mapping[str, int] = {}


def evolve(state: CoreState, event: PersonaCoreGenerated) -> CoreState:
    """The state after one more core."""
    return CoreState(state.made + 1, event.mindscape_versions)


def core_traits(mindscapes: Iterable[Mindscape]) -> dict[str, Trait]:
    """The slow traits: those of low or medium volatility. Of several people the first one's trait counts."""
    return _traits(mindscapes, high=False)


def overlay_traits(mindscapes: Iterable[Mindscape]) -> dict[str, Trait]:
    """The fast traits: those of high volatility."""
    return _traits(mindscapes, high=True)


def _traits(mindscapes: Iterable[Mindscape], *, high: bool) -> dict[str, Trait]:
    traits: dict[str, Trait] = {}
    for mindscape in mindscapes:
        for path, trait in sorted(mindscape.visible_traits().items()):
            if (trait.volatility == "high") == high:
                traits.setdefault(path, msgspec.structs.replace(trait, state=None))
    return traits


def compose_core(mindscapes: Mapping[UUID, Mindscape]) -> PersonaCoreGenerated:
    """A core without a model: the slow traits, and their values in sentences. Costs nothing."""
    traits = core_traits(mindscapes.values())
    return PersonaCoreGenerated(
        summary=summarise(traits),
        traits=traits,
        mindscape_versions={str(person): mindscape.version for person, mindscape in mindscapes.items()},
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
