"""Real `personakit` processes for tests: started, awaited, killed with SIGKILL, always ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from personakit_sdk.errors import PersonaKitError
from personakit_sdk.transport import Transport

COMMAND = [sys.executable, "-m", "personakit"]


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kill_postmaster(data_dir: Path) -> None:
    """SIGKILL to the server process of the PostgreSQL below a data directory."""
    (pid_file,) = data_dir.rglob("postmaster.pid")
    os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)


class Installation:
    """One data directory and port, and the processes that run on them."""

    def __init__(self, data_dir: Path, **environ: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        own = {"PERSONAKIT_DATA_DIR": str(data_dir), "PERSONAKIT_PORT": str(self.port)}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PERSONAKIT_")}
        pg_bin = (
            {"PERSONAKIT_PG_BIN": os.environ["PERSONAKIT_PG_BIN"]}
            if "PERSONAKIT_PG_BIN" in os.environ
            else {}
        )
        self.environ = {**clean, **pg_bin, **own, **environ}
        self.up: subprocess.Popen[bytes] | None = None
        self.log: Path | None = None
        """Where a service that is started from now on writes its log, for who wants to read it."""

    def start(self, command: Sequence[str] = (*COMMAND, "up")) -> Transport:
        """`personakit up`, or another command that serves; returns a transport when it is ready."""
        # Not below the data directory: a closed one with a file in it is not made PostgreSQL's.
        with tempfile.TemporaryFile("w+") if self.log is None else self.log.open("w+") as log:
            self.up = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log)
            return self._when_ready(log)

    def _when_ready(self, log: IO[str]) -> Transport:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.up and self.up.poll() is None:
            with suppress(PersonaKitError, OSError):
                transport = self.transport()
                transport.request("GET", "/health/ready")
                return transport
            time.sleep(0.05)
        log.seek(0)
        raise AssertionError(f"the service did not start: {log.read()}")

    def transport(self, patience: float = 1.0) -> Transport:
        """A client of the service, with its first key."""
        key = (self.data_dir / "api-key").read_text().strip()
        return Transport(f"http://127.0.0.1:{self.port}", key, patience=patience)

    def kill(self) -> None:
        """SIGKILL to `personakit up`: it gets no chance to tidy up."""
        assert self.up is not None
        self.up.send_signal(signal.SIGKILL)
        self.up.wait()

    def kill_postmaster(self) -> None:
        """SIGKILL to the server process of PostgreSQL."""
        kill_postmaster(self.data_dir)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.up is not None
        self.up.terminate()
        return self.up.wait(timeout=30)

    def run(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """A `personakit` command, to its end."""
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def begin(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """A `personakit` command, to be killed under way."""
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def installation(data_dir: Path, **environ: str) -> Iterator[Installation]:
    """An installation whose processes end with the block, whatever happened in it."""
    made = Installation(data_dir, **environ)
    try:
        yield made
    finally:
        if made.up is not None and made.up.poll() is None:
            made.stop()
        elif list(data_dir.rglob("postmaster.pid")):
            # The service was killed and left PostgreSQL behind: the next one owns it, and stops it.
            made.start()
            made.stop()


def git(repository: Path, *arguments: str, when: str | None = None) -> str:
    """A git command in a repository, untouched by the machine's own settings."""
    dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when} if when else {}
    identity: dict[str, str] = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }
    command: Sequence[str] = ["git", "-C", str(repository), *arguments]
    done = subprocess.run(
        command, env={**os.environ, **identity, **dates}, capture_output=True, text=True, check=True
    )
    return done.stdout
