"""Calls under way: passes of the Inferrer, in threads of their own, so that waiting for a model keeps nothing
else waiting."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from uuid import UUID

from personakit.agents.inferrer import Inferrer

logger = logging.getLogger(__name__)
Whose = tuple[str, UUID]


class Calls:
    """At most so many passes at once, and one at a time about a person."""

    def __init__(self, inferrer: Inferrer, at_once: int, ended: Callable[[], None]) -> None:
        """`ended` is called when a pass did something: there may be more to do."""
        self._inferrer = inferrer
        self._at_once = at_once
        self._ended = ended
        self._lock = threading.Lock()
        self._running: set[Whose] = set()
        self._open = True
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="inference")

    def start_due(self) -> None:
        """Begins passes for those who are ready, as many as there is room for; returns at once."""
        with self._lock:
            if not self._open or len(self._running) >= self._at_once:
                return
            ready = self._inferrer.ready(2 * self._at_once)
            free = self._at_once - len(self._running)
            for whose in [each for each in ready if each not in self._running][:free]:
                self._running.add(whose)
                future = self._threads.submit(self._inferrer.infer, *whose)
                future.add_done_callback(partial(self._done, whose))

    def close(self) -> None:
        """Returns when the calls under way have ended."""
        with self._lock:
            self._open = False
        self._threads.shutdown(cancel_futures=True)

    def _done(self, whose: Whose, future: Future[int | None]) -> None:
        with self._lock:
            self._running.discard(whose)
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            logger.error("A pass over somebody's free text failed (tenant %s).", whose[0], exc_info=error)
        elif future.result() is not None:
            self._ended()
