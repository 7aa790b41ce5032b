"""Mindscapes as the read model has them: one to go on from, many to look at."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from personakit.domain.curation import pinned_value
from personakit.domain.learning import Learned
from personakit.domain.mindscape import EMPTY, Derived, Mindscape, Pin
from personakit.domain.traits import Trait
from personakit.eventlog.streams import Loaded
from personakit.projections.read import Reader, Snapshot

# Made here, before there are threads: see the end of `personakit_sdk/wire.py`.
_traits = msgspec.json.Decoder(dict[str, Trait])
_derivations = msgspec.json.Decoder(dict[str, Derived])
_pins = msgspec.json.Decoder(dict[str, Pin])
_trust = msgspec.json.Decoder(Learned)


def read_mindscape(reader: Reader, tenant: str, person: UUID) -> Loaded[Mindscape]:
    """A person's mindscape as the read model has it, to go on from with the events after it."""
    with reader.snapshot(tenant) as snapshot:
        row = snapshot.row("mindscapes.by_person", tenant=tenant, person=person)
    mindscape = mindscape_of(row)
    return Loaded(mindscape, mindscape.version)


def mindscape_of(row: dict[str, Any] | None) -> Mindscape:
    """The mindscape in a row of the read model; empty for none."""
    if row is None:
        return EMPTY
    return Mindscape(
        version=row["version"],
        traits=msgspec.convert(row["traits"], dict[str, Trait]),
        derivations=msgspec.convert(row["derivations"], dict[str, Derived]),
        pins=_as_pinned(msgspec.convert(row["pins"], dict[str, Pin])),
        trust=msgspec.convert(row["trust"], Learned, strict=False),
    )


def mindscape_in(row: dict[str, Any]) -> Mindscape:
    """The mindscape in a row that has its documents as text."""
    return Mindscape(
        version=row["version"],
        traits=_traits.decode(row["traits"]),
        derivations=_derivations.decode(row["derivations"]),
        pins=_as_pinned(_pins.decode(row["pins"])),
        trust=_trust.decode(row["trust"]),
    )


def mindscapes_of(snapshot: Snapshot, tenant: str, people: list[UUID]) -> dict[UUID, Mindscape]:
    """The mindscapes of these people, in their order; empty ones for those without."""
    rows = snapshot.rows("mindscapes.by_people", tenant=tenant, people=people)
    found = {row["person"]: mindscape_of(row) for row in rows}
    return {person: found.get(person, EMPTY) for person in people}


def _as_pinned(pins: dict[str, Pin]) -> dict[str, Pin]:
    """The pins with their values as they were pinned: the database writes a large float as a whole number."""
    return {path: msgspec.structs.replace(pin, value=pinned_value(pin.value)) for path, pin in pins.items()}
