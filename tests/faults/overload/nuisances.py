"""Clients that are slow or broken, as there are on any network: each kind over and over, some at a time."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import NamedTuple

TOGETHER = 8
"""How many of each kind there are at a time."""
PATIENCE = 12.0
"""How long a slow one goes on, unless it is ended before."""
PAUSE = 0.05
_NOT_READ = 200
_KEY_LENGTH = 43
_KEY_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Nuisance(NamedTuple):
    """Whom they annoy, with whose key, and for how long."""

    port: int
    key: str
    seed: str
    seconds: float


class _Client:
    """One connection, and what chance decides of it."""

    def __init__(self, nuisance: Nuisance, chance: Random) -> None:
        self.port = nuisance.port
        self.chance = chance
        self.head = f"Host: x\r\nAuthorization: Bearer {nuisance.key}\r\n".encode()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1024)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def silent(client: _Client) -> None:
    """Connects and says nothing."""
    async with client.connected() as (reader, _):
        await _until_ended(reader)


async def slow_head(client: _Client) -> None:
    """Sends its headers a byte at a time."""
    async with client.connected() as (reader, writer):
        writer.write(b"GET /mappers HTTP/1.1\r\n")
        await _dripped(reader, writer, b"X: " + b"a" * 1000)


async def slow_body(client: _Client) -> None:
    """Sends its body a byte at a time."""
    async with client.connected() as (reader, writer):
        writer.write(b"POST /observations HTTP/1.1\r\n" + client.head + b"Content-Length: 100000\r\n\r\n{")
        await _dripped(reader, writer, b" " * 1000)


async def half_closed(client: _Client) -> None:
    """Closes its side once it has asked, and reads the answer."""
    async with client.connected() as (reader, writer):
        writer.write(b"GET /mappers HTTP/1.1\r\n" + client.head + b"\r\n")
        writer.write_eof()
        await _until_ended(reader)


async def reset(client: _Client) -> None:
    """Cuts the connection in the midst of a body."""
    async with client.connected() as (_, writer):
        writer.write(b"POST /observations HTTP/1.1\r\n" + client.head + b"Content-Length: 1000\r\n\r\n{")
        await asyncio.sleep(0.02)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )


async def unread(client: _Client) -> None:
    """Asks for a great deal and reads none of it."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    loop = asyncio.get_running_loop()
    with connection:
        await loop.sock_connect(connection, ("127.0.0.1", client.port))
        await loop.sock_sendall(connection, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * _NOT_READ)
        await asyncio.sleep(PATIENCE)


async def garbage(client: _Client) -> None:
    """Speaks no HTTP."""
    async with client.connected() as (reader, writer):
        writer.write(client.chance.randbytes(client.chance.randrange(1, 5000)))
        writer.write(b"\r\n\r\n")
        await _until_ended(reader)


async def oversize(client: _Client) -> None:
    """Sends a body, or a header, that is larger than may be."""
    async with client.connected() as (reader, writer):
        if client.chance.random() < 0.5:
            writer.write(b"GET /mappers HTTP/1.1\r\nX: " + b"a" * 200_000)
        else:
            writer.write(
                b"POST /observations HTTP/1.1\r\n" + client.head + b"Content-Length: 3000000\r\n\r\n"
            )
            writer.write(b" " * 3_000_000)
        await _until_ended(reader)


async def guess(client: _Client) -> None:
    """Tries a key that opens nothing."""
    async with client.connected() as (reader, writer):
        key = "".join(client.chance.choices(_KEY_LETTERS, k=_KEY_LENGTH))
        writer.write(f"GET /mappers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer pk_{key}\r\n".encode())
        writer.write(b"Connection: close\r\n\r\n")
        await _until_ended(reader)


KINDS: Mapping[str, Callable[[_Client], Awaitable[None]]] = {
    each.__name__: each
    for each in (silent, slow_head, slow_body, half_closed, reset, unread, garbage, oversize, guess)
}


def annoy(nuisance: Nuisance) -> Counter[str]:
    """Annoys for so long; how often each kind did."""
    return asyncio.run(_annoy(nuisance))


async def _annoy(nuisance: Nuisance) -> Counter[str]:
    counts: Counter[str] = Counter()
    ending = asyncio.get_running_loop().time() + nuisance.seconds
    clients = [
        (name, _Client(nuisance, Random(f"{nuisance.seed} {name} {number}")))
        for name in KINDS
        for number in range(TOGETHER)
    ]
    await asyncio.gather(*(_again_and_again(client, name, counts, ending) for name, client in clients))
    return counts


async def _again_and_again(client: _Client, name: str, counts: Counter[str], ending: float) -> None:
    loop = asyncio.get_running_loop()
    while loop.time() < ending:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout_at(min(loop.time() + PATIENCE, ending)):
                await KINDS[name](client)
        counts[name] += 1
        await asyncio.sleep(PAUSE)


async def _dripped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> None:
    ended = asyncio.ensure_future(_until_ended(reader))
    try:
        for byte in text:
            writer.write(bytes([byte]))
            await asyncio.wait([ended], timeout=0.5)
            if ended.done():
                return
    finally:
        ended.cancel()


async def _until_ended(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass
