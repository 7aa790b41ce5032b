"""Starts and stops the server process. Whether one lives is asked by connecting, never by its pid.

A pid says little: after a kill -9, or in a container that was started again, the one in `postmaster.pid`
may belong to anything. It is used for one thing, to signal a server that was just seen listening.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psycopg

from personakit.embedded.account import Account
from personakit.embedded.cluster import SUPERUSER, last_lines
from personakit.embedded.directories import PORT, Directories, open_private_file
from personakit.embedded.errors import PostgresUnavailable

START_PATIENCE = 30.0
"""Seconds in which a start is tried again: after a kill -9 the first tries fail."""
_RECOVERY_PATIENCE = 600.0
"""Seconds that a server which lives may take to replay its log after a crash."""
_STALE_AFTER = 2.0
"""Seconds after which a lock file that nobody listens behind is taken for a left-over."""
_STOPPING = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0))
"""Fast shutdown, then the immediate one; committed rows outlive both."""
_TICK = 0.03
_LOG_LIMIT = 10_000_000
_LOCK_FILE = 'lock file "'
_PASSING = (_LOCK_FILE, "shared memory block")
"""What a start is refused with while remains of a killed server are still about."""


class Postmaster:
    """A running server; `child` is its process where we started it, None where we took it over."""

    def __init__(self, where: Directories, child: subprocess.Popen[bytes] | None) -> None:
        self._where = where
        self._child = child

    def ready(self) -> bool:
        """Wait for it to answer; false when it has ended instead."""
        return _becomes_ready(self._where, self._child)

    def gone(self) -> bool:
        """Whether it has ended; a child of ours is reaped by asking."""
        if self._child is not None:
            return self._child.poll() is not None
        return state(self._where) == "absent"

    def stop(self) -> None:
        """End it and wait for that. Raises PostgresUnavailable when it will not end."""
        for number, patience in _STOPPING:
            if not self.gone():
                with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                    os.kill(self._pid(), number)
            give_up = time.monotonic() + patience
            while time.monotonic() < give_up:
                if self.gone():
                    return
                time.sleep(_TICK)
        raise PostgresUnavailable(
            f"PostgreSQL in {self._where.data_dir} does not stop; see {self._where.log}."
        )

    def _pid(self) -> int:
        return self._child.pid if self._child is not None else _recorded_pid(self._where)


def state(where: Directories) -> Literal["ready", "busy", "absent"]:
    """`busy` is a server that listens and does not let us in yet: it is starting, recovering or stopping."""
    try:
        with psycopg.connect(
            host=str(where.socket_dir), port=PORT, user=SUPERUSER, dbname="postgres", connect_timeout=5
        ):
            return "ready"
    except psycopg.OperationalError:
        return "busy" if _listens(where) else "absent"


def running_postmaster(where: Directories) -> Postmaster | None:
    """The server that a killed owner left running, once it answers; None where there is none."""
    return Postmaster(where, None) if _becomes_ready(where, None) else None


def start_postmaster(where: Directories, command: Sequence[str | Path], account: Account) -> Postmaster:
    """Start the server, or take over one that turns up meanwhile; the caller holds the lock.

    Raises PostgresUnavailable with the last lines of its log: at once when it refuses for a lasting reason
    (a wrong setting), after 30 s when what a killed server left behind does not go away.
    """
    began = time.monotonic()
    while True:
        started, said = _try(where, command, account)
        if started := started or running_postmaster(where):
            return started
        waited = time.monotonic() - began
        if waited > START_PATIENCE or not any(words in said for words in _PASSING):
            raise PostgresUnavailable(
                f"PostgreSQL did not start in {where.data_dir}: {last_lines(said)}. "
                f"The whole log is {where.log}."
            )
        if waited > _STALE_AFTER and _LOCK_FILE in said:
            _forget_lock_files(where)
        time.sleep(_TICK)


def _try(
    where: Directories, command: Sequence[str | Path], account: Account
) -> tuple[Postmaster | None, str]:
    """One attempt: the server if it is up and ours, and what it wrote to the log."""
    if where.log.exists() and where.log.stat().st_size > _LOG_LIMIT:
        where.log.rename(where.log.with_suffix(".log.1"))
    with os.fdopen(open_private_file(where.log), "a+b") as log:
        before = log.seek(0, os.SEEK_END)
        child = account.launch(command, log)
        try:
            if _becomes_ready(where, child) and _recorded_pid(where) == child.pid:
                return Postmaster(where, child), ""
        except BaseException:  # an interrupted start leaves no server behind
            child.send_signal(signal.SIGINT)
            child.wait()
            raise
        child.wait()  # refused, or another one was there first
        log.seek(before)
        return None, log.read().decode(errors="replace")


def _becomes_ready(where: Directories, child: subprocess.Popen[bytes] | None) -> bool:
    """Wait as long as there is a server to wait for. Raises PostgresUnavailable when it takes too long."""
    give_up = time.monotonic() + _RECOVERY_PATIENCE
    while time.monotonic() < give_up:
        ended = child is None or child.poll() is not None
        seen = state(where)
        if seen == "ready":
            return True
        if seen == "absent" and ended:
            return False
        time.sleep(_TICK)
    raise PostgresUnavailable(
        f"PostgreSQL in {where.data_dir} runs and has let nobody in for {_RECOVERY_PATIENCE:g} s; "
        f"see {where.log}."
    )


def _listens(where: Directories) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(where.socket_dir / f".s.PGSQL.{PORT}"))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True


def _recorded_pid(where: Directories) -> int:
    return int((where.cluster / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])


def _forget_lock_files(where: Directories) -> None:
    """Remove what names a pid of a past life; safe while we hold our own lock and nobody listens.

    PostgreSQL still refuses to start while a process of the old server is attached to its shared memory:
    it finds that by the cluster's inode, without `postmaster.pid`.
    """
    stale = where.socket_dir / f".s.PGSQL.{PORT}"
    for path in (where.cluster / "postmaster.pid", stale, stale.with_name(f"{stale.name}.lock")):
        path.unlink(missing_ok=True)
