"""Load, decide, append with the expected version; on a conflict re-read and decide anew."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from personakit.domain.events import Event
from personakit.eventlog import codec
from personakit.eventlog.answers import ThreadFuture
from personakit.eventlog.appender import Appender, NewEvent, wait
from personakit.eventlog.conflicts import Conflicts, work_of
from personakit.eventlog.person_keys import EventErased, Person, PersonKeys
from personakit.eventlog.recorder import LogRecorder, VersionConflict
from personakit.eventlog.stored import LogNotification, StreamId
from personakit_sdk.errors import PersonaKitError

S = TypeVar("S")
PAGE = 500
ATTEMPTS = 1000
"""Bounds a command that never gets through. Each attempt lets some writer through, but 64 were measured
to be too few for the unluckiest of eight on a busy machine."""


class TooContended(PersonaKitError):
    """An entity is being changed by so many writers that this one never got through."""


class Loaded(msgspec.Struct, Generic[S], frozen=True):
    """A state and the version of its stream that it reflects."""

    state: S
    version: int


class Updated(msgspec.Struct, Generic[S], frozen=True):
    """The state after a decision; `position` is None when there was nothing to append."""

    state: S
    version: int
    position: int | None


class Streams:
    """Changes entities through their streams; no change is ever lost to another writer."""

    def __init__(self, recorder: LogRecorder, appender: Appender, keys: PersonKeys) -> None:
        self._recorder = recorder
        self._appender = appender
        self._keys = keys
        self.conflicts = Conflicts(recorder)

    def load(self, stream: StreamId, start: Loaded[S], evolve: Callable[[S, Any], S]) -> Loaded[S]:
        """`start` (a read-model row at some version, or empty at 0) plus the stream's events above it."""
        state, version = start.state, start.version
        for stored in self._recorder.select_events(str(stream), gt=version):
            event = self._event(stored)
            state = state if event is None else evolve(state, event)
            version = stored.originator_version
        return Loaded(state, version)

    def last(self, stream: StreamId) -> Loaded[Any]:
        """The newest event of a stream as its state, for streams whose events stand for themselves."""
        for stored in self._recorder.select_events(str(stream), desc=True, limit=1):
            return Loaded(self._event(stored), stored.originator_version)
        return Loaded(None, 0)

    def events(
        self, stream: StreamId, *, gt: int = 0, through: int | None = None
    ) -> Iterator[tuple[LogNotification, Event]]:
        """The events of a stream above version `gt`, as rows of the log and decoded, at most PAGE of them
        in memory at a time; with `through`, those up to that position of the log."""
        while page := self._recorder.select_events(str(stream), gt=gt, limit=PAGE):
            for stored in page:
                if through is not None and stored.id > through:
                    return
                if (event := self._event(stored)) is not None:
                    yield stored, event
            gt = page[-1].originator_version

    def _event(self, stored: LogNotification) -> Event | None:
        """The event; None for one of a created persona that was erased since. Raises PersonErased for one
        whose person is gone."""
        try:
            return codec.read(stored, self._keys)
        except EventErased:
            return None

    def offer(self, stream: StreamId, version: int, event: Event, *, person: UUID) -> ThreadFuture:
        """Hands in an event about a person for exactly this version, for a caller who has many.

        The future raises VersionConflict when another writer came first. Raises PersonErased.
        """
        return self._appender.append(
            [NewEvent(stream, version, event, Person(person, self._keys.of(person)))]
        )

    def update(
        self,
        stream: StreamId,
        start: Loaded[S],
        evolve: Callable[[S, Any], S],
        decide: Callable[[S], Event | None],
        *,
        person: UUID | None = None,
    ) -> Updated[S]:
        """Appends what `decide` makes of the current state; None appends nothing.

        `decide` is called again with the newer state whenever another writer came first. Raises what
        `decide` raises, and TooContended after ATTEMPTS conflicts.
        """
        about = None if person is None else Person(person, self._keys.of(person))
        loaded = start
        for attempt in range(ATTEMPTS):
            loaded = self.load(stream, loaded, evolve)
            event = decide(loaded.state)
            if event is None:
                return Updated(loaded.state, loaded.version, None)
            try:
                new = NewEvent(stream, loaded.version + 1, event, about, versioned=True)
                appended = wait(self._appender.append([new]))
            except VersionConflict:
                self.conflicts.met(stream.tenant, work_of(stream, event))
                time.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 4)))  # noqa: S311 - jitter
            else:
                return Updated(evolve(loaded.state, event), loaded.version + 1, appended[0].position)
        raise TooContended(f"A {stream.kind} is being changed by too many writers at once; try again.")
