"""Deriving anew what was computed from observations of which some were retracted, or by other rules.

A trait's state cannot give a sample back. So the traits that are computed from observations of such a type
are folded again from the person's first one, batch by batch, in one snapshot and into one event: no reader
ever sees them half folded, and a crash on the way leaves nothing behind.

That event is always a version of the mindscape, even where nothing changes in it. A slower pass may be under
way that read before the retraction: it must meet a conflict, or what it folded in would stay, below a cursor
that says that the retraction was read.

Where the rules have changed all is folded again in the same way, but a version is made only of what changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, timedelta, timezone
from typing import Any, NamedTuple
from uuid import UUID

from personakit.domain.computed_traits import ComputedTraits, Observed, is_computed
from personakit.domain.events import DerivationCompleted, MindscapeUpdated
from personakit.domain.mindscape import Mindscape, derive_anew, derive_through
from personakit.projections.read import Snapshot

Whose = tuple[str, UUID]
"""A tenant and a person of it."""


class Anew(NamedTuple):
    """One pass over a person of whom something was retracted after `cursor`: of `types` all is read again,
    of the others what is new, `batch` observations at a time, through the position `through`."""

    snapshot: Snapshot
    tenant: str
    person: UUID
    cursor: int
    through: int
    types: Sequence[str]
    batch: int

    def derive(self, mindscape: Mindscape, computed: ComputedTraits) -> MindscapeUpdated:
        """What that changes in the mindscape; it was read through all of it then."""
        return derive_anew(
            mindscape,
            computed,
            self._batches(),
            self.through,
            types=self.types,
            retracted=self._retracted(mindscape),
        )

    def derive_by_new_rules(
        self, mindscape: Mindscape, computed: ComputedTraits
    ) -> MindscapeUpdated | DerivationCompleted:
        """What other rules than the mindscape was derived by make of all observations; `cursor` must be 0."""
        return derive_through(mindscape, computed, self._batches(), self.through)

    def _batches(self) -> Iterator[list[Observed]]:
        after = 0 if self.types else self.cursor
        while rows := self._page(after):
            yield [observed_of(row) for row in rows]
            after = rows[-1]["position"]

    def _page(self, after: int) -> list[dict[str, Any]]:
        return self.snapshot.rows(
            "observations.anew",
            tenant=self.tenant,
            person=self.person,
            after=after,
            through=self.through,
            cursor=self.cursor,
            types=list(self.types),
            limit=self.batch,
        )

    def _retracted(self, mindscape: Mindscape) -> set[UUID]:
        """What was retracted of the evidence of traits that cannot be folded again."""
        traits = mindscape.traits.values()
        evidence = {id_ for trait in traits if not is_computed(trait) for id_ in trait.evidence}
        if not evidence:
            return set()
        whose = {"tenant": self.tenant, "person": self.person, "through": self.through}
        rows = self.snapshot.rows("observations.retracted_of", ids=list(evidence), **whose)
        return {row["id"] for row in rows}


def taken_back(
    snapshot: Snapshot, cursors: Sequence[tuple[str, UUID, int]], through: int
) -> Mapping[Whose, Sequence[str]]:
    """Of which of these people something was retracted after their cursor, and of which types there was
    something that had been read by then."""
    rows = snapshot.rows(
        "observations.taken_back",
        tenants=[tenant for tenant, _, _ in cursors],
        people=[person for _, person, _ in cursors],
        after=[cursor for _, _, cursor in cursors],
        through=through,
    )
    return {(row["tenant"], row["person"]): sorted(row["types"]) for row in rows}


def observed_of(row: dict[str, Any]) -> Observed:
    """The observation in a row of the read model, its instant in the offset it came with."""
    offset = timezone(timedelta(seconds=row["utc_offset"])) if row["utc_offset"] else UTC
    return Observed(
        id=row["id"],
        type=row["type"],
        content=row["content"],
        occurred_at=row["occurred_at"].astimezone(offset),
    )
