"""The history of a mindscape: what an update changed for a reader, and why, in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from personakit.domain.events import MindscapeUpdated
from personakit.domain.mindscape import Derived, Mindscape
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


def trait_changes(before: Mindscape, event: MindscapeUpdated) -> tuple[TraitChange, ...]:
    """What the update changed in the mindscape `before` it, by path; without what no reader sees."""
    old, new = before.traits, event.traits
    changes = [
        TraitChange(path, _seen(old.get(path)), _seen(new.get(path)), path in event.material)
        for path in sorted({*new, *event.removed})
    ]
    return tuple(change for change in changes if change.before is not None or change.after is not None)


def reason(before: Mindscape, event: MindscapeUpdated, changes: Sequence[TraitChange]) -> str:
    """Why: what the derivation read, what that did, and which sources the traits have."""
    said = _reading(before.derivations.get(event.derivation), event)
    return f"The derivation {event.derivation!r} {said}: {_counted(changes)}."


def _seen(trait: Trait | None) -> Trait | None:
    if trait is None or not trait.visible:
        return None
    return msgspec.structs.replace(trait, state=None, evidence=())


def _reading(derived: Derived | None, event: MindscapeUpdated) -> str:
    if derived is None:
        return f"read the observations through position {event.read_through} for the first time"
    if derived.definition != event.definition:
        return f"began again by other rules and read the observations through position {event.read_through}"
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
