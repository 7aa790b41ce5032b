"""Actors over a Dramatiq broker: run in this process, or sent to those that run in others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from personakit.agents.wakeups import Key, Send

WORKER_THREADS = 4
POLL_MILLISECONDS = 50
"""How long an idle Redis consumer sleeps; the library's default costs 650 ms a wake-up."""

STOP_MILLISECONDS = 10_000
CONNECT_SECONDS, ANSWER_SECONDS = 1.0, 5.0
AWAY_SECONDS = 1.0
"""How long a Redis that did not answer is left alone."""

logger = logging.getLogger(__name__)


def in_process_broker() -> dramatiq.Broker:
    """Carries messages within this process. No middleware: no retries, and no port for metrics."""
    return StubBroker(middleware=[])


def redis_broker(redis_url: str, installation: str) -> dramatiq.Broker:
    """Carries messages between processes; each installation keeps to its own keys. Connects when used."""
    # One retry, because a connection that was kept is found broken only when Redis was started again.
    client = Redis.from_url(
        redis_url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )
    return RedisBroker(client=client, middleware=[], namespace=f"personakit-{installation}")  # type: ignore[no-untyped-call]  # the library's


class ActorsElsewhere:
    """Actors that other processes run: known by name, the most urgent first, so that they can be sent to."""

    def __init__(self, broker: dramatiq.Broker, names: Iterable[str]) -> None:
        self._broker = broker
        self._declared = _declare(broker, dict.fromkeys(names, _not_here))

    def send(self, key: Key) -> None:
        """Hands the wake-up to the broker."""
        self._declared[key[0]].send(*key[1:])

    def close(self) -> None:
        """Lets go of the broker."""
        self._broker.close()


class ActorsHere:
    """Actors that this process runs, by name, the most urgent first: an earlier one goes before a later
    one when threads are few. Works until closed."""

    def __init__(self, broker: dramatiq.Broker, functions: Mapping[str, Callable[..., None]]) -> None:
        self._broker = broker
        self._declared = _declare(broker, functions)
        self._worker = dramatiq.Worker(
            broker, worker_threads=WORKER_THREADS, worker_timeout=POLL_MILLISECONDS
        )
        self._worker.start()

    def send(self, key: Key) -> None:
        """Hands the wake-up to the broker."""
        self._declared[key[0]].send(*key[1:])

    def close(self) -> None:
        """Returns when the actors that run have ended, after STOP_MILLISECONDS at most; what has not
        begun goes back to the broker."""
        try:
            self._worker.stop(timeout=STOP_MILLISECONDS)
        except RedisError as error:
            logger.warning("Wake-ups could not be given back, the sweep will make up for them: %s", error)
        self._broker.close()


class WhileRedisAnswers:
    """Sends by Redis; what cannot be sent goes to `otherwise`, and for a moment so does all that follows."""

    def __init__(self, send: Send, otherwise: Send) -> None:
        self._send = send
        self._otherwise = otherwise
        self._away_until = 0.0

    def __call__(self, key: Key) -> None:
        if time.monotonic() < self._away_until or not self._sent(key):
            self._otherwise(key)

    def _sent(self, key: Key) -> bool:
        try:
            self._send(key)
        except (dramatiq.BrokerError, RedisError) as error:
            if not self._away_until:
                logger.warning("A wake-up could not be sent, work goes on without Redis: %s", error)
            self._away_until = time.monotonic() + AWAY_SECONDS
            return False
        if self._away_until:
            logger.warning("Redis answers again.")
            self._away_until = 0.0
        return True


def _declare(
    broker: dramatiq.Broker, functions: Mapping[str, Callable[..., None]]
) -> dict[str, dramatiq.Actor[..., None]]:
    return {
        name: dramatiq.actor(actor_name=name, queue_name=name, priority=priority, broker=broker)(function)
        for priority, (name, function) in enumerate(functions.items())
    }


def _not_here(*_: str) -> None:
    raise NotImplementedError("This process sends wake-ups and runs none.")
