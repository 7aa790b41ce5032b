"""Rederiving: everybody's observations folded by other rules, aside, to see what they would change.

Nothing is written. The shadow of a mindscape is what a pass with the other rules would make of it today: the
traits that are computed are folded anew from the person's first observation, the others stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final
from uuid import UUID

import msgspec

from personakit.agents.anew import observed_of
from personakit.agents.differences import Differences, Example, PathChange, seen_changes
from personakit.agents.mindscapes import mindscape_of
from personakit.domain.computed_traits import ComputedTraits, Observed
from personakit.domain.events import MindscapeUpdated
from personakit.domain.mindscape import Mindscape, derive_anew
from personakit.eventlog.everybody import Known
from personakit.projections.read import Reader, Snapshot

BATCH: Final = 1000
Report = Callable[[str, int, int | None], None]


class Rederived(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What other rules, or a model that reads again, would change. `usd` is what that derivation cost, in so
    many calls and tokens: nothing, for computed traits."""

    people: int
    differing: int
    observations: int
    usd: float
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    paths: list[PathChange]
    examples: list[Example]


class Rederiver:
    """Makes shadows by other rules, and keeps what differs."""

    def __init__(self, computed: ComputedTraits) -> None:
        self._computed = computed
        self._differences = Differences()
        self._observations = 0

    def run(
        self, reader: Reader, tenant: str, people: Iterable[Known], report: Report = lambda *_: None
    ) -> Rederived:
        """Compares each one's mindscape with its shadow; in memory are one person's traits and a batch."""
        for number, person in enumerate(people, start=1):
            if not person.id.startswith("~"):  # a created persona has no mindscape of its own
                with reader.snapshot(tenant) as snapshot:
                    self._compare(snapshot, tenant, person)
            report("rederiving", number, None)
        return self._told()

    def _compare(self, snapshot: Snapshot, tenant: str, person: Known) -> None:
        row = snapshot.row("mindscapes.by_person", tenant=tenant, person=person.surrogate)
        mindscape = mindscape_of(row)
        shadow = self._shadow(snapshot, tenant, person.surrogate, mindscape)
        self._differences.add(person.id, seen_changes(mindscape, shadow))

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
            people=self._differences.people,
            differing=self._differences.differing,
            observations=self._observations,
            usd=0.0,
            paths=self._differences.paths,
            examples=self._differences.examples,
        )
