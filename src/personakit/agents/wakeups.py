"""Wake-ups: when each is sent, and how often. Who carries them is decided by the entry (`actors.py`).

A wake-up carries a name or ids, never a payload. One that is lost is made up for by the sweep, and one
too many finds nothing to do; so a failed one is logged and not retried.
"""

from __future__ import annotations

import functools
import heapq
import math
import threading
import time
from collections.abc import Callable

SWEEP_SECONDS = 2.0
BELIEVED_SECONDS = 0.5
"""How long a wake-up that was sent is believed to be on its way; another process may have run it since."""

Key = tuple[str, ...]
"""An actor's name, and the names that it is to work on."""
Send = Callable[[Key], None]


class Wakeups:
    """Sends each wake-up once however often it is asked for before it runs, from a thread of its own: to
    ask takes no longer where sending does."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: list[tuple[float, Key]] = []
        self._waiting: dict[Key, float] = {}
        self._sent: dict[Key, float] = {}
        self._believed = BELIEVED_SECONDS
        self._open = True
        self._thread: threading.Thread | None = None

    def start(self, send: Send, believed: float = BELIEVED_SECONDS) -> None:
        """Begins to send. A wake-up is not sent again for `believed` seconds, or until it `began`."""
        self._believed = believed
        self._thread = threading.Thread(target=self._run, args=(send,), name="wake-ups", daemon=True)
        self._thread.start()

    def wake(self, actor: str, *names: str, delay: float = 0.0) -> None:
        """Runs `actor` with `names` in `delay` seconds; what was asked for and has not begun is not asked
        for again, because it will see all that is there when it begins."""
        key = (actor, *names)
        now = time.monotonic()
        with self._changed:
            due = max(now + delay, self._sent.get(key, 0.0))
            if self._open and due < self._waiting.get(key, math.inf):
                self._waiting[key] = due
                heapq.heappush(self._due, (due, key))
                self._changed.notify_all()

    def noting_start(self, name: str, function: Callable[..., None]) -> Callable[..., None]:
        """`function` as the actor `name` whose begin is known here: it sees all that was asked for before."""

        @functools.wraps(function)
        def run(*names: str) -> None:
            with self._changed:
                self._sent.pop((name, *names), None)
                self._waiting.pop((name, *names), None)
            function(*names)

        return run

    def forget_old(self) -> None:
        """Lets go of the wake-ups that nobody noted the begin of."""
        now = time.monotonic()
        with self._changed:
            self._sent = {key: until for key, until in self._sent.items() if until > now}

    def close(self) -> None:
        """Stops sending, and returns when the thread has ended."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self, send: Send) -> None:
        while (key := self._next()) is not None:
            send(key)

    def _next(self) -> Key | None:
        """Waits for the next wake-up that is due; None when closing."""
        with self._changed:
            while self._open:
                now = time.monotonic()
                if self._due and self._due[0][0] <= now:
                    due, key = heapq.heappop(self._due)
                    if self._waiting.get(key) == due:  # else it is due at another time, or seen to already
                        del self._waiting[key]
                        self._sent[key] = now + self._believed
                        return key
                else:
                    self._changed.wait(self._due[0][0] - now if self._due else None)
        return None


class Sweep:
    """Calls a function at once and then every so many seconds, from a thread of its own."""

    def __init__(self, sweep: Callable[[], None], seconds: float = SWEEP_SECONDS) -> None:
        self._sweep = sweep
        self._seconds = seconds
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=sweep.__name__.strip("_"), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns when the thread has ended."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        self._sweep()
        while not self._closing.wait(self._seconds):
            self._sweep()
