"""Taking back what was recorded: an observation is retracted once, by whoever comes first."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple
from uuid import UUID

import msgspec

from personakit.domain.events import ObservationRetracted
from personakit.eventlog import codec
from personakit.eventlog.appender import Appender, NewEvent, wait
from personakit.eventlog.person_keys import Person, PersonErased, PersonKeys
from personakit.eventlog.recorder import LogRecorder
from personakit.eventlog.stored import StreamId
from personakit_sdk.errors import PersonaKitError

RETRACTION: int = 2
"""The version of a retraction in its observation's stream."""


class NotRecorded(PersonaKitError):
    """There is no such observation to take back."""


class Retraction(msgspec.Struct, frozen=True):
    """The retraction that counts, whom it is about and where it stands; `repeated` says that it was there
    before."""

    event: ObservationRetracted
    person: UUID
    position: int
    repeated: bool


class Recorded(NamedTuple):
    """An observation as far as it takes to retract it."""

    tenant: str
    id: UUID
    person: UUID

    def retracted(self, event: ObservationRetracted, keys: PersonKeys) -> NewEvent:
        """The event that does. Raises PersonErased."""
        stream = StreamId(self.tenant, "observation", self.id)
        return NewEvent(stream, RETRACTION, event, Person(self.person, keys.of(self.person)))


class Retractions:
    """Retracts observations."""

    def __init__(self, recorder: LogRecorder, appender: Appender, keys: PersonKeys) -> None:
        self._recorder = recorder
        self._appender = appender
        self._keys = keys

    def retract(self, tenant: str, id_: UUID, reason: str | None = None) -> Retraction:
        """Retracts an observation because somebody asks for it; what was retracted before stays as it was.

        Raises NotRecorded for an id that no observation has, PersonErased when its person is gone.
        """
        person = self.person_of(tenant, id_)
        event = ObservationRetracted(cause="requested", reason=reason)
        new = Recorded(tenant, id_, person).retracted(event, self._keys)
        (appended,) = wait(self._appender.append([new]))
        if appended.first is None:
            return Retraction(event, person, appended.position, repeated=False)
        known = codec.read(appended.first, self._keys)
        if not isinstance(known, ObservationRetracted):
            raise TypeError(f"Version {RETRACTION} of the observation {id_} is no retraction: {known}.")
        return Retraction(known, person, appended.first.id, repeated=True)

    def person_of(self, tenant: str, id_: UUID) -> UUID:
        """Whom an observation is about. Raises NotRecorded."""
        stored = self._recorder.select_events(str(StreamId(tenant, "observation", id_)), limit=1)
        if not stored or stored[0].person is None:
            raise not_recorded(id_)
        return stored[0].person

    def expire(self, those: Sequence[Recorded]) -> int:
        """Retracts observations whose time is over; how many were not retracted before."""
        event = ObservationRetracted(cause="expired")
        alive = self._keys.of_all({each.person for each in those})
        offered, expired = [], 0
        for each in those:
            if each.person in alive:
                with suppress(PersonErased):  # since it was looked
                    offered.append(self._appender.append([each.retracted(event, self._keys)]))
        for future in offered:
            try:
                expired += sum(1 for each in wait(future) if not each.duplicate)
            except PersonErased:
                continue
        return expired


def not_recorded(id_: UUID) -> NotRecorded:
    """That there is no such observation."""
    return NotRecorded(f"There is no observation {id_}; GET /observations lists those of a person.")
