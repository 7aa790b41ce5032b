"""The real server, before real clients that are slow or broken: each is ended, and others are served."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from granian.constants import Interfaces
from granian.server.embed import Server

from personakit.agents.service import Service
from personakit.api import gate, slow_readers
from personakit.api.app import create_app
from personakit.api.bodies import MAX_BODY
from personakit.api.slow_readers import bound_unread_answers
from personakit.cli import listening
from personakit.config import load_settings
from tests.processes import free_port

SOON: Final = 1
"""Seconds after which slow ones are ended here."""
PATIENCE: Final = 20.0


class Caller:
    """Speaks to the server in bytes."""

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self.head = f"Host: x\r\nAuthorization: Bearer {key}\r\n".encode()

    async def said(self, *parts: bytes, ends: bool = False) -> bytes:
        """All that is answered until the server ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
            if ends:
                writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                return await reader.read()
        except ConnectionError:
            return b"(reset)"
        finally:
            writer.transport.abort()

    async def status(self, *parts: bytes, ends: bool = False) -> int:
        """The status of the only answer; 0 for none."""
        statuses = re.findall(rb"HTTP/1\.1 (\d+)", await self.said(*parts, ends=ends))
        assert len(statuses) <= 1
        return int(statuses[0]) if statuses else 0

    def post(self, length: int, *headers: str) -> bytes:
        extra = "".join(f"{header}\r\n" for header in headers).encode()
        return b"POST /observations HTTP/1.1\r\n" + self.head + extra + b"Content-Length: %d\r\n\r\n" % length


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", SOON)
    monkeypatch.setattr(gate, "BODY_SECONDS", float(SOON))
    monkeypatch.setattr(slow_readers, "UNREAD_SECONDS", SOON)


def serve(service: Service, key: str, test: Callable[[Caller], Awaitable[None]]) -> None:
    """Runs the test against the server, as `personakit up` starts it."""
    settings = load_settings({"PERSONAKIT_PORT": str(free_port())})

    async def run() -> None:
        app = create_app(service, settings.web)
        server = Server(app, interface=Interfaces.ASGI, **listening.listening(settings))
        bound_unread_answers(settings.port)
        serving = asyncio.create_task(server.serve())
        try:
            caller = Caller(settings.port, key)
            await until_served(caller)
            await test(caller)
        finally:
            server.stop()  # type: ignore[no-untyped-call]  # the library's
            await serving

    asyncio.run(run())


async def until_served(caller: Caller) -> None:
    asked = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(OSError):
                assert await caller.status(asked) == 200
                return
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("impatient")
def test_slow_and_broken_clients_are_ended_each_in_its_way(service: Service, key: str) -> None:
    async def test(caller: Caller) -> None:
        good = b"GET /mappers HTTP/1.1\r\n" + caller.head
        cases = {
            "says nothing": (0, caller.status()),
            "half a head": (0, caller.status(good)),
            "idle after an answer": (200, caller.status(good + b"\r\n")),
            "half a body": (408, caller.status(caller.post(100), b"{")),
            "no body": (408, caller.status(caller.post(100))),
            "half a body, then gone": (400, caller.status(caller.post(100), b"{", ends=True)),
            "too large a body": (413, caller.status(caller.post(MAX_BODY + 1), b" " * (MAX_BODY + 1))),
            "too large a head": (431, caller.status(good, b"X: " + b"a" * listening.HEAD_BYTES * 2)),
            "no HTTP": (400, caller.status(b"\x00\x01\x02\x03 nothing\r\n\r\n")),
            "no chunks": (
                400,
                caller.status(
                    b"POST /observations HTTP/1.1\r\n"
                    + caller.head
                    + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n"
                ),
            ),
            "HTTP/2 by the back door": (0, caller.status(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        }
        statuses = await asyncio.gather(*(asked for _, asked in cases.values()))
        found = dict(zip(cases, statuses, strict=True))
        assert found == {name: status for name, (status, _) in cases.items()}
        last = good + b"Connection: close\r\n\r\n"
        # Whoever closes its side is taken to have gone, unless the answer is quicker.
        assert await caller.status(last, ends=True) in {0, 200}
        assert await caller.status(last) == 200

    serve(service, key, test)


@pytest.mark.usefixtures("impatient")
def test_whoever_asks_for_much_and_reads_nothing_is_cut_off(service: Service, key: str) -> None:
    async def test(caller: Caller) -> None:
        page = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        whole = (
            len(await caller.said(page + page.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) // 2
        )
        loop = asyncio.get_running_loop()
        with socket.socket() as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lazy.setblocking(False)
            await loop.sock_connect(lazy, ("127.0.0.1", caller.port))
            times = 100
            await loop.sock_sendall(lazy, page * times)
            await until_cut(caller.port, lazy.getsockname()[1])
            read = 0
            try:
                async with asyncio.timeout(PATIENCE):
                    while part := await loop.sock_recv(lazy, 1 << 20):
                        read += len(part)
            except ConnectionError:
                pass
            assert read < whole * times

    serve(service, key, test)


async def until_cut(server_port: int, client_port: int) -> None:
    """Returns when the server's side of a connection is there no more."""
    async with asyncio.timeout(PATIENCE):
        while is_open(server_port, client_port):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)


def is_open(server_port: int, client_port: int) -> bool:
    ends = [line.split()[1:3] for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()]
    return [f"0100007F:{server_port:04X}", f"0100007F:{client_port:04X}"] in ends
