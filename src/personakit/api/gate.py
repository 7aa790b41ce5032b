"""Before the application: so many requests are worked on at a time, some more stand in line, and the others
are told at once to come again. Health is asked past it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, cast

import msgspec
from litestar.types import ASGIApp, HTTPReceiveMessage, HTTPRequestEvent, Receive, Scope, Send

from personakit.api.bodies import MAX_BODY
from personakit.api.problems import BodySlow, TooBusy, problem_of
from personakit.api.shares import Shares, key_of

AT_WORK: Final = 64
"""How many requests one process works on at a time: no more than keep it busy, so that its event loop gets
round to each, and to health, in a fraction of a second."""
IN_LINE: Final = 400
"""How many more may come at once. Those who are told to come again are the cheapest to serve."""
LINE_SECONDS: Final = 2.0
"""Before a request is let in, and again each time that it has waited for something and comes back."""
BODY_SECONDS: Final = 30.0
"""From the first look at a body to its end."""
BODIES_BYTES: Final = 64 * MAX_BODY
"""What all the bodies may take that are held at a time, those too that have not come to their end."""
RETRY_SECONDS: Final = 1
_PLACELESS: Final = "personakit.placeless"
_HEALTH: Final = frozenset({"/health/live", "/health/ready"})


def is_health(path: str) -> bool:
    """Whether it is asked after health."""
    return path in _HEALTH


class Gate:
    """Gives requests places, and takes them back; on one event loop."""

    def __init__(
        self, at_work: int = AT_WORK, in_line: int = IN_LINE, bodies_bytes: int = BODIES_BYTES
    ) -> None:
        self._most_at_work = at_work
        self._most_in_line = in_line
        self._line: deque[asyncio.Future[None]] = deque()
        self.bodies = Shares(bodies_bytes)
        self.at_work = 0

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application behind this gate."""

        async def gated(scope: Scope, receive: Receive, send: Send) -> None:
            if is_health(scope["path"]):
                await app(scope, receive, send)
            elif self.at_work >= self._most_at_work and len(self._line) >= self._most_in_line:
                await _refuse(send, _FULL)
            else:
                await self._let_in(app, scope, receive, send)

        return gated

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """For as long as it lasts, a request waits for something and gives its place to another. Raises
        TooBusy where none is free for it afterwards."""
        self.leave()
        try:
            yield
        except BaseException:
            self._borrow()
            raise
        await self._come_back()

    @contextmanager
    def for_good(self, scope: Scope) -> Iterator[None]:
        """From here on a request needs its place no more; it ends with this."""
        self.leave()
        cast(dict[str, Any], scope)[_PLACELESS] = True
        try:
            yield
        finally:
            self._borrow()

    async def _let_in(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if not await self._enter():
            await _refuse(send, _WAITED)
            return
        body = _Body(self, scope, receive)
        try:
            await app(scope, body.receive, send)
        finally:
            self.leave()
            body.drop()

    async def _enter(self) -> bool:
        """Whether there was a place within LINE_SECONDS."""
        if self.at_work < self._most_at_work:
            self.at_work += 1
            return True
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            return await _came(turn)
        except asyncio.CancelledError:
            if _has_come(turn):
                self.leave()
            raise

    async def _come_back(self) -> None:
        """Takes a place again, before those who were never let in. Raises TooBusy after LINE_SECONDS."""
        if self.at_work < self._most_at_work:
            self.at_work += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._line.appendleft(turn)
        try:
            if not await _came(turn):
                self._borrow()
                raise _waited()
        except asyncio.CancelledError:
            if not _has_come(turn):
                self._borrow()
            raise

    def _borrow(self) -> None:
        """A place beyond those that there are, for a request that does nothing but end and leave it."""
        self.at_work += 1

    def leave(self) -> None:
        """Gives a place to whoever is next."""
        self.at_work -= 1
        while self._line and self.at_work < self._most_at_work:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                self.at_work += 1


async def _came(turn: asyncio.Future[None]) -> bool:
    """Whether it did within LINE_SECONDS."""
    try:
        async with asyncio.timeout(LINE_SECONDS):
            await turn
    except TimeoutError:
        return _has_come(turn)
    return True


def _has_come(turn: asyncio.Future[None]) -> bool:
    """Whether a place was given to it, though it was given up waiting."""
    return turn.done() and not turn.cancelled()


class _Body:
    """The body of one request. It is read in one go, while others have the request's place."""

    __slots__ = ("_gate", "_key", "_read", "_receive", "_scope", "_size")

    def __init__(self, gate: Gate, scope: Scope, receive: Receive) -> None:
        self._gate = gate
        self._scope = scope
        self._receive = receive
        self._key = ""
        self._read = False
        self._size = 0

    async def receive(self) -> HTTPReceiveMessage:
        """The body, or as much of it as shows that it is too large; after that, that the caller has gone.
        Raises BodySlow when it does not come in time, and TooBusy."""
        if self._read:
            return await self._receive()  # type: ignore[return-value]  # of HTTP there is nothing else
        self._read, self._key = True, key_of(self._scope)
        if _PLACELESS in self._scope:
            return await self._in_time()
        async with self._gate.aside():
            return await self._in_time()

    def drop(self) -> None:
        """What was held of it is held no more."""
        if self._size > 0:
            self._gate.bodies.give_back(self._key, self._size)

    async def _in_time(self) -> HTTPReceiveMessage:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._whole()
        except TimeoutError:
            raise BodySlow(f"The body did not come within {BODY_SECONDS:.0f} s; send less.") from None

    async def _whole(self) -> HTTPReceiveMessage:
        parts: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                return message  # type: ignore[return-value]  # as above
            parts.append(message["body"])
            self._hold(len(parts[-1]))
            if not message["more_body"] or self._size > MAX_BODY:
                body = parts[0] if len(parts) == 1 else b"".join(parts)
                return HTTPRequestEvent(type="http.request", body=body, more_body=False)

    def _hold(self, size: int) -> None:
        if not self._gate.bodies.take(self._key, size):
            raise TooBusy("This key's other bodies take all the room that it has; come again in a moment.")
        self._size += size


def _waited() -> TooBusy:
    return TooBusy(f"No place became free within {LINE_SECONDS:g} s; come again in a moment.")


_FULL: Final = msgspec.json.encode(
    problem_of(TooBusy(f"{AT_WORK + IN_LINE} requests are under way already; come again in a moment."))
)
_WAITED: Final = msgspec.json.encode(problem_of(_waited()))


async def _refuse(send: Send, said: bytes) -> None:
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(said)),
        (b"retry-after", b"%d" % RETRY_SECONDS),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": said, "more_body": False})
