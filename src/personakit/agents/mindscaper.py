"""The Mindscaper: folds a person's new observations into their mindscape.

Each pass ends in exactly one event that bears the position read through, or in none when there was
nothing new; so a crash or a doubled wake-up derives nothing twice.
"""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any
from uuid import UUID

import msgspec

from personakit.domain.computed_traits import ComputedTraits, Observed
from personakit.domain.events import DerivationCompleted, MindscapeUpdated
from personakit.domain.mindscape import EMPTY, Derived, Mindscape, derive_update, evolve
from personakit.domain.traits import Trait
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.read import Reader, Snapshot

DERIVATION = "computed"
BATCH = 1000


class Mindscaper:
    """Derives computed traits, with the mindscape's version as the lock."""

    def __init__(self, reader: Reader, streams: Streams, computed: ComputedTraits) -> None:
        self._reader = reader
        self._streams = streams
        self._computed = computed

    def derive(self, tenant: str, person: UUID) -> None:
        """Reads on until this person's observations are read through."""
        while self._derive_batch(tenant, person):
            pass

    def _derive_batch(self, tenant: str, person: UUID) -> bool:
        """One pass over at most BATCH observations; whether there may be more."""
        completed: list[DerivationCompleted] = []
        full = False

        def decide(mindscape: Mindscape) -> MindscapeUpdated | None:
            nonlocal full
            completed.clear()
            with self._reader.snapshot() as snapshot:
                cursor = self._cursor(snapshot, tenant, person, mindscape)
                through = snapshot.positions["observations"]
                rows = self._rows(snapshot, tenant, person, cursor, through)
            if not rows:
                return None
            full = len(rows) == BATCH
            read_through = rows[-1]["position"] if full else through
            change = derive_update(
                mindscape, self._computed, [observed_of(row) for row in rows], read_through
            )
            if isinstance(change, MindscapeUpdated):
                return change
            completed.append(change)
            return None

        stream = StreamId(tenant, "mindscape", person)
        self._streams.update(stream, self._start(tenant, person), evolve, decide, person=person)
        for change in completed:
            self._complete(tenant, person, change)
        # A pass that changed nothing moves a cursor that is seen only when `derivation_due` has followed:
        # the rest is still due then, and the next wake-up reads on from there.
        return full and not completed

    def _start(self, tenant: str, person: UUID) -> Loaded[Mindscape]:
        with self._reader.snapshot() as snapshot:
            row = snapshot.row("mindscapes.by_person", tenant=tenant, person=person)
        mindscape = mindscape_of(row)
        return Loaded(mindscape, mindscape.version)

    def _cursor(self, snapshot: Snapshot, tenant: str, person: UUID, mindscape: Mindscape) -> int:
        """How far these rules have read: the mindscape's word, or a later pass that changed nothing."""
        rules = self._computed.fingerprint
        derived = mindscape.derivations.get(DERIVATION)
        own = derived.read_through if derived is not None and derived.definition == rules else 0
        row = snapshot.row(
            "derivation_due.cursor", tenant=tenant, person=person, derivation=DERIVATION, definition=rules
        )
        return max(own, int(row["read_through"]) if row else 0)

    @staticmethod
    def _rows(
        snapshot: Snapshot, tenant: str, person: UUID, cursor: int, through: int
    ) -> list[dict[str, Any]]:
        return snapshot.rows(
            "observations.by_person",
            tenant=tenant,
            person=person,
            after=cursor,
            through=through,
            limit=BATCH,
        )

    def _complete(self, tenant: str, person: UUID, change: DerivationCompleted) -> None:
        stream = StreamId(tenant, f"derivation.{change.derivation}", person)
        last = self._streams.last(stream)

        def decide(before: DerivationCompleted | None) -> DerivationCompleted | None:
            if before is None or before.definition != change.definition:
                return change
            return change if before.read_through < change.read_through else None

        self._streams.update(stream, last, lambda _, event: event, decide, person=person)


def mindscape_of(row: dict[str, Any] | None) -> Mindscape:
    """The mindscape in a row of the read model; empty for none."""
    if row is None:
        return EMPTY
    return Mindscape(
        version=row["version"],
        traits=msgspec.convert(row["traits"], dict[str, Trait]),
        derivations=msgspec.convert(row["derivations"], dict[str, Derived]),
    )


def observed_of(row: dict[str, Any]) -> Observed:
    """The observation in a row of the read model, its instant in the offset it came with."""
    offset = timezone(timedelta(seconds=row["utc_offset"])) if row["utc_offset"] else UTC
    return Observed(
        id=row["id"],
        type=row["type"],
        content=row["content"],
        occurred_at=row["occurred_at"].astimezone(offset),
    )
