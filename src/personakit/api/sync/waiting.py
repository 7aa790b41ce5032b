"""Requests that wait until something changes for them. None holds a thread: what stirs is looked at once for
all, and only those look whom it concerns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any, Final, NamedTuple, TypeVar

import psycopg

from personakit.agents.service import Service
from personakit.api.problems import TooManyWaiting
from personakit.api.shares import Shares
from personakit.api.sync.pages import reached

T = TypeVar("T")
MOST_WAITING: Final = 500
LOOKERS: Final = 2
SETTLE_SECONDS: Final = 0.02
"""What stirs within this is looked at together."""
MOST_STIRRED: Final = 1000
"""If more changed at once, all look."""

logger = logging.getLogger(__name__)


class Waiter:
    """One request that waits. `personas` are the UUIDs that it asked for; None is all."""

    def __init__(self, tenant: str, personas: list[str] | None) -> None:
        self.tenant = tenant
        self._personas = None if personas is None else frozenset(personas)
        self._stirred = asyncio.Event()

    def concerns(self, stirred: Stirred) -> bool:
        """Whether what changed is for this one."""
        if stirred.tenant != self.tenant:
            return False
        return self._personas is None or stirred.kind != "persona" or stirred.entity in self._personas

    def look(self) -> None:
        """Something has changed, or may have."""
        self._stirred.set()

    def begin_look(self) -> None:
        """What stirs from here on is not missed."""
        self._stirred.clear()

    async def stirred(self, seconds: float) -> None:
        """Returns when there is something to look at since the last `begin_look`, or after `seconds`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stirred.wait(), seconds)


class Stirred(NamedTuple):
    """An entity that changed."""

    tenant: str
    kind: str
    entity: str


class Waiting:
    """All that wait in this process, on one event loop; `most` at a time."""

    def __init__(self, service: Service, most: int = MOST_WAITING) -> None:
        self._reader = service.reader
        self._shares = Shares(most)
        self._waiters: set[Waiter] = set()
        self._threads = ThreadPoolExecutor(LOOKERS, thread_name_prefix="sync-looker")
        self._moved = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seen: int | None = None
        service.freshness.on_moved(self._heard)

    @contextmanager
    def enter(self, tenant: str, key: str, personas: list[str] | None) -> Iterator[Waiter]:
        """One more that waits, by the key with this prefix. Raises TooManyWaiting."""
        full = TooManyWaiting(
            "As many requests wait for changes already as may; ask again later, or without `wait`."
        )
        with self._shares.one(key, full):
            waiter = Waiter(tenant, personas)
            self._waiters.add(waiter)
            self._watch()
            try:
                yield waiter
            finally:
                self._waiters.discard(waiter)

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._waiters)

    async def look(self, ask: Callable[[], T]) -> T:
        """What the database says, asked from a thread of those that are kept for this."""
        asking = copy_context().run  # whom it touches belongs to the request that asks
        return await asyncio.get_running_loop().run_in_executor(self._threads, asking, ask)

    def close(self) -> None:
        """Nobody waits any more."""
        if self._watching is not None:
            self._watching.cancel()
        self._threads.shutdown()

    def _heard(self) -> None:
        if self._loop is not None and self._waiters:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._moved.set)

    def _watch(self) -> None:
        if self._watching is None or self._watching.done():
            self._loop = asyncio.get_running_loop()
            self._seen = None
            self._watching = self._loop.create_task(self._tell_while_any_wait())

    async def _tell_while_any_wait(self) -> None:
        while self._waiters:
            await self._moved.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._moved.clear()
            try:
                stirred = await self.look(self._stirred)
            except psycopg.Error as error:
                logger.warning("What changed cannot be asked for; all who wait look: %s", error)
                stirred = None
            for waiter in list(self._waiters):
                if stirred is None or any(waiter.concerns(each) for each in stirred):
                    waiter.look()

    def _stirred(self) -> list[Stirred] | None:
        """What changed since this was asked last, for tenants of whom somebody waits; None for anything."""
        tenants = list({waiter.tenant for waiter in list(self._waiters)})
        seen = self._seen
        with self._reader.snapshot_of_all() as snapshot:
            self._seen = reached(snapshot)
            if seen is None:
                return None
            rows: list[dict[str, Any]] = snapshot.rows(
                "changes.stirred", tenants=tenants, after=seen, limit=MOST_STIRRED
            )
        return None if len(rows) >= MOST_STIRRED else [Stirred(**row) for row in rows]
