"""The embedded PostgreSQL as a context manager: whoever started it stops it, others attach."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

import psycopg
from psycopg.conninfo import make_conninfo

from personakit.embedded.account import Account, account_for
from personakit.embedded.binaries import find_binaries, runnable_binaries
from personakit.embedded.cluster import SUPERUSER, major_version, make_cluster, server_command
from personakit.embedded.directories import (
    PORT,
    Directories,
    check_private_dir,
    make_data_dir,
    make_private_dir,
    open_private_file,
)
from personakit.embedded.errors import PostgresUnavailable
from personakit.embedded.postmaster import (
    START_PATIENCE,
    Postmaster,
    running_postmaster,
    start_postmaster,
    state,
)

DATABASE: Final = "personakit"
_NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})


class EmbeddedPostgres:
    """The PostgreSQL of one data directory, reached through a Unix socket only.

    The first process to start it holds a lock and is the owner; it stops the server. Others attach. When
    the owner was killed the server lives on, and the next process to start it becomes its owner.

    `bin_dir` is where `initdb` and `postgres` are (None: look for them). `durable=False` trades the
    promise to survive a crash of the machine for speed: for tests. `settings` go to the server.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        durable: bool = True,
        settings: Mapping[str, str] = _NO_SETTINGS,
    ) -> None:
        self._where = Directories(data_dir.expanduser().resolve())
        self._bin_dir = bin_dir
        self._durable = durable
        self._settings = settings
        self._lock: int | None = None
        self._postmaster: Postmaster | None = None

    @property
    def owned(self) -> bool:
        """Whether this object will stop the server."""
        return self._lock is not None

    @property
    def conninfo(self) -> str:
        """How libpq reaches the database `personakit`, as key=value pairs."""
        return make_conninfo(host=str(self._where.socket_dir), port=PORT, dbname=DATABASE, user=SUPERUSER)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return when the database answers: started, taken over or attached to. May be called again, and
        stops no server then that it served before, for only a connection may have been cut.

        Raises PostgresUnavailable with what to change, and psycopg.OperationalError.
        """
        served = self._postmaster is not None
        account = account_for(self._where.cluster)
        make_data_dir(self._where.data_dir, account)
        try:
            if self._take_lock() or not self._attach(account):
                self._serve(account)
            _create_database(self.conninfo)
        except BaseException:
            if not served:
                self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and wait for its end, if it is ours; else do nothing."""
        if self._lock is None:
            return
        try:
            if self._postmaster is not None:
                self._postmaster.stop()
                self._postmaster = None
                if self._where.socket_dir.parent != self._where.data_dir:
                    shutil.rmtree(self._where.socket_dir, ignore_errors=True)
        finally:
            os.close(self._lock)  # last: another process may start a server from here on
            self._lock = None

    def _attach(self, account: Account) -> bool:
        """Wait for the owner's server: true when it answers, false when its lock fell to us meanwhile."""
        give_up = time.monotonic() + START_PATIENCE
        while True:
            check_private_dir(self._where.socket_dir, account)
            seen = state(self._where)
            if seen == "ready":
                return True
            if self._take_lock():
                return False
            if seen == "absent" and time.monotonic() > give_up:
                raise PostgresUnavailable(
                    f"Another process holds {self._where.lock}, but its PostgreSQL has not answered for "
                    f"{START_PATIENCE:g} s; stop that process, or see {self._where.log}."
                )
            time.sleep(0.05)

    def _serve(self, account: Account) -> None:
        """Start the server or take over a running one; we hold the lock."""
        if self._postmaster is not None and self._postmaster.ready():
            return
        where = self._where
        make_private_dir(where.socket_dir, account)
        self._postmaster = running_postmaster(where) or self._launch(account)

    def _launch(self, account: Account) -> Postmaster:
        """Find the programs, make the cluster if there is none, start the server."""
        where = self._where
        found = find_binaries(self._bin_dir, major=major_version(where.cluster))
        binaries = runnable_binaries(found, account, where.data_dir)
        if major_version(where.cluster) is None:
            make_cluster(where, binaries, account, durable=self._durable)
        command = server_command(where, binaries, durable=self._durable, settings=self._settings)
        return start_postmaster(where, command, account)

    def _take_lock(self) -> bool:
        """Whether the lock is ours now. The system frees it with the process, however that ends."""
        if self._lock is not None:
            return True
        lock = open_private_file(self._where.lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True


def _create_database(conninfo: str) -> None:
    """Make the database if it is missing; two processes may try at once, so one that is there is fine."""
    with psycopg.connect(make_conninfo(conninfo, dbname="postgres"), autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if found.rowcount == 0:
            with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(f"CREATE DATABASE {DATABASE}")
