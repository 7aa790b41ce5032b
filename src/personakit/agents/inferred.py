"""What becomes of a model's answers in the log: how far was read, what changed, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec

from personakit.domain.events import DerivationCompleted, MindscapeUpdated
from personakit.domain.inference import DERIVATION, Text
from personakit.domain.mindscape import Mindscape, evolve
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.read import Reader

Change = MindscapeUpdated | DerivationCompleted


def read_so_far(streams: Streams, tenant: str, person: UUID, mindscape: Mindscape) -> int:
    """How far a model has read, whichever it was: another one does not begin again, which would cost. It is
    the log's own word: a read model that lags would let a text be paid for twice."""
    derived = mindscape.derivations.get(DERIVATION)
    last = streams.last(StreamId(tenant, f"derivation.{DERIVATION}", person)).state
    completed = last.read_through if isinstance(last, DerivationCompleted) else 0
    return max(completed, derived.read_through if derived is not None else 0)


def record(
    streams: Streams,
    tenant: str,
    person: UUID,
    start: Loaded[Mindscape],
    change_of: Callable[[Mindscape], Change | None],
) -> int | None:
    """Appends what `change_of` makes of the mindscape, whatever that is by now; the position of the event,
    None where there is none. Raises PersonErased."""
    unchanged: list[DerivationCompleted] = []

    def decide(mindscape: Mindscape) -> MindscapeUpdated | None:
        unchanged.clear()
        change = change_of(mindscape)
        if isinstance(change, DerivationCompleted):
            unchanged.append(change)
            return None
        return change

    stream = StreamId(tenant, "mindscape", person)
    position = streams.update(stream, start, evolve, decide, person=person).position
    for change in unchanged:
        position = complete(streams, tenant, person, change)
    return position


def complete(streams: Streams, tenant: str, entity: UUID, change: DerivationCompleted) -> int | None:
    """Appends to the derivation's own stream about a person, or a persona; what was read stays read. The
    event's position. Raises PersonErased."""
    stream = StreamId(tenant, f"derivation.{change.derivation}", entity)

    def decide(before: DerivationCompleted | None) -> DerivationCompleted:
        read = max(change.read_through, before.read_through if before is not None else 0)
        return msgspec.structs.replace(change, read_through=read)

    last = streams.last(stream)
    return streams.update(stream, last, lambda _, event: event, decide, person=entity).position


def retracted_ids(reader: Reader, tenant: str, person: UUID, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these observations were taken back by now."""
    with reader.snapshot(tenant) as snapshot:
        rows = snapshot.rows(
            "observations.retracted_of",
            tenant=tenant,
            person=person,
            ids=list(ids),
            through=snapshot.positions["observations"],
        )
    return {row["id"] for row in rows}


def still_there(reader: Reader, tenant: str, person: UUID, texts: Sequence[Text]) -> list[Text]:
    """The texts that were not taken back since they were shown: those are no evidence any more."""
    gone = retracted_ids(reader, tenant, person, [text.id for text in texts])
    return [text for text in texts if text.id not in gone]
