"""Wake-ups: the same Dramatiq actors over an in-process broker or Redis.

A wake-up carries a name or ids, never a payload. One that is lost is made up for by the sweep, and one
too many finds nothing to do; so a failed one is logged and not retried.
"""

from __future__ import annotations

import functools
import heapq
import logging
import threading
import time
from collections.abc import Callable, Mapping

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from redis.exceptions import RedisError

SWEEP_SECONDS = 2.0
WORKER_THREADS = 4
POLL_MILLISECONDS = 50
"""How long an idle Redis consumer sleeps; the library's default costs 650 ms a wake-up."""

STOP_MILLISECONDS = 10_000
BELIEVED_SECONDS = 0.5
"""How long a wake-up that was sent is believed to be on its way; another process may have run it since."""

Key = tuple[str, ...]
logger = logging.getLogger(__name__)


def open_broker(redis_url: str | None, installation: str = "personakit") -> dramatiq.Broker:
    """The in-process broker, or the one behind `redis_url`, where each installation keeps to its own keys.

    No middleware: no retries, and no port for metrics.
    """
    if redis_url is None:
        return StubBroker(middleware=[])
    return RedisBroker(url=redis_url, middleware=[], namespace=f"personakit-{installation}")  # type: ignore[no-untyped-call]  # the library's


class Wakeups:
    """Sends each wake-up once however often it is asked for before it runs, and sweeps regularly.

    Actors come in the order of their names' importance: an earlier one goes first when threads are few.
    """

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
        self._sent: dict[Key, float] = {}
        self._open = True
        self._threads = [
            threading.Thread(target=self._send_when_due, name="wake-ups", daemon=True),
            threading.Thread(target=self._sweep_regularly, name="sweep", daemon=True),
        ]

    def start(self, actors: Mapping[str, Callable[..., None]]) -> None:
        """Declares the actors by name, the most urgent first, and starts working."""
        for priority, (name, function) in enumerate(actors.items()):
            declare = dramatiq.actor(actor_name=name, queue_name=name, priority=priority, broker=self._broker)
            self.actors[name] = declare(self._noting_start(name, function))
        self._worker.start()
        for thread in self._threads:
            thread.start()

    def wake(self, actor: str, *names: str, delay: float = 0.0) -> None:
        """Runs `actor` with `names` in `delay` seconds; what was asked for and has not begun is not asked
        for again, because it will see all that is there when it begins."""
        key = (actor, *names)
        now = time.monotonic()
        with self._changed:
            if not self._open or key in self._waiting or self._sent.get(key, 0.0) > now:
                return
            self._waiting.add(key)
            heapq.heappush(self._due, (now + delay, key))
            self._changed.notify_all()  # the sweep waits here too

    def close(self) -> None:
        """Stops waking, and returns when the actors that run have ended."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        if self.actors:
            for thread in self._threads:
                thread.join()
            self._worker.stop(timeout=STOP_MILLISECONDS)
        self._broker.close()

    def _noting_start(self, name: str, function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*names: str) -> None:
            with self._changed:
                self._sent.pop((name, *names), None)
            function(*names)

        return run

    def _send_when_due(self) -> None:
        while (key := self._next()) is not None:
            try:
                self.actors[key[0]].send(*key[1:])
            except (dramatiq.BrokerError, RedisError) as error:
                logger.warning("A wake-up could not be sent, the sweep will make up for it: %s", error)

    def _next(self) -> Key | None:
        """Waits for the next wake-up that is due; None when closing."""
        with self._changed:
            while self._open:
                now = time.monotonic()
                if self._due and self._due[0][0] <= now:
                    key = heapq.heappop(self._due)[1]
                    self._waiting.discard(key)
                    self._sent[key] = now + BELIEVED_SECONDS
                    return key
                self._changed.wait(self._due[0][0] - now if self._due else None)
        return None

    def _sweep_regularly(self) -> None:
        while self._open:
            self._forget_old()
            self._sweep(self)
            with self._changed:
                self._changed.wait_for(lambda: not self._open, SWEEP_SECONDS)

    def _forget_old(self) -> None:
        now = time.monotonic()
        with self._changed:
            self._sent = {key: until for key, until in self._sent.items() if until > now}
