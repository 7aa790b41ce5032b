"""What is written once under the client's id: observations and feedback. A repeat is told by digest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4, uuid5

import msgspec

from personakit.domain.events import FeedbackReceived, ObservationRecorded
from personakit.domain.exploration import Place
from personakit.eventlog import codec
from personakit.eventlog.appender import Appender, NewEvent, wait
from personakit.eventlog.corrections import Corrections, Refused
from personakit.eventlog.people import People
from personakit.eventlog.person_keys import Person, PersonKeys
from personakit.eventlog.recorder import Appended
from personakit.eventlog.stored import LogNotification, StreamId
from personakit_sdk import wire

_KEY_NAMESPACE = UUID("6f6f3d6a-3f0e-4a52-9a1c-2f7a0c3f5b11")


class IdTaken(Refused):
    """Another body stands under this id already, and what is written is never changed."""

    def __init__(self, kind: str, id_: UUID) -> None:
        super().__init__(
            id_,
            f"The {kind} {id_} is stored already with another body; what is recorded never changes. "
            "Send the new body under an id of its own.",
        )


class Receipt(msgspec.Struct, frozen=True):
    """The fate of one write: where it (or, for a duplicate, the first of its id) stands in the log."""

    id: UUID
    position: int
    status: Literal["stored", "duplicate"]


Fate = Receipt | Refused


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The rule that feedback is about, and, where the suggestion itself was named, which one it was; and its
    place, where that came with it."""

    mapper_id: str
    rule_id: str
    mapper_version: int | None = None
    rank: int | None = None
    at: datetime | None = None
    place: Place | None = None


def id_of_key(tenant: str, idempotency_key: str) -> UUID:
    """The id that an Idempotency-Key stands for."""
    return uuid5(_KEY_NAMESPACE, f"{tenant}\n{idempotency_key}")


class Intake:
    """Records observations and feedback."""

    def __init__(
        self, people: People, appender: Appender, keys: PersonKeys, corrections: Corrections
    ) -> None:
        self._people = people
        self._appender = appender
        self._keys = keys
        self._corrections = corrections

    def record(self, tenant: str, observations: Sequence[wire.Observation]) -> list[Fate]:
        """Records observations in one commit; the fate of each, in order. One without id gets one. Those that
        supersede others come after the rest, each in a commit with the retraction that it brings."""
        people = self._people.register(tenant, {observation.person_id for observation in observations})
        ids, events = _prepare(tenant, observations, people)
        corrected = [observation.supersedes for observation in observations]
        if any(corrected):
            return self._record_corrections(ids, events, corrected)
        return self._receipts(ids, events, wait(self._appender.append(events)))

    def _record_corrections(
        self, ids: Sequence[UUID], events: Sequence[NewEvent], corrected: Sequence[UUID | None]
    ) -> list[Fate]:
        plain = [n for n, supersedes in enumerate(corrected) if supersedes is None]
        fates: dict[int, Fate] = {}
        if plain:
            those = [events[n] for n in plain]
            receipts = self._receipts([ids[n] for n in plain], those, wait(self._appender.append(those)))
            fates = dict(zip(plain, receipts, strict=True))
        for n, supersedes in enumerate(corrected):
            if supersedes is not None:
                fates[n] = self._correct(ids[n], events[n], supersedes)
        return [fates[n] for n in range(len(events))]

    def _correct(self, id_: UUID, event: NewEvent, supersedes: UUID) -> Fate:
        try:
            appended = self._corrections.record(event, supersedes)
        except Refused as refused:
            return refused
        return self._receipts([id_], [event], [appended])[0]

    async def record_async(self, tenant: str, observations: Sequence[wire.Observation]) -> list[Fate]:
        """As `record`, for a caller on an event loop: only what asks the database goes to a thread."""
        if any(observation.supersedes for observation in observations):
            return await asyncio.to_thread(self.record, tenant, observations)
        person_ids = {observation.person_id for observation in observations}
        people = self._people.registered(tenant, person_ids)
        if people is None:
            people = await asyncio.to_thread(self._people.register, tenant, person_ids)
        ids, events = _prepare(tenant, observations, people)
        appended = await self._appender.append_async(events)
        if any(each.first is not None for each in appended):
            return await asyncio.to_thread(self._receipts, ids, events, appended)
        return self._receipts(ids, events, appended)

    def receive(self, tenant: str, sent: wire.Feedback, about: About, person: Person) -> Receipt:
        """Records one feedback about a suggestion. Raises IdTaken for another body under its id."""
        id_ = sent.id or uuid4()
        event = NewEvent(StreamId(tenant, "feedback", id_), 1, _received(sent, about, person), person)
        (receipt,) = self._receipts([id_], [event], wait(self._appender.append([event])))
        if isinstance(receipt, Refused):
            raise receipt
        return receipt

    def _receipts(
        self, ids: Sequence[UUID], events: Sequence[NewEvent], appended: Sequence[Appended]
    ) -> list[Fate]:
        return [
            Receipt(id_, found.position, "stored")
            if found.first is None
            else self._repeated(id_, event, found.first)
            for id_, event, found in zip(ids, events, appended, strict=True)
        ]

    def _repeated(self, id_: UUID, new: NewEvent, first: LogNotification) -> Fate:
        """A duplicate if the first body under the id was the same. Raises PersonErased if it is gone."""
        key = None if first.person is None else self._keys.of(first.person)
        known = codec.decode(first.topic, codec.open_state(first, key))
        same = (
            isinstance(known, ObservationRecorded | FeedbackReceived)
            and isinstance(new.event, ObservationRecorded | FeedbackReceived)
            and known.digest == new.event.digest
        )
        return Receipt(id_, first.id, "duplicate") if same else IdTaken(new.stream.kind, id_)


def _prepare(
    tenant: str, observations: Sequence[wire.Observation], people: Mapping[str, Person]
) -> tuple[list[UUID], list[NewEvent]]:
    """An id and an event for each observation."""
    ids = [observation.id or uuid4() for observation in observations]
    events = [
        _recorded(tenant, id_, observation, people[observation.person_id])
        for id_, observation in zip(ids, observations, strict=True)
    ]
    return ids, events


def _recorded(tenant: str, id_: UUID, sent: wire.Observation, person: Person) -> NewEvent:
    event = ObservationRecorded(
        type=sent.type,
        content=sent.content,
        occurred_at=sent.occurred_at,
        digest=person.key.digest(sent),
        source=sent.source,
        metadata=sent.metadata,
        supersedes=sent.supersedes,
        expires_at=sent.expires_at,
    )
    return NewEvent(StreamId(tenant, "observation", id_), 1, event, person)


def _received(sent: wire.Feedback, about: About, person: Person) -> FeedbackReceived:
    return FeedbackReceived(
        mapper_id=about.mapper_id,
        rule_id=about.rule_id,
        digest=person.key.digest(sent),
        mapper_version=about.mapper_version,
        rank=about.rank,
        suggested_at=about.at,
        helpful=sent.helpful,
        rating=sent.rating,
        outcome=sent.outcome,
        comment=sent.comment,
        occurred_at=sent.occurred_at,
        propensity=None if about.place is None else about.place.propensity,
        among=() if about.place is None else about.place.among,
    )
