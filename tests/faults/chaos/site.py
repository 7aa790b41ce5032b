"""The production under test: its processes by name, and a process manager that starts again what ended."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from personakit_sdk.transport import Transport
from tests.faults.chaos.ledger import Ledger
from tests.postgres import data_dir, url_of
from tests.production import PostgresServer, Process, Production, production

READY_SECONDS = 60.0
REQUEST_SECONDS = 15.0
TICK = 0.1


class Victim(Protocol):
    """What can be killed and started again."""

    def kill(self) -> None:
        """SIGKILL."""

    def restart(self) -> None:
        """Starts it again."""


class Site:
    """Two API processes, one of them in two, and two workers over one PostgreSQL and one Redis."""

    def __init__(self, postgres: PostgresServer, made: Production, ledger: Ledger) -> None:
        self.postgres = postgres
        self.production = made
        self._ledger = ledger
        self.key = made.first_key()
        made.start(apis=(1, 2), workers=2)
        self.processes: dict[str, Process] = {
            f"{kind} {number}": process
            for kind, those in (("api", made.apis), ("worker", made.workers))
            for number, process in enumerate(those, 1)
        }
        self._victims: dict[str, Victim] = {**self.processes, "redis": made.redis, "postgres": postgres}
        self._down: set[str] = set()
        self._ready = set(self.processes)

    def transports(self) -> list[Transport]:
        """A client of each API process."""
        return [api.transport(self.key, timeout=REQUEST_SECONDS) for api in self.production.apis]

    def kill(self, victims: Sequence[str]) -> None:
        """SIGKILL to all of them, one right after another."""
        for name in victims:
            self._victims[name].kill()
            self._ledger.count(f"killed {name}")
            self._ready.discard(name)
            self._down.add(name)

    def restart(self, victims: Sequence[str]) -> None:
        """Starts them again, in this order."""
        for name in victims:
            self._victims[name].restart()
            self._down.discard(name)

    def flush(self) -> None:
        """FLUSHALL."""
        self.production.redis.flush()
        self._ledger.count("flushed redis")

    def tend(self, seconds: float) -> None:
        """For so long, starts again what ended by itself. While it starts it may: when the database is
        away it says so and ends. Once it was ready it may not."""
        until = time.monotonic() + seconds
        while True:
            for name in self.processes.keys() - self._down:
                self._tend_to(name)
            if time.monotonic() >= until:
                return
            time.sleep(min(TICK, max(0.0, until - time.monotonic())))

    def until_ready(self, names: Sequence[str]) -> None:
        """Returns when those of them that are processes of ours are ready, or it is a finding."""
        deadline = time.monotonic() + READY_SECONDS
        while waiting := (set(names) & self.processes.keys()) - self._ready:
            if time.monotonic() > deadline:
                for name in waiting:
                    self._ledger.finding(f"{name} was not ready within {READY_SECONDS:.0f} s")
                return
            self.tend(TICK)

    def stop(self) -> None:
        """SIGTERM to all of ours: each ends with exit code 0, or it is a finding."""
        for name, process in self.processes.items():
            if (code := process.stop()) != 0:
                self._ledger.finding(f"{name} ended with exit code {code} on SIGTERM")

    def _tend_to(self, name: str) -> None:
        process = self.processes[name]
        code = process.popen.poll()
        if code is None:
            if name not in self._ready and process.ready():
                self._ready.add(name)
            return
        if name in self._ready:
            self._ready.discard(name)
            self._ledger.finding(f"{name} ended by itself with exit code {code}: {_last_line(process)}")
        self._ledger.count("ended while they started")
        process.kill()
        process.restart()


def _last_line(process: Process) -> str:
    return (process.last_words.strip().splitlines() or ["it said nothing"])[-1]


@contextmanager
def site(ledger: Ledger) -> Iterator[Site]:
    """A site whose processes end with the block: at once where something went wrong in it."""
    with (
        data_dir() as folder,
        PostgresServer(folder) as postgres,
        production(url_of(postgres.conninfo)) as made,
    ):
        try:
            yield Site(postgres, made, ledger)
        except BaseException:
            for process in (*made.apis, *made.workers):
                process.kill()
            raise
