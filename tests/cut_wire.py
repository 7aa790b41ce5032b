"""A wire to PostgreSQL that is cut at a chosen moment: with a request on its way, or with its answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.postgres import data_dir

Moment = Literal["request", "answer"]


class Wire:
    """Passes on what comes, either way, over a socket of its own."""

    def __init__(self, folder: Path, conninfo: str) -> None:
        parts = conninfo_to_dict(conninfo)
        self._there = f"{parts['host']}/.s.PGSQL.{parts.get('port') or 5432}"
        self.conninfo = make_conninfo(conninfo, host=str(folder), port=5432)
        self._cut_next: Moment | None = None
        self.cuts = 0
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / ".s.PGSQL.5432"))
        self._listening.listen()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self, moment: Moment) -> None:
        """The next request goes no further, or the next answer: that one is sent after the commit."""
        self._cut_next = moment

    def close(self) -> None:
        """Cuts all there is, and takes no more connections."""
        for end in (self._listening, *self._ends):
            _end(end)
        for thread in self._threads:
            thread.join()
        for end in (self._listening, *self._ends):
            end.close()

    def _start(self, target: Callable[..., None], *values: object) -> None:
        thread = threading.Thread(target=target, args=values, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                there = socket.socket(socket.AF_UNIX)
                self._ends += [here, there]
                there.connect(self._there)
                self._start(self._pass_on, here, there, "request")
                self._start(self._pass_on, there, here, "answer")

    def _pass_on(self, source: socket.socket, target: socket.socket, moment: Moment) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._cut_next == moment:
                    self._cut_next = None
                    self.cuts += 1
                    break
                target.sendall(data)
        for end in (source, target):
            _end(end)


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire_to(conninfo: str) -> Iterator[Wire]:
    """A wire to the database at `conninfo`, for as long as the block lasts."""
    with data_dir() as folder:
        wire = Wire(folder, conninfo)
        try:
            yield wire
        finally:
            wire.close()
