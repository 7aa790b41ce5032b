"""The one way into the log: a queue, a thread, a connection held open.

Agents and request handlers hand in events and get a future, of a thread's or of an event loop's kind; a
result means committed.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from uuid import UUID, uuid4

import msgspec
import psycopg
from eventsourcing.persistence import InterfaceError, OperationalError
from psycopg import Connection
from psycopg.rows import DictRow

from personakit.domain.events import Event, PersonaDefined
from personakit.eventlog import codec
from personakit.eventlog.answers import WAIT_SECONDS, Answer, LoopFuture, ThreadFuture, answer_all
from personakit.eventlog.person_keys import Person
from personakit.eventlog.recorder import Appended, LogRecorder
from personakit.eventlog.stored import Row, StreamId
from personakit_sdk.errors import PersonaKitError

logger = logging.getLogger(__name__)

QUEUE_SIZE = 10_000
QUEUE_BYTES = 64 * 1024 * 1024
"""What waits to be written takes no more than this and what came last: a queue of large events is full before
it is long."""
EVENT_BYTES = 512
"""What an event that waits takes besides its payload."""
GROUP_EVENTS = 500
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
    """An event for version `version` of a stream, about `person` or about nobody. With `versioned` it fails
    where that version is taken, though its stream is one that is written once."""

    stream: StreamId
    version: int
    event: Event
    person: Person | None = None
    versioned: bool = False


class _Submission(msgspec.Struct, frozen=True):
    """What one caller handed in: to be committed together or not at all."""

    rows: list[Row]
    future: ThreadFuture | LoopFuture

    @property
    def size(self) -> int:
        """The bytes that it takes while it waits."""
        return sum(len(row.state) + EVENT_BYTES for row in self.rows)


class _Group(msgspec.Struct, frozen=True):
    """Submissions that are written in one statement and one commit, under one append id."""

    submissions: list[_Submission]
    append_id: UUID

    @property
    def rows(self) -> list[Row]:
        return [row for submission in self.submissions for row in submission.rows]


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
        self._bytes = 0
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="appender", daemon=True)
        self._thread.start()

    def append(self, events: Sequence[NewEvent]) -> ThreadFuture:
        """Hands in events to be committed together or not at all.

        The future gives one Appended an event, in order. It raises VersionConflict when a version was
        taken (streams that are written once answer `duplicate` instead), and PersonErased when a person
        is gone. Raises LogBusy or LogClosed at once when nothing can be taken.
        """
        future: ThreadFuture = Future()
        future.set_running_or_notify_cancel()  # a caller who goes away cancels nothing
        self._hand_in(events, future)
        return future

    async def append_async(self, events: Sequence[NewEvent]) -> list[Appended]:
        """As `append`, for a caller on an event loop. Raises LogSlow after WAIT_SECONDS."""
        future: LoopFuture = asyncio.get_running_loop().create_future()
        self._hand_in(events, future)
        try:
            return await asyncio.wait_for(future, WAIT_SECONDS)
        except TimeoutError:
            raise LogSlow from None

    def _hand_in(self, events: Sequence[NewEvent], future: ThreadFuture | LoopFuture) -> None:
        if not events:
            raise ValueError("There is nothing to append.")
        self._require_room()  # before events are sealed for nothing
        submission = _Submission([row_of(event) for event in events], future)
        with self._closing:
            if self._closed:
                raise LogClosed
            self._require_room()
            try:
                self._queue.put_nowait(submission)
            except queue.Full:
                raise LogBusy from None
            self._bytes += submission.size

    def _require_room(self) -> None:
        if self._bytes >= QUEUE_BYTES:
            raise LogBusy

    def _leave(self, submissions: Iterable[_Submission]) -> None:
        """These wait no more."""
        left = sum(submission.size for submission in submissions)
        with self._closing:
            self._bytes -= left

    @property
    def alive(self) -> bool:
        """Whether what is handed in will be written."""
        return self._thread.is_alive() and not self._closed

    @property
    def waiting(self) -> int:
        """How many submissions wait to be written: about, for others come and go."""
        return self._queue.qsize()

    @property
    def waiting_bytes(self) -> int:
        """How many bytes they take, with those that are being written."""
        return self._bytes

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
        size = len(first.rows)
        while size < GROUP_EVENTS:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._queue.put(None)  # seen again when this group is written
                break
            submissions.append(following)
            size += len(following.rows)
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
        rows = group.rows
        try:
            known = self._recorder.find(connection, rows, group.append_id) if doubtful else None
            appended = known or self._recorder.append(connection, rows, group.append_id)
        except Exception as error:
            if connection.closed and isinstance(error, psycopg.InterfaceError | psycopg.OperationalError):
                raise
            if len(group.submissions) > 1:
                return [_Group([submission], uuid4()) for submission in group.submissions]
            self._leave(group.submissions)
            answer_all([Answer(group.submissions[0].future, error)])  # not swallowed: the caller gets it
        else:
            self._leave(group.submissions)
            answer_all(_fates(group.submissions, appended))
            self._on_append(appended)
        return []

    def _refuse_rest(self, pending: deque[_Group]) -> None:
        """Nothing more will be stored, so say so to all who wait: nobody waits for ever."""
        with self._closing:
            self._closed = True
        for group in pending:
            self._refuse(group.submissions)
        pending.clear()
        with suppress(queue.Empty):
            while True:
                waiting = self._queue.get_nowait()
                if waiting is not None:
                    self._refuse([waiting])

    def _refuse(self, submissions: Sequence[_Submission]) -> None:
        self._leave(submissions)
        answer_all(Answer(submission.future, LogClosed()) for submission in submissions)


def _fates(submissions: Sequence[_Submission], appended: Sequence[Appended]) -> Iterator[Answer]:
    """The fate of each caller's own events."""
    fates = iter(appended)
    for submission in submissions:
        yield Answer(submission.future, list(islice(fates, len(submission.rows))))


def wait(future: ThreadFuture) -> list[Appended]:
    """What became of an append. Raises LogSlow when that is not known after WAIT_SECONDS."""
    try:
        return future.result(WAIT_SECONDS)
    except TimeoutError:
        raise LogSlow from None


def row_of(new: NewEvent) -> Row:
    """The event as bytes, sealed where it is about somebody. Whom a persona is to view must be there."""
    topic = codec.topic(type(new.event))
    payload = codec.encode(new.event)
    if new.person is not None:
        payload = codec.seal(payload, new.person.key, new.stream, new.version, topic)
    return Row(
        new.stream,
        new.version,
        topic,
        payload,
        new.person.surrogate if new.person else None,
        new.stream.kind in WRITTEN_ONCE and not new.versioned,
        new.person.key.sealed_after if new.person else 0,
        new.event.people if isinstance(new.event, PersonaDefined) else (),
    )
