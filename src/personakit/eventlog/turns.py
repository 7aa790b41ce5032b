"""Turns: in one process the commands on one entity follow each other, so that only processes contend.

Whoever decided on a state that another thread has just changed would have to decide anew; to wait is
cheaper. Correctness never rests on this: the expected version does that.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import TooContended

LOCKS = 256
"""Streams share them by hash, so however many streams there are, there are no more locks than these."""
WAIT_SECONDS = 10.0


class Turns:
    """Lets one thread at a time at a stream."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._locks = [threading.Lock() for _ in range(LOCKS)]
        self._wait_seconds = wait_seconds

    @contextmanager
    def of(self, stream: StreamId) -> Iterator[None]:
        """The caller's turn at the stream. Raises TooContended when it does not come in time."""
        lock = self._locks[hash(stream) % LOCKS]
        if not lock.acquire(timeout=self._wait_seconds):
            raise TooContended(f"A {stream.kind} is being changed by too many at once; try again.")
        try:
            yield
        finally:
            lock.release()
