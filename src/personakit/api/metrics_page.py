"""`GET /metrics`: open to all, and asks the database about all tenants; so it is made once for all."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from litestar import Response, get
from litestar.datastructures import State
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from personakit.api.gate import Gate
from personakit.api.metrics import Metrics

PAGE_SECONDS: Final = 1.0
"""Whoever asks within this after somebody gets what they got."""


class MetricsPage:
    """Made by one thread. Whoever waits for it keeps no place from others."""

    def __init__(self, metrics: Metrics, gate: Gate) -> None:
        self._metrics = metrics
        self._gate = gate
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._making: Future[bytes] | None = None
        self._old_at = 0.0

    async def get(self) -> bytes:
        """The page, of PAGE_SECONDS ago at most. Raises what went wrong while it was made."""
        making = self._making
        if making is None or (making.done() and time.monotonic() >= self._old_at):
            self._old_at = time.monotonic() + PAGE_SECONDS
            self._making = making = self._thread.submit(self._metrics.page)
        if making.done():
            return making.result()
        async with self._gate.aside():
            return await asyncio.shield(asyncio.wrap_future(making))

    def close(self) -> None:
        """Nobody asks any more."""
        self._thread.shutdown()


@get("/metrics", include_in_schema=False)
async def metrics(state: State) -> Response[bytes]:
    """For Prometheus; see `docs/how-to/run-in-production.md`."""
    page: bytes = await state.metrics_page.get()
    return Response(page, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": "no-store"})
