"""What is written once under the client's id: observations and feedback. A repeat is told by digest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
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
from personakit.eventlog.person_keys import Person, PersonErased, PersonKeys
from personakit.eventlog.recorder import Appended
from personakit.eventlog.stored import StreamId
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


class OfErased(Refused):
    """It is about a person who was erased."""

    def __init__(self, id_: UUID) -> None:
        super().__init__(id_, str(PersonErased()))


class IdOfErased(Refused):
    """What stands under this id was about somebody who was erased; whoever this is about may be there."""

    def __init__(self, id_: UUID) -> None:
        super().__init__(
            id_,
            f"What was recorded under the id {id_} was erased with the person whom it was about, and the id "
            "stays refused. What is about somebody else needs an id of its own.",
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


class Received(msgspec.Struct, frozen=True):
    """Feedback that was sent, the rule it is about, and whose persona the suggestion was made for; `in_use`
    says whether the mapper still has the rule."""

    sent: wire.Feedback
    about: About
    person: Person
    in_use: bool = True


Sent = wire.Observation | Received


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
        plain = [n for n, each in enumerate(observations) if each.supersedes is None]
        taken = self.take(tenant, [observations[n] for n in plain]) if plain else []
        fates = dict(zip(plain, taken, strict=True))
        for n, observation in enumerate(observations):
            if observation.supersedes is not None:
                fates[n] = self.correct(tenant, observation, observation.supersedes)
        return [fates[n] for n in range(len(observations))]

    def take(self, tenant: str, sent: Sequence[Sent]) -> list[Fate]:
        """Records in one commit, and in this order, observations that correct nothing, and feedback; the fate
        of each. Those of somebody who was erased are refused alone."""
        observed = {each.person_id for each in sent if isinstance(each, wire.Observation)}
        people = self._people.register(tenant, observed)
        return _with_erased(sent, people, lambda there: self._append(tenant, there, people))

    def _append(self, tenant: str, sent: Sequence[Sent], people: Mapping[str, Person]) -> list[Fate]:
        ids, events = _prepare(tenant, sent, people)
        try:
            appended = wait(self._appender.append(events))
        except PersonErased:
            return self._singly(ids, events)
        return self._fates(ids, events, appended)

    def correct(self, tenant: str, observation: wire.Observation, supersedes: UUID) -> Fate:
        """Records an observation that corrects another, in one commit with the retraction that it brings."""
        people = self._people.register(tenant, [observation.person_id])
        if not people:
            return OfErased(observation.id or uuid4())
        (id_,), (event,) = _prepare(tenant, [observation], people)
        try:
            appended = self._corrections.record(event, supersedes)
        except PersonErased:
            return OfErased(id_)
        except Refused as refused:
            return refused
        return self._fate(id_, event, appended)

    async def record_async(self, tenant: str, observations: Sequence[wire.Observation]) -> list[Fate]:
        """As `record`, for a caller on an event loop: only what asks the database goes to a thread."""
        if any(observation.supersedes for observation in observations):
            return await asyncio.to_thread(self.record, tenant, observations)
        person_ids = {observation.person_id for observation in observations}
        people = self._people.registered(tenant, person_ids)
        if people is None:
            people = await asyncio.to_thread(self._people.register, tenant, person_ids)
            if len(people) < len(person_ids):
                return await asyncio.to_thread(self.take, tenant, observations)
        ids, events = _prepare(tenant, observations, people)
        try:
            appended = await self._appender.append_async(events)
        except PersonErased:
            return await asyncio.to_thread(self._singly, ids, events)
        if any(each.first is not None for each in appended):
            return await asyncio.to_thread(self._fates, ids, events, appended)
        return self._fates(ids, events, appended)

    def receive(self, tenant: str, sent: wire.Feedback, about: About, person: Person) -> Receipt:
        """Records one feedback about a suggestion. Raises IdTaken for another body under its id, OfErased
        where the person is gone."""
        (fate,) = self.take(tenant, [Received(sent, about, person)])
        if isinstance(fate, Refused):
            raise fate
        return fate

    def _singly(self, ids: Sequence[UUID], events: Sequence[NewEvent]) -> list[Fate]:
        """Records each alone, in order, because somebody among those whom they are about was erased."""
        futures = [self._appender.append([event]) for event in events]
        fates: list[Fate] = []
        for id_, event, future in zip(ids, events, futures, strict=True):
            try:
                fates.append(self._fate(id_, event, wait(future)[0]))
            except PersonErased:
                fates.append(OfErased(id_))
        return fates

    def _fates(
        self, ids: Sequence[UUID], events: Sequence[NewEvent], appended: Sequence[Appended]
    ) -> list[Fate]:
        return [self._fate(*each) for each in zip(ids, events, appended, strict=True)]

    def _fate(self, id_: UUID, new: NewEvent, appended: Appended) -> Fate:
        """Of a repeat: a duplicate if the first body under the id was the same."""
        if appended.first is None:
            return Receipt(id_, appended.position, "stored")
        try:
            first = codec.read(appended.first, self._keys)
        except PersonErased:
            return IdOfErased(id_)
        same = (
            isinstance(first, ObservationRecorded | FeedbackReceived)
            and isinstance(new.event, ObservationRecorded | FeedbackReceived)
            and first.digest == new.event.digest
        )
        return Receipt(id_, appended.first.id, "duplicate") if same else IdTaken(new.stream.kind, id_)


def _with_erased(
    sent: Sequence[Sent], people: Mapping[str, Person], append: Callable[[Sequence[Sent]], list[Fate]]
) -> list[Fate]:
    """The fate of each, in order; those of people who were erased, and so are not among `people`, are not
    appended."""
    there = [each for each in sent if not isinstance(each, wire.Observation) or each.person_id in people]
    fates = iter(append(there) if there else [])
    return [
        OfErased(each.id or uuid4())
        if isinstance(each, wire.Observation) and each.person_id not in people
        else next(fates)
        for each in sent
    ]


def _prepare(
    tenant: str, sent: Sequence[Sent], people: Mapping[str, Person]
) -> tuple[list[UUID], list[NewEvent]]:
    """An id and an event for each; `people` are those who were observed."""
    ids: list[UUID] = []
    events: list[NewEvent] = []
    for each in sent:
        if isinstance(each, wire.Observation):
            id_ = each.id or uuid4()
            event = _recorded(tenant, id_, each, people[each.person_id])
        else:
            id_ = each.sent.id or uuid4()
            event = _received(tenant, id_, each)
        ids.append(id_)
        events.append(event)
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


def _received(tenant: str, id_: UUID, received: Received) -> NewEvent:
    sent, about, person = received.sent, received.about, received.person
    event = FeedbackReceived(
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
    return NewEvent(StreamId(tenant, "feedback", id_), 1, event, person)
