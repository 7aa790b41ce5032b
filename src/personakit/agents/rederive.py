"""Rederiving: everybody's observations folded by other rules, aside, to see what they would change.

Nothing is written. The shadow of a mindscape is what a pass with the other rules would make of it today: the
traits that are computed are folded anew from the person's first observation, the others stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from personakit.agents.anew import observed_of
from personakit.agents.mindscapes import mindscape_of
from personakit.domain.computed_traits import ComputedTraits, Observed
from personakit.domain.events import MindscapeUpdated
from personakit.domain.mindscape import Mindscape, derive_anew
from personakit.domain.mindscape_history import TraitChange, trait_changes
from personakit.eventlog.everybody import Known
from personakit.projections.read import Reader, Snapshot

BATCH: Final = 1000
EXAMPLES_KEPT: Final = 3
"""Of each kind of change of each path."""

Kind = Literal["came", "changed", "went"]
Report = Callable[[str, int, int | None], None]


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


class Rederived(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What other rules would change. `usd` is what that derivation cost: nothing, for computed traits."""

    people: int
    differing: int
    observations: int
    usd: float
    paths: list[PathChange]
    examples: list[Example]


class Rederiver:
    """Makes shadows by other rules, and keeps what differs."""

    def __init__(self, computed: ComputedTraits) -> None:
        self._computed = computed
        self._tallies: dict[str, Counter[str]] = {}
        self._examples: list[Example] = []
        self._people = self._differing = self._observations = 0

    def run(
        self, reader: Reader, tenant: str, people: Iterable[Known], report: Report = lambda *_: None
    ) -> Rederived:
        """Compares each one's mindscape with its shadow; in memory are one person's traits and a batch."""
        for number, person in enumerate(people, start=1):
            if not person.id.startswith("~"):  # a created persona has no mindscape of its own
                with reader.snapshot() as snapshot:
                    self._compare(snapshot, tenant, person)
            report("rederiving", number, None)
        return self._told()

    def _compare(self, snapshot: Snapshot, tenant: str, person: Known) -> None:
        row = snapshot.row("mindscapes.by_person", tenant=tenant, person=person.surrogate)
        mindscape = mindscape_of(row)
        changes = seen_changes(mindscape, self._shadow(snapshot, tenant, person.surrogate, mindscape))
        self._people += 1
        self._differing += bool(changes)
        for change in changes:
            tally = self._tallies.setdefault(change.path, Counter())
            tally[change.kind] += 1
            tally["material"] += change.material
            if tally[change.kind] <= EXAMPLES_KEPT:
                self._examples.append(_example(change, person.id))

    def _shadow(
        self, snapshot: Snapshot, tenant: str, person: UUID, mindscape: Mindscape
    ) -> MindscapeUpdated:
        through = snapshot.positions["observations"]
        batches = self._batches(snapshot, tenant, person, through)
        return derive_anew(mindscape, self._computed, batches, through, types=self._computed.types)

    def _batches(
        self, snapshot: Snapshot, tenant: str, person: UUID, through: int
    ) -> Iterator[list[Observed]]:
        whose = {"tenant": tenant, "person": person, "through": through, "limit": BATCH}
        after = 0
        while rows := snapshot.rows("observations.by_person", after=after, **whose):
            self._observations += len(rows)
            yield [observed_of(row) for row in rows]
            after = rows[-1]["position"]

    def _told(self) -> Rederived:
        return Rederived(
            people=self._people,
            differing=self._differing,
            observations=self._observations,
            usd=0.0,
            paths=[_path_change(path, tally) for path, tally in sorted(self._tallies.items())],
            examples=self._examples,
        )


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
