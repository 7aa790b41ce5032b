"""The history of a mindscape: what an update changed for a reader, and why, in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

import msgspec

from personakit.domain.events import (
    MindscapeEvent,
    MindscapeUpdated,
    TraitPinned,
    TraitTrustAdjusted,
    TraitUnpinned,
)
from personakit.domain.inference import reason_of
from personakit.domain.mindscape import Derived, Mindscape, evolve
from personakit.domain.rereading import REREADER
from personakit.domain.traits import Trait


class TraitChange(msgspec.Struct, frozen=True):
    """A trait before and after an update, without its evidence; None is one that no reader sees."""

    path: str
    before: Trait | None
    after: Trait | None
    material: bool

    @property
    def kind(self) -> Literal["came", "changed", "went"]:
        """What a reader would say of it."""
        if self.before is None:
            return "came"
        return "changed" if self.after is not None else "went"


def trait_changes(before: Mindscape, event: MindscapeEvent) -> tuple[TraitChange, ...]:
    """What the event changed in the mindscape `before` it, by path; without what no reader sees, such as
    what is derived at the path of a pinned trait, or below it."""
    after = evolve(before, event)
    old, new = before.visible_traits(), after.visible_traits()
    changes = [
        TraitChange(path, _shown(old.get(path)), _shown(new.get(path)), path in event.material)
        for path in sorted(_touched(before, event, old.keys() ^ new.keys()))
    ]
    return tuple(change for change in changes if change.before is not None or change.after is not None)


def _touched(before: Mindscape, event: MindscapeEvent, came_or_went: Collection[str]) -> set[str]:
    match event:
        case MindscapeUpdated():
            return {path for path in (*event.traits, *event.removed) if not before.hidden(path)}
        case TraitTrustAdjusted():
            old, new = before.trust.multipliers, event.trust
            return {path for path in old.keys() | new.keys() if old.get(path, 1.0) != new.get(path, 1.0)}
        case TraitPinned() | TraitUnpinned():  # what lies below a pin is hidden by it, and seen without
            return {event.path, *came_or_went}


def reason(before: Mindscape, event: MindscapeEvent, changes: Sequence[TraitChange]) -> str:
    """Why: what the derivation read, what that did, and which sources the traits have; or what was pinned,
    by whom and why; or what feedback said. Where a model made a trait, its own word for why comes last."""
    if isinstance(event, TraitTrustAdjusted):
        return event.reason
    if isinstance(event, TraitPinned):
        return f"{event.origin} pinned {event.path}: {event.reason}"
    if isinstance(event, TraitUnpinned):
        return f"{event.origin} unpinned {event.path}: {event.reason}"
    said = _reading(before.derivations.get(event.derivation), event)
    counted = f"The derivation {event.derivation!r} {said}: {_counted(changes)}."
    return " ".join((counted, *_in_the_models_words(event, changes)))


def _in_the_models_words(event: MindscapeUpdated, changes: Sequence[TraitChange]) -> list[str]:
    made = [change.path for change in changes if change.path in event.traits]
    return [f"{path}: {why}" for path in made if (why := reason_of(event.traits[path])) is not None]


def _shown(trait: Trait | None) -> Trait | None:
    if trait is None:
        return None
    return msgspec.structs.replace(trait, state=None, evidence=())


def _reading(derived: Derived | None, event: MindscapeUpdated) -> str:
    if event.agent == REREADER:
        return f"read all free text again through position {event.read_through}"
    if derived is None:
        return f"read the observations through position {event.read_through} for the first time"
    if derived.definition != event.definition:
        return f"began again by other rules and read the observations through position {event.read_through}"
    if event.anew:
        kinds = ", ".join(event.anew)
        return (
            f"derived anew, without what was retracted, what it reads of {kinds} "
            f"through position {event.read_through}"
        )
    return f"read on from position {derived.read_through} through {event.read_through}"


def _counted(changes: Sequence[TraitChange]) -> str:
    if not changes:
        return "nothing changed that a reader sees"
    counts = Counter(change.kind for change in changes)
    parts = [_part(counts[kind], kind) for kind in ("came", "changed", "went") if counts[kind]]
    return f"{', '.join(parts)} (from {', '.join(_sources(changes))})"


def _part(count: int, kind: str) -> str:
    return f"{count} {'trait' if count == 1 else 'traits'} {kind}"


def _sources(changes: Iterable[TraitChange]) -> list[str]:
    traits = [change.after or change.before for change in changes]
    return sorted({trait.source for trait in traits if trait is not None})
