"""Differences between mindscapes and their shadows, by path and with examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from personakit.domain.events import MindscapeUpdated
from personakit.domain.mindscape import Mindscape
from personakit.domain.mindscape_history import TraitChange, trait_changes

EXAMPLES_KEPT: Final = 3
"""Of each kind of change of each path."""

Kind = Literal["came", "changed", "went"]


class Example(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A trait of one person, as it is and as it would be; null where it is not, or would not be, there."""

    kind: Kind
    path: str
    person_id: str
    before: Any
    after: Any


class PathChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of how many people a trait would come, change or go; `material`: enough to make a core stale."""

    path: str
    came: int
    changed: int
    went: int
    material: int


class Differences:
    """Keeps count of what differs, of as many people as there are."""

    def __init__(self) -> None:
        self.people = self.differing = 0
        self.examples: list[Example] = []
        self._tallies: dict[str, Counter[str]] = {}

    def add(self, person_id: str, changes: Iterable[TraitChange]) -> None:
        """Takes in what differs for one more person: nothing, perhaps."""
        seen = list(changes)
        self.people += 1
        self.differing += bool(seen)
        for change in seen:
            tally = self._tallies.setdefault(change.path, Counter())
            tally[change.kind] += 1
            tally["material"] += change.material
            if tally[change.kind] <= EXAMPLES_KEPT:
                self.examples.append(_example(change, person_id))

    @property
    def paths(self) -> list[PathChange]:
        """What differs, by path."""
        return [_path_change(path, tally) for path, tally in sorted(self._tallies.items())]


def seen_changes(mindscape: Mindscape, shadow: MindscapeUpdated) -> list[TraitChange]:
    """What a reader would see change: values, confidences' evidence and volatility, not who computed it."""
    return [change for change in trait_changes(mindscape, shadow) if _differs(change)]


def _differs(change: TraitChange) -> bool:
    if change.before is None or change.after is None:
        return change.before is not change.after
    same_source = msgspec.structs.replace(change.before, source=change.after.source)
    return same_source != change.after


def _example(change: TraitChange, person_id: str) -> Example:
    before, after = change.before, change.after
    return Example(
        kind=change.kind,
        path=change.path,
        person_id=person_id,
        before=None if before is None else before.value,
        after=None if after is None else after.value,
    )


def _path_change(path: str, tally: Counter[str]) -> PathChange:
    names = ("came", "changed", "went", "material")
    return PathChange(path=path, **{name: tally[name] for name in names})
