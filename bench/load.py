"""The load generator: a process of its own that keeps N connections busy, each one request at a time.

It shares the machine with the server, so it does little: requests are bytes made beforehand, and of an
answer it reads the status and the length.
"""

from __future__ import annotations

import gc
import multiprocessing
import select
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from types import TracebackType
from typing import Self

import msgspec

from bench.exchange import answer_size, require_success
from bench.figures import percentile

PATIENCE_SECONDS = 60.0


class Load(msgspec.Struct, frozen=True):
    """What came of a load: answers, the seconds from the first request to the last answer, latencies.

    `began` is on the clock of the machine, `time.monotonic()`, which all processes share.
    """

    answers: int
    began: float
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


class Generator:
    """Runs loads in a process of its own, one after another."""

    def __init__(self) -> None:
        self._process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.shutdown()

    def send(self, port: int, requests: Sequence[bytes], connections: int) -> Load:
        """Sends each request once."""
        return self._process.submit(drive, port, list(requests), connections).result()

    def repeat(self, port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
        """Sends the requests over and over for some seconds."""
        return self._process.submit(drive, port, list(requests), connections, seconds).result()


class _Lane:
    """One connection: what is still to be sent, what has come, and when the request began."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.rest = memoryview(b"")
        self.received = bytearray()
        self.began = 0.0

    def begin(self, request: bytes) -> None:
        self.rest = memoryview(request)
        self.received.clear()
        self.began = time.monotonic()
        self.push()

    def push(self) -> None:
        """Sends as much as the socket takes."""
        try:
            while self.rest:
                self.rest = self.rest[self.socket.send(self.rest) :]
        except BlockingIOError:
            pass

    def pull(self) -> bool:
        """Takes what has come; whether that completes the answer."""
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise ConnectionError("The service closed the connection.")
        self.received += chunk
        size = answer_size(self.received)
        return size is not None and len(self.received) >= size


def drive(port: int, requests: list[bytes], connections: int, seconds: float | None = None) -> Load:
    """Keeps `connections` busy until each request is sent, or over and over for `seconds`.

    Raises AssertionError at the first answer that is not 2xx.
    """
    lanes = {lane.socket.fileno(): lane for lane in (_Lane(port) for _ in range(connections))}
    gc.disable()
    try:
        began = time.monotonic()
        upcoming = iter(requests) if seconds is None else _until(began + seconds, requests)
        latencies = _loop(lanes, upcoming)
        elapsed = time.monotonic() - began
    finally:
        gc.enable()
        for lane in lanes.values():
            lane.socket.close()
    milliseconds = [latency * 1000 for latency in latencies]
    return Load(len(latencies), began, elapsed, percentile(milliseconds, 50), percentile(milliseconds, 99))


def _until(deadline: float, requests: Sequence[bytes]) -> Iterator[bytes]:
    for request in cycle(requests):
        if time.monotonic() >= deadline:
            return
        yield request


def _loop(lanes: dict[int, _Lane], upcoming: Iterator[bytes]) -> list[float]:
    """The latency of each request, in seconds."""
    latencies: list[float] = []
    with select.epoll() as poll:
        busy = sum(_start(poll, number, lane, upcoming) for number, lane in lanes.items())
        while busy:
            ready = poll.poll(PATIENCE_SECONDS)
            if not ready:
                raise TimeoutError(f"No answer for {PATIENCE_SECONDS:g} seconds.")
            for number, _ in ready:
                busy -= _turn(poll, number, lanes[number], upcoming, latencies)
    return latencies


def _start(poll: select.epoll, number: int, lane: _Lane, upcoming: Iterator[bytes]) -> bool:
    """Gives a connection its first request; whether there was one."""
    request = next(upcoming, None)
    if request is None:
        return False
    lane.begin(request)
    poll.register(number, _interest(lane))
    return True


def _turn(
    poll: select.epoll, number: int, lane: _Lane, upcoming: Iterator[bytes], latencies: list[float]
) -> bool:
    """Moves one connection on; whether it has nothing more to do."""
    if lane.rest:
        lane.push()
        poll.modify(number, _interest(lane))
        return False
    if not lane.pull():
        return False
    latencies.append(time.monotonic() - lane.began)
    require_success(lane.received)
    request = next(upcoming, None)
    if request is None:
        poll.unregister(number)
        return True
    lane.begin(request)
    if lane.rest:
        poll.modify(number, _interest(lane))
    return False


def _interest(lane: _Lane) -> int:
    """What to wait for: room to send the rest, or the answer."""
    return select.EPOLLOUT if lane.rest else select.EPOLLIN
