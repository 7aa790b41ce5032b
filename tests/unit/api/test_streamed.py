"""Answers that are made while they are sent: who reads one slowly holds up nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from personakit.api.gate import Gate
from personakit.api.problems import TooBusy
from personakit.api.streamed import Streamed, Streams
from tests.unit.api.test_gate import Caller, ok


class Reader(Caller):
    """Sends the end of what it asks, and reads what comes, when it is let; and goes when all has come."""

    def __init__(self, path: str, key: str, reads: asyncio.Event) -> None:
        super().__init__(path, key=key)
        self._reads = reads
        self._ended = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self._parts:
            await self._reads.wait()
            return await super().receive()
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "http.response.body":
            await self._reads.wait()
            if not message["more_body"]:
                self._ended.set()


def test_whoever_reads_a_streamed_answer_slowly_holds_up_nobody() -> None:
    async def run() -> None:
        gate, reads = Gate(1, 0), asyncio.Event()
        streams = Streams(gate, most=4)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/stream":
                answer = Streamed[Any](streams, iter([b"[1", b"]"]), {}).to_asgi_response()
                await answer(scope, receive, send)
            else:
                await ok(send)

        gated = gate.around(app)
        slow = [Reader("/stream", key, reads) for key in ("one", "one", "other")]
        reading = [asyncio.create_task(each.ask(gated)) for each in slow]
        while not all(each.said for each in slow):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
        assert gate.at_work == 0
        quick = Caller("/quick")
        await quick.ask(gated)
        assert quick.status == 200
        with pytest.raises(TooBusy):
            await Reader("/stream", "one", reads).ask(gated)
        reads.set()
        await asyncio.gather(*reading)
        assert {(each.status, each.said) for each in slow} == {(200, b"[1]")}
        assert (gate.at_work, streams.shares.taken) == (0, 0)

    asyncio.run(run())
