"""Wake-ups: the same Dramatiq actors over an in-process broker or Redis.

A wake-up carries a name or ids, never a payload. One that is lost is made up for by the sweep, and one
too many finds nothing to do; so a failed one is logged and not retried.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Mapping

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

SWEEP_SECONDS = 2.0
WORKER_THREADS = 4
POLL_MILLISECONDS = 50
"""How long an idle Redis consumer sleeps; the library's default costs 650 ms a wake-up."""

Key = tuple[str, ...]


def open_broker(redis_url: str | None) -> dramatiq.Broker:
    """The in-process broker, or the one behind `redis_url`. No middleware: no retries, no metrics port."""
    if redis_url is None:
        return StubBroker(middleware=[])
    return RedisBroker(url=redis_url, middleware=[], namespace="personakit")  # type: ignore[no-untyped-call]  # the library's


class Wakeups:
    """Sends each wake-up once per `delay`, however often it is asked for, and sweeps regularly."""

    def __init__(self, broker: dramatiq.Broker, sweep: Callable[[Wakeups], None]) -> None:
        self._broker = broker
        self._sweep = sweep
        self.actors: dict[str, dramatiq.Actor[..., None]] = {}
        self._worker = dramatiq.Worker(
            broker, worker_threads=WORKER_THREADS, worker_timeout=POLL_MILLISECONDS
        )
        self._changed = threading.Condition()
        self._due: list[tuple[float, Key]] = []
        self._waiting: set[Key] = set()
        self._open = True
        self._threads = [
            threading.Thread(target=self._send_when_due, name="wake-ups", daemon=True),
            threading.Thread(target=self._sweep_regularly, name="sweep", daemon=True),
        ]

    def start(self, actors: Mapping[str, Callable[..., None]]) -> None:
        """Declares the actors by name and starts working."""
        for name, function in actors.items():
            declare = dramatiq.actor(actor_name=name, queue_name="agents", broker=self._broker)
            self.actors[name] = declare(function)
        self._worker.start()
        for thread in self._threads:
            thread.start()

    def wake(self, actor: str, *names: str, delay: float = 0.0) -> None:
        """Runs `actor` with `names` in `delay` seconds; one already asked for is not asked for again."""
        key = (actor, *names)
        with self._changed:
            if key in self._waiting or not self._open:
                return
            self._waiting.add(key)
            heapq.heappush(self._due, (time.monotonic() + delay, key))
            self._changed.notify_all()  # the sweep waits here too

    def close(self) -> None:
        """Stops waking, and returns when the actors that run have ended."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        if self.actors:
            for thread in self._threads:
                thread.join()
            self._worker.stop()
        self._broker.close()

    def _send_when_due(self) -> None:
        while (key := self._next()) is not None:
            self.actors[key[0]].send(*key[1:])

    def _next(self) -> Key | None:
        """Waits for the next wake-up that is due; None when closing."""
        with self._changed:
            while self._open:
                now = time.monotonic()
                if self._due and self._due[0][0] <= now:
                    key = heapq.heappop(self._due)[1]
                    self._waiting.discard(key)
                    return key
                self._changed.wait(self._due[0][0] - now if self._due else None)
        return None

    def _sweep_regularly(self) -> None:
        while self._open:
            self._sweep(self)
            with self._changed:
                self._changed.wait_for(lambda: not self._open, SWEEP_SECONDS)
