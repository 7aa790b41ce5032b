"""The one way into the log: a queue, a thread, a connection held open.

Agents and request handlers hand in events and get a future; a result means committed.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from uuid import UUID, uuid4

import msgspec
import psycopg
from eventsourcing.persistence import InterfaceError, OperationalError
from psycopg import Connection
from psycopg.rows import DictRow

from personakit.domain.events import Event
from personakit.eventlog import codec
from personakit.eventlog.recorder import Appended, LogRecorder
from personakit.eventlog.stored import LogEvent, StreamId
from personakit_sdk.errors import PersonaKitError

logger = logging.getLogger(__name__)

QUEUE_SIZE = 10_000
WAIT_SECONDS = 30.0
WRITTEN_ONCE = frozenset({"observation", "feedback", "person"})


class LogBusy(PersonaKitError):
    """The queue before the log is full."""

    def __init__(self) -> None:
        super().__init__("The service takes more writes than it can store right now; try again shortly.")


class LogClosed(PersonaKitError):
    """The service is shutting down."""

    def __init__(self) -> None:
        super().__init__("The service is shutting down; send this again when it is back.")


class LogSlow(PersonaKitError):
    """An append has not been answered in time."""

    def __init__(self) -> None:
        super().__init__(
            "The database does not answer; this may be stored or not. Send it again with the same id."
        )


class NewEvent(msgspec.Struct, frozen=True):
    """An event for version `version` of a stream, about `person` (a surrogate) or about nobody."""

    stream: StreamId
    version: int
    event: Event
    person: UUID | None = None


class _Submission(msgspec.Struct, frozen=True):
    events: list[LogEvent]
    append_id: UUID
    future: Future[list[Appended]]


class Appender:
    """Appends to the log from a thread of its own. `on_append` hears the newest position."""

    def __init__(self, recorder: LogRecorder, on_append: Callable[[int], None] = lambda _: None) -> None:
        self._recorder = recorder
        self._on_append = on_append
        self._queue: queue.Queue[_Submission | None] = queue.Queue(QUEUE_SIZE)
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="appender", daemon=True)
        self._thread.start()

    def append(self, events: Sequence[NewEvent]) -> Future[list[Appended]]:
        """Hands in events to be committed together or not at all.

        The future gives one Appended an event, in order. It raises VersionConflict when a version was
        taken (streams that are written once answer `duplicate` instead). Raises LogBusy or LogClosed
        at once when nothing can be taken.
        """
        if not events:
            raise ValueError("There is nothing to append.")
        submission = _Submission([_stored(event) for event in events], uuid4(), Future())
        submission.future.set_running_or_notify_cancel()  # a caller who goes away cancels nothing
        with self._closing:
            if self._closed:
                raise LogClosed
            try:
                self._queue.put_nowait(submission)
            except queue.Full:
                raise LogBusy from None
        return submission.future

    @property
    def alive(self) -> bool:
        """Whether what is handed in will be written."""
        return self._thread.is_alive() and not self._closed

    def close(self) -> None:
        """Takes nothing more, writes all that was taken, and returns when that is done."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        submission = self._queue.get()
        try:
            while submission is not None:
                submission = self._write_while_connected(submission)
        finally:
            self._refuse_rest()

    def _write_while_connected(self, submission: _Submission) -> _Submission | None:
        """Writes submissions over one connection; returns the one under way when that breaks."""
        current: _Submission | None = submission
        doubtful = True
        try:
            with self._recorder.datastore.get_connection() as connection:
                while current is not None:
                    self._write(connection, current, doubtful=doubtful)
                    doubtful = False
                    current = self._queue.get()
        except (InterfaceError, OperationalError) as error:
            if self._closed and current is not None:
                current.future.set_exception(LogClosed())
                return None
            logger.warning("The database cannot be reached, trying again: %s", error)
            time.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - jitter, not a secret
        return current

    def _write(self, connection: Connection[DictRow], submission: _Submission, *, doubtful: bool) -> None:
        """Writes one submission and answers it. After a break the last one may already be stored."""
        events, append_id = submission.events, submission.append_id
        try:
            known = self._recorder.find(connection, events, append_id) if doubtful else None
            appended = known or self._recorder.append(connection, events, append_id)
        except (psycopg.InterfaceError, psycopg.OperationalError) as error:
            if connection.closed:
                raise
            submission.future.set_exception(error)
        except Exception as error:  # noqa: BLE001 - not swallowed: whoever handed the events in gets it
            submission.future.set_exception(error)
        else:
            submission.future.set_result(appended)
            self._on_append(max(item.position for item in appended))

    def _refuse_rest(self) -> None:
        """Nothing more will be stored, so say so to all who wait: nobody waits for ever."""
        with self._closing:
            self._closed = True
        with suppress(queue.Empty):
            while True:
                waiting = self._queue.get_nowait()
                if waiting is not None:
                    waiting.future.set_exception(LogClosed())


def wait(future: Future[list[Appended]]) -> list[Appended]:
    """What became of an append. Raises LogSlow when that is not known after WAIT_SECONDS."""
    try:
        return future.result(WAIT_SECONDS)
    except TimeoutError:
        raise LogSlow from None


def _stored(new: NewEvent) -> LogEvent:
    return LogEvent(
        originator_id=str(new.stream),
        originator_version=new.version,
        topic=codec.topic_of(new.event),
        state=codec.encode(new.event),
        stream_id=new.stream,
        person=new.person,
        once=new.stream.kind in WRITTEN_ONCE,
    )
