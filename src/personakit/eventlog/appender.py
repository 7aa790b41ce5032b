"""The one way into the log: a queue, a thread, a connection held open.

Agents and request handlers hand in events and get a future; a result means committed.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
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
GROUP_EVENTS = 500
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
    """What one caller handed in: to be committed together or not at all."""

    events: list[LogEvent]
    future: Future[list[Appended]]


class _Group(msgspec.Struct, frozen=True):
    """Submissions that are written in one statement and one commit, under one append id."""

    submissions: list[_Submission]
    append_id: UUID

    @property
    def events(self) -> list[LogEvent]:
        return [event for submission in self.submissions for event in submission.events]


class Appender:
    """Appends to the log from a thread of its own. `on_append` hears what became of each group.

    What is handed in while a commit is under way is committed together by the next one, so that many
    callers share the cost of reaching the disk.
    """

    def __init__(
        self, recorder: LogRecorder, on_append: Callable[[list[Appended]], None] = lambda _: None
    ) -> None:
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
        submission = _Submission([_stored(event) for event in events], Future())
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

    @property
    def waiting(self) -> int:
        """How many submissions wait to be written: about, for others come and go."""
        return self._queue.qsize()

    def close(self) -> None:
        """Takes nothing more, writes all that was taken, and returns when that is done."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        pending: deque[_Group] = deque()
        try:
            while pending or self._collect(pending):
                self._write_while_connected(pending)
        finally:
            self._refuse_rest(pending)

    def _collect(self, pending: deque[_Group]) -> bool:
        """Waits for submissions and adds those that are there as one group; False when closing."""
        first = self._queue.get()
        if first is None:
            return False
        submissions = [first]
        size = len(first.events)
        while size < GROUP_EVENTS:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._queue.put(None)  # seen again when this group is written
                break
            submissions.append(following)
            size += len(following.events)
        pending.append(_Group(submissions, uuid4()))
        return True

    def _write_while_connected(self, pending: deque[_Group]) -> None:
        """Writes groups over one connection; the one under way stays in front when that breaks."""
        doubtful = True
        try:
            with self._recorder.datastore.get_connection() as connection:
                while pending or self._collect(pending):
                    again = self._write(connection, pending[0], doubtful=doubtful)
                    pending.popleft()
                    pending.extendleft(reversed(again))
                    doubtful = False
                self._queue.put(None)  # the sign to close, for the loop around this one
        except (InterfaceError, OperationalError) as error:
            if self._closed:
                self._refuse_rest(pending)
                self._queue.put(None)
                return
            logger.warning("The database cannot be reached, trying again: %s", error)
            time.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - jitter, not a secret

    def _write(self, connection: Connection[DictRow], group: _Group, *, doubtful: bool) -> list[_Group]:
        """Writes a group and answers its callers; after a break it may already be stored.

        Returns the groups of one that are to be tried instead of a group of several that failed.
        """
        events = group.events
        try:
            known = self._recorder.find(connection, events, group.append_id) if doubtful else None
            appended = known or self._recorder.append(connection, events, group.append_id)
        except Exception as error:
            if connection.closed and isinstance(error, psycopg.InterfaceError | psycopg.OperationalError):
                raise
            if len(group.submissions) > 1:
                return [_Group([submission], uuid4()) for submission in group.submissions]
            group.submissions[0].future.set_exception(error)  # not swallowed: the caller gets it
        else:
            _answer(group.submissions, appended)
            self._on_append(appended)
        return []

    def _refuse_rest(self, pending: deque[_Group]) -> None:
        """Nothing more will be stored, so say so to all who wait: nobody waits for ever."""
        with self._closing:
            self._closed = True
        for group in pending:
            _refuse(group.submissions)
        pending.clear()
        with suppress(queue.Empty):
            while True:
                waiting = self._queue.get_nowait()
                if waiting is not None:
                    _refuse([waiting])


def _answer(submissions: Sequence[_Submission], appended: Sequence[Appended]) -> None:
    """Gives each caller the fate of their own events."""
    fates = iter(appended)
    for submission in submissions:
        submission.future.set_result(list(islice(fates, len(submission.events))))


def _refuse(submissions: Sequence[_Submission]) -> None:
    for submission in submissions:
        submission.future.set_exception(LogClosed())


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
