"""Observations that correct others: the new one is recorded and the old one retracted, or neither."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from personakit.domain.events import ObservationRetracted
from personakit.eventlog.appender import Appender, NewEvent, wait
from personakit.eventlog.recorder import Appended, LogRecorder, VersionConflict
from personakit.eventlog.retractions import RETRACTION
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import TooContended
from personakit_sdk.errors import Fault, PersonaKitError

ATTEMPTS: Final = 10
"""Each conflict is somebody who recorded the new one or retracted the old one, and neither happens twice."""


class Refused(PersonaKitError):
    """One observation is not recorded; those that came with it are."""

    def __init__(self, id_: UUID, message: str, *faults: Fault) -> None:
        self.id = id_
        self.faults = faults
        super().__init__(message)


class SupersedesNothing(Refused):
    """What an observation says it corrects is not there."""

    def __init__(self, id_: UUID, supersedes: UUID) -> None:
        super().__init__(
            id_,
            f"There is no other observation {supersedes} of this person that {id_} could supersede. Record "
            "the one that is corrected first, or leave `supersedes` out.",
            Fault("/supersedes", "no other observation of this person"),
        )


class Corrections:
    """Records observations that supersede others."""

    def __init__(self, recorder: LogRecorder, appender: Appender) -> None:
        self._recorder = recorder
        self._appender = appender

    def record(self, new: NewEvent, supersedes: UUID) -> Appended:
        """Records an observation and retracts the one it supersedes, unless that is retracted already.

        A repeat is a duplicate and retracts nothing. Raises SupersedesNothing, and PersonErased.
        """
        old = StreamId(new.stream.tenant, "observation", supersedes)
        for _ in range(ATTEMPTS):
            try:
                return wait(self._appender.append(self._events(new, old)))[0]
            except VersionConflict:
                continue
        raise TooContended(f"The observation {supersedes} is being changed by others; try again.")

    def _events(self, new: NewEvent, old: StreamId) -> list[NewEvent]:
        if self._recorder.select_events(str(new.stream), limit=1):
            return [new]
        stored = self._recorder.select_events(str(old), limit=RETRACTION)
        surrogate = None if new.person is None else new.person.surrogate
        if not stored or stored[0].person != surrogate or old == new.stream:
            raise SupersedesNothing(new.stream.stream, old.stream)
        if len(stored) == RETRACTION:
            return [new]
        event = ObservationRetracted(cause="superseded", superseded_by=new.stream.stream)
        # Versioned, though both streams are written once: where another body came under the new id
        # meanwhile, nothing may be retracted for this one.
        return [
            msgspec.structs.replace(new, versioned=True),
            NewEvent(old, RETRACTION, event, new.person, versioned=True),
        ]
