"""Requests that wait until a position is reached (`PersonaKit-Min-Position`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from personakit.api.gate import Gate
from personakit.api.problems import TooManyWaiting
from personakit.api.shares import Shares
from personakit.projections.read import NotThereYet

MOST_WAITING: Final = 500
MIN_POSITION_SECONDS: Final = 5.0
LOOKERS: Final = 4
LOOK_SECONDS, LOOK_SELDOM_SECONDS = 0.005, 0.05
"""How soon a waiter looks again: soon at first, then more and more seldom."""


class PositionWaits:
    """All that wait in this process, `most` at a time. Whoever waits holds no thread, only looks now and
    then: from threads of their own, so that however many wait, others are served."""

    def __init__(self, gate: Gate, most: int = MOST_WAITING) -> None:
        self._gate = gate
        self._lookers = ThreadPoolExecutor(LOOKERS, thread_name_prefix="looker")
        self.shares = Shares(most)

    async def until_reached(self, key: str, look: Callable[[], None]) -> None:
        """Looks until `look` raises no NotThereYet any more. Raises it after MIN_POSITION_SECONDS,
        TooManyWaiting at once, and TooBusy."""
        full = TooManyWaiting("As many requests wait for positions already as may; ask again later.")
        with self.shares.one(key, full):
            async with self._gate.aside():
                await self._looked(look)

    def close(self) -> None:
        """Nobody looks any more."""
        self._lookers.shutdown()

    async def _looked(self, look: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + MIN_POSITION_SECONDS
        pause = LOOK_SECONDS
        while True:
            try:
                return await loop.run_in_executor(self._lookers, look)
            except NotThereYet:
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LOOK_SELDOM_SECONDS)
