"""Callers of the API: as many requests as are answered (closed loop), or so many a second whatever becomes of
them (open loop). Each runs in a process of its own."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import NamedTuple
from uuid import UUID

import msgspec

PEOPLE = 200
READS = 0.2
"""What part of the requests reads."""
ANSWER_SECONDS = 20.0
TICK = 0.005


class Load(NamedTuple):
    """What is sent: at `rate` requests a second over at most so many `connections` or, with None, one after
    another over each of them."""

    port: int
    key: str
    seed: str
    seconds: float
    rate: float | None = None
    connections: int = 16


class Traffic(msgspec.Struct):
    """What became of it. `statuses` counts answers; `accepted` are the ids of what was acknowledged; `ended`
    is when the last was sent, as time.monotonic() says it in every process."""

    offered: int = 0
    unsent: int = 0
    cut: int = 0
    unanswered: int = 0
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    accepted: list[UUID] = msgspec.field(default_factory=list)
    seconds: float = 0.0
    ended: float = 0.0

    @property
    def asked(self) -> int:
        """What was sent."""
        return self.offered - self.unsent

    @property
    def good(self) -> int:
        """Answers to what was asked."""
        return self.statuses[200] + self.statuses[201]

    @property
    def refused(self) -> int:
        """Told to come again."""
        return self.statuses[503] + self.statuses[429]


class _Connection(asyncio.Protocol):
    """One request at a time, and what is answered to it."""

    def __init__(self, caller: _Caller) -> None:
        self._caller = caller
        self._received = b""
        self._asked: UUID | None = None
        self.busy = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes, id_: UUID | None) -> None:
        """Sends a request; `id_` is what it is to record."""
        self.busy, self._asked = True, id_
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) >= length:
            self._received, self.busy = b"", False
            self._caller.answered(self, int(head[9:12]), self._asked)

    def connection_lost(self, _: Exception | None) -> None:
        self._caller.lost(self)


class _Caller:
    """All connections of one process."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._chance = Random(load.seed)
        self._idle: deque[_Connection] = deque()
        self._open = 0
        self._again: Callable[[_Connection], None] | None = None
        self.found = Traffic()

    async def closed_loop(self) -> None:
        self._again = self._ask_on
        loop = asyncio.get_running_loop()
        ending = loop.time() + self._load.seconds
        for _ in range(self._load.connections):
            self._ask_on(await self._opened())
        await asyncio.sleep(ending - loop.time())
        self._again = None

    async def open_loop(self, rate: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        due = 0
        opening: set[asyncio.Task[None]] = set()
        while (now := loop.time()) < began + self._load.seconds:
            arrived = int((now - began) * rate)
            for _ in range(arrived - due):
                self._arrive(opening)
            due = arrived
            await asyncio.sleep(TICK)

    async def last_answers(self) -> None:
        """Waits for what is under way."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ANSWER_SECONDS
        while self._open > len(self._idle) and loop.time() < deadline:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(TICK)
        self.found.unanswered = self._open - len(self._idle)

    def answered(self, connection: _Connection, status: int, id_: UUID | None) -> None:
        self.found.statuses[status] += 1
        if id_ is not None and status in {200, 201}:
            self.found.accepted.append(id_)
        if self._again is not None:
            self._again(connection)
        else:
            self._idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        self._open -= 1
        if connection.busy:
            self.found.cut += 1
        elif connection in self._idle:
            self._idle.remove(connection)

    def _arrive(self, opening: set[asyncio.Task[None]]) -> None:
        self.found.offered += 1
        while self._idle and self._idle[-1].transport.is_closing():
            self._idle.pop()
        if self._idle:
            self._ask_on(self._idle.pop())
        elif self._open + len(opening) < self._load.connections:
            task = asyncio.ensure_future(self._open_and_ask())
            opening.add(task)
            task.add_done_callback(opening.discard)
        else:
            self.found.unsent += 1

    async def _open_and_ask(self) -> None:
        try:
            self._ask_on(await self._opened())
        except OSError:
            self.found.cut += 1

    async def _opened(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._load.port)
        self._open += 1
        return made

    def _ask_on(self, connection: _Connection) -> None:
        id_ = None if self._chance.random() < READS else UUID(int=self._chance.getrandbits(128), version=4)
        connection.send(self._request(id_), id_)

    def _request(self, id_: UUID | None) -> bytes:
        person = f"p{self._chance.randrange(PEOPLE)}"
        head = f"Host: x\r\nAuthorization: Bearer {self._load.key}\r\n"
        if id_ is None:
            return f"GET /mindscapes/{person} HTTP/1.1\r\n{head}\r\n".encode()
        body = (
            f'{{"id":"{id_}","personId":"{person}","type":"note","content":{{"n":1}},'
            '"occurredAt":"2026-03-02T09:00:00Z"}'
        )
        return f"POST /observations HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def send(load: Load) -> Traffic:
    """Sends it all, waits for what is under way, and tells what became of it."""
    return asyncio.run(_send(load))


async def _send(load: Load) -> Traffic:
    caller = _Caller(load)
    began = time.monotonic()
    if load.rate is None:
        await caller.closed_loop()
    else:
        await caller.open_loop(load.rate)
    caller.found.ended = time.monotonic()
    caller.found.seconds = caller.found.ended - began
    await caller.last_answers()
    return caller.found
