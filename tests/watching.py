"""Somebody who reads a projection on and on while something is done to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import groupby
from types import TracebackType
from typing import Any, Self

from personakit.projections.read import Reader, Snapshot

Look = Callable[[Snapshot], Any]


class Watch:
    """Takes a snapshot after another, from a thread of its own, for as long as the block lasts. An error
    that a look meets is raised at the end of the block."""

    def __init__(self, reader: Reader, look: Look) -> None:
        self._reader = reader
        self._look = look
        self._ending = threading.Event()
        self._begun = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run)
        self.positions: list[int] = []
        self.seen: list[Any] = []

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._begun.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    @property
    def phases(self) -> list[Any]:
        """What was seen, each as long as it was seen without a change."""
        return [each for each, _ in groupby(self.seen)]

    def _run(self) -> None:
        last = False
        try:
            while not last:
                last = self._ending.is_set()
                with self._reader.snapshot_of_all() as snapshot:
                    self.seen.append(self._look(snapshot))
                    self.positions.append(snapshot.position)
                self._begun.set()
        except Exception as error:  # noqa: BLE001 - raised where the block ends
            self._error = error
