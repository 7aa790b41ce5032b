"""What is written once under the client's id: observations and feedback. A repeat is told by digest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4, uuid5

import msgspec

from personakit.domain.events import FeedbackReceived, ObservationRecorded
from personakit.eventlog import codec
from personakit.eventlog.appender import Appender, NewEvent, wait
from personakit.eventlog.people import People, Person
from personakit.eventlog.recorder import Appended
from personakit.eventlog.stored import StreamId
from personakit_sdk import wire
from personakit_sdk.errors import PersonaKitError

_KEY_NAMESPACE = UUID("6f6f3d6a-3f0e-4a52-9a1c-2f7a0c3f5b11")


class IdTaken(PersonaKitError):
    """Another body stands under this id already, and what is written is never changed."""

    def __init__(self, kind: str, id_: UUID) -> None:
        self.id = id_
        super().__init__(
            f"The {kind} {id_} is stored already with another body; what is recorded never changes. "
            "Send the new body under an id of its own."
        )


class Receipt(msgspec.Struct, frozen=True):
    """The fate of one write: where it (or, for a duplicate, the first of its id) stands in the log."""

    id: UUID
    position: int
    status: Literal["stored", "duplicate"]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The rule that feedback is about, and, where the suggestion itself was named, which one it was."""

    mapper_id: str
    rule_id: str
    mapper_version: int | None = None
    rank: int | None = None
    at: datetime | None = None


def id_of_key(tenant: str, idempotency_key: str) -> UUID:
    """The id that an Idempotency-Key stands for."""
    return uuid5(_KEY_NAMESPACE, f"{tenant}\n{idempotency_key}")


class Intake:
    """Records observations and feedback."""

    def __init__(self, people: People, appender: Appender) -> None:
        self._people = people
        self._appender = appender

    def record(self, tenant: str, observations: Sequence[wire.Observation]) -> list[Receipt | IdTaken]:
        """Records observations in one commit; the fate of each, in order. One without id gets one."""
        people = self._people.register(tenant, {observation.person_id for observation in observations})
        ids = [observation.id or uuid4() for observation in observations]
        events = [
            _recorded(tenant, id_, observation, people[observation.person_id])
            for id_, observation in zip(ids, observations, strict=True)
        ]
        appended = wait(self._appender.append(events))
        return [
            _receipt("observation", id_, event, found)
            for id_, event, found in zip(ids, events, appended, strict=True)
        ]

    def receive(self, tenant: str, sent: wire.Feedback, about: About, person: Person) -> Receipt:
        """Records one feedback about a suggestion. Raises IdTaken for another body under its id."""
        id_ = sent.id or uuid4()
        event = NewEvent(
            StreamId(tenant, "feedback", id_), 1, _received(sent, about, person), person.surrogate
        )
        receipt = _receipt("feedback", id_, event, wait(self._appender.append([event]))[0])
        if isinstance(receipt, IdTaken):
            raise receipt
        return receipt


def _recorded(tenant: str, id_: UUID, sent: wire.Observation, person: Person) -> NewEvent:
    event = ObservationRecorded(
        type=sent.type,
        content=sent.content,
        occurred_at=sent.occurred_at,
        digest=codec.digest(person.key, sent),
        source=sent.source,
        metadata=sent.metadata,
    )
    return NewEvent(StreamId(tenant, "observation", id_), 1, event, person.surrogate)


def _received(sent: wire.Feedback, about: About, person: Person) -> FeedbackReceived:
    return FeedbackReceived(
        mapper_id=about.mapper_id,
        rule_id=about.rule_id,
        digest=codec.digest(person.key, sent),
        mapper_version=about.mapper_version,
        rank=about.rank,
        suggested_at=about.at,
        helpful=sent.helpful,
        rating=sent.rating,
        outcome=sent.outcome,
        comment=sent.comment,
    )


def _receipt(kind: str, id_: UUID, new: NewEvent, appended: Appended) -> Receipt | IdTaken:
    if not appended.duplicate:
        return Receipt(id_, appended.position, "stored")
    first = codec.decode(appended.topic, appended.state)
    same = (
        isinstance(first, ObservationRecorded | FeedbackReceived)
        and isinstance(new.event, ObservationRecorded | FeedbackReceived)
        and first.digest == new.event.digest
    )
    return Receipt(id_, appended.position, "duplicate") if same else IdTaken(kind, id_)
