"""Answers that are made while they are sent. Whoever reads one slowly keeps no place from others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, TypeVar, cast

from litestar import Response
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Scope, Send

from personakit.api.gate import Gate
from personakit.api.problems import TooBusy
from personakit.api.shares import Shares, key_of

T = TypeVar("T")
MOST_STREAMED: Final = 32
"""Each takes a thread for each of its pieces, and keeps one piece until it has been read."""

logger = logging.getLogger(__name__)


class Streams:
    """All answers that are streamed in this process."""

    def __init__(self, gate: Gate, most: int = MOST_STREAMED) -> None:
        self.gate = gate
        self.shares = Shares(most)


class Streamed(Response[T]):
    """An answer in JSON that is made while it is sent: a piece at a time, and none before the one before has
    left. What fails under way cuts the answer off. Raises TooBusy where too many are sent already."""

    def __init__(self, streams: Streams, pieces: Iterator[bytes], headers: dict[str, str]) -> None:
        super().__init__(cast("T", b""), headers=headers)
        self._streams = streams
        self._pieces = pieces

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIStreamingResponse:
        """The answer to be sent."""
        return _Streaming(
            self._streams,
            iterator=_paced(self._pieces),
            headers=self.headers,
            media_type="application/json",
        )


class _Streaming(ASGIStreamingResponse):
    def __init__(self, streams: Streams, **given: Any) -> None:
        super().__init__(**given)
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        full = TooBusy("As many answers are sent piece by piece as may be; come again later.")
        with self._streams.shares.one(key_of(scope), full), self._streams.gate.for_good(scope):
            await super().__call__(scope, receive, send)


async def _paced(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each piece made in a thread. (Litestar's own wrapper takes a ValueError for the end of the pieces, and
    would end an answer that failed as if it were whole.)"""
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece
    except Exception:
        logger.exception("An answer broke off while it was sent.")
        raise
