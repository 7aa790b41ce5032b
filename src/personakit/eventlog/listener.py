"""Hears of every append to the log, whichever process made it: PostgreSQL's LISTEN and NOTIFY."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

import psycopg
from psycopg.sql import SQL, Identifier

CHECK_SECONDS = 0.5
"""How long an idle listener waits before it looks whether it is to end."""

logger = logging.getLogger(__name__)


class Listener:
    """Calls `heard` after appends, from a thread of its own, and after each connect: something may have
    been appended while nobody listened."""

    def __init__(self, conninfo: str, channel: str, heard: Callable[[], None]) -> None:
        self._conninfo = conninfo
        self._channel = channel
        self._heard = heard
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns when the thread has ended."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except psycopg.Error as error:
                logger.warning("The log cannot be listened to, trying again: %s", error)
                self._closing.wait(random.uniform(0.05, 0.5))  # noqa: S311 - jitter, not a secret

    def _listen(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.execute(SQL("LISTEN {}").format(Identifier(self._channel)))
            self._heard()
            while not self._closing.is_set():
                for _ in connection.notifies(timeout=CHECK_SECONDS):
                    self._heard()
