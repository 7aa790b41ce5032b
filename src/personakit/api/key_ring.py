"""The API keys that a process believes, so that a request asks no database who it is."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

import psycopg

from personakit.agents.service import Service
from personakit.api.guesses import Guesses
from personakit.api.rates import Rates
from personakit.eventlog.access import CHANNEL, ApiKey, add_spent, is_secret, key_of, note_used

BEAT_SECONDS: Final = 0.25
BELIEVED_SECONDS: Final = 0.9
"""How long what is remembered holds after the last sign that revocations are heard of: one takes effect
within a second, even where the connection is dead and does not say so."""
USED_SECONDS: Final = 10.0
"""How often it is written down which keys were used."""
TELL_SECONDS: Final = 1.0
"""How often other processes are told what keys have spent here."""
LOOKUPS: Final = 4
_CONNECTING_SECONDS: Final = 5

logger = logging.getLogger(__name__)


class KeyRing:
    """Looks keys up and remembers those that it found, until it hears of a revocation or hears nothing.

    Without `listen` it works as well, and asks the database each time.
    """

    def __init__(self, service: Service, rates: Rates) -> None:
        self._service = service
        self._rates = rates
        self._guesses = Guesses()
        self._familiar: set[str] = set()
        self._lookups = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="keys")
        self._known: dict[str, ApiKey] = {}
        self._believed_until = 0.0
        self._used: dict[str, datetime] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def listen(self) -> None:
        """Begins to hear of revocations, from a thread and a connection of its own."""
        self._closing.clear()
        self._thread = threading.Thread(target=self._run, name="key-ring", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops hearing, within a beat, and writes down what was used."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self._lookups.shutdown()

    async def find(self, secret: str, host: str) -> ApiKey | None:
        """The key with this secret, expired or not; None for one that opens nothing. Raises TooManyGuesses
        for one that never opened anything here, from a host that tried too many of those."""
        key = self._known.get(secret) if time.monotonic() < self._believed_until else None
        return key or await self._admitted(secret, host)

    def used(self, key: ApiKey, now: datetime) -> None:
        """Notes that a key opened something."""
        self._used[key.prefix] = now

    async def _admitted(self, secret: str, host: str) -> ApiKey | None:
        """Looks up what may be: what is no key of ours by its very form costs nothing, and what has opened
        something before is nobody's guess."""
        if not is_secret(secret):
            return None
        if secret not in self._familiar:
            self._guesses.require_few(host)
        key = await self._look_up(secret)
        if key is None:
            self._familiar.discard(secret)
            self._guesses.wrong(host)
        else:
            self._familiar.add(secret)
        return key

    async def _look_up(self, secret: str) -> ApiKey | None:
        # What is heard of meanwhile may be that this very key is revoked, after it was read. Whenever it is
        # heard, another dictionary takes the place of this one.
        known = self._known
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._lookups, key_of, self._service.recorder, secret)
        if found is not None:
            known[secret] = found
        return found

    def _forget(self) -> None:
        self._known = {}

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except psycopg.Error as error:
                logger.warning("Nothing is heard of revoked keys; each is looked up: %s", error)
                self._closing.wait(random.uniform(0.2, 1.0))  # noqa: S311 - jitter, not a secret

    def _listen(self) -> None:
        with psycopg.connect(
            self._service.logins.writer, autocommit=True, connect_timeout=_CONNECTING_SECONDS
        ) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            self._forget()  # what was told before the LISTEN was missed
            written = told = time.monotonic()
            while not self._closing.is_set():
                # Whatever was told before this was sent has come when it is answered.
                asked = time.monotonic()
                connection.execute("SELECT 1")
                for _ in connection.notifies(timeout=0):
                    self._forget()
                self._believed_until = asked + BELIEVED_SECONDS
                for _ in connection.notifies(timeout=BEAT_SECONDS, stop_after=1):
                    self._forget()
                if asked - told > TELL_SECONDS:
                    self._tell_spent(connection)
                    told = asked
                if asked - written > USED_SECONDS:
                    self._write_used(connection)
                    written = asked
            self._write_used(connection)

    def _tell_spent(self, connection: psycopg.Connection[Any]) -> None:
        """What is spent here is told to the other processes, and what they spent taken out here."""
        spent = self._rates.untold()
        if spent:
            self._rates.told(spent, add_spent(connection, spent))

    def _write_used(self, connection: psycopg.Connection[Any]) -> None:
        used, self._used = self._used, {}
        try:
            if used:
                note_used(connection, used)
        except psycopg.Error:
            self._used = used | self._used
            raise
