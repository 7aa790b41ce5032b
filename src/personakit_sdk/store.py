"""The store file: one SQLite database, safe between threads, processes and forks, and never lost silently.

Every change is one `writing()` block: it is on the disk when the block ends, or nothing of it is.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

from personakit_sdk import forking, schema
from personakit_sdk.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreTooNew,
)
from personakit_sdk.file_lock import FileLock
from personakit_sdk.sealing import Plain, Sealer

BUSY_SECONDS: Final = 10.0
_WAL_FIXED: Final = {(3, 44): 6, (3, 50): 7}
"""Lines of SQLite that got the fix of the WAL reset, and in which of their releases."""
_WAL_FIXED_SINCE: Final = (3, 51, 3)
_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SUFFIXES: Final = ("", "-journal", "-wal", "-shm")
_SEALED_WITH: Final = "sealed with"
T = TypeVar("T")


class _Corrupt(Exception):
    """What is in the file is no readable store."""


def journal_mode(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """`WAL` where this SQLite resets it safely, else `TRUNCATE`.

    Before the fix, a checkpoint that raced with a write could lose a committed transaction: SQLite's
    "Write-Ahead Logging", on the WAL-reset bug.
    """
    fixed = version >= _WAL_FIXED_SINCE or version[2] >= _WAL_FIXED.get(version[:2], 1_000_000)
    return "WAL" if fixed else "TRUNCATE"


class Store:
    """The store at `path`. What was found corrupt stands in `set_aside`, and `on_set_aside` is told.

    Raises StoreTooNew, StoreForeign and StoreKeyWrong for a file that is not to be touched.
    """

    def __init__(
        self,
        path: Path,
        *,
        sealer: Sealer | None = None,
        busy_seconds: float = BUSY_SECONDS,
        on_set_aside: Callable[[Path], None] | None = None,
    ) -> None:
        self.path = path
        self.sealer: Sealer = sealer or Plain()
        self.set_aside: list[Path] = []
        self._busy_seconds = busy_seconds
        self._on_set_aside = on_set_aside
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._opening = FileLock(path.with_name(path.name + ".open-lock"))
        self._untold: list[Path] = []
        forking.watch(self)
        with self._lock:
            self._open()
        self._tell()

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction that is durable when the block ends, and undone when it raises.

        Raises StoreBusy, StoreFull, StoreDamaged or StoreError when the disk does not take it.
        """
        return self._transaction("BEGIN IMMEDIATE")

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """One consistent state of the file, for the block."""
        return self._transaction("BEGIN")

    def peek(self, name: str) -> Any:
        """A single value as it is now, at the price of one statement; None where it was never written."""
        with self._lock, self._translated():
            connection = (self._connection if self._is_the_same_file() else None) or self._open()
            try:
                return self._patiently(lambda: self.note(connection, name))
            except sqlite3.Error as error:
                self._give_up(connection, error)
                raise

    def note(self, connection: sqlite3.Connection, name: str) -> Any:
        """A single value; None where it was never written."""
        row = connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def write_note(self, connection: sqlite3.Connection, name: str, value: object) -> None:
        """Writes a single value; None takes it away."""
        if value is None:
            connection.execute("DELETE FROM notes WHERE name = ?", (name,))
        else:
            connection.execute(
                "INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value),
            )

    def close(self) -> None:
        """Closes the file; the next block opens it again."""
        with self._lock:
            self._close()

    def before_fork(self) -> None:
        """No connection crosses a fork: SQLite's locks and files cannot be shared with a child."""
        self._lock.acquire()
        self._close()

    def after_fork_in_parent(self) -> None:
        """Goes on; the connection is opened when it is needed."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begins anew, with a connection of its own."""
        self._lock = threading.RLock()

    @contextmanager
    def _transaction(self, begin: str) -> Generator[sqlite3.Connection]:
        try:
            with self._lock, self._translated():
                connection = self._begun(begin)
                try:
                    yield connection
                    self._patiently(lambda: connection.execute("COMMIT"))
                except BaseException as error:
                    self._give_up(connection, error)
                    raise
        finally:
            self._tell()

    def _give_up(self, connection: sqlite3.Connection, error: BaseException) -> None:
        with suppress(sqlite3.Error):  # some errors have rolled back already
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error) and _is_corrupt(error):
            self._close()  # so that it is looked at anew, and set aside

    def _begun(self, begin: str) -> sqlite3.Connection:
        """A connection in a transaction; where the file has become unreadable, of a new one."""
        try:
            connection = self._connection if self._is_the_same_file() else None
            connection = connection or self._open()
            self._enter(connection, begin)
        except sqlite3.DatabaseError as error:
            if not _is_corrupt(error):
                raise
            self._close()
            connection = self._open()
            self._enter(connection, begin)
        return connection

    def _enter(self, connection: sqlite3.Connection, begin: str) -> None:
        """Begins a transaction, and reads the file at once, so that what is wrong with it is found before
        anything is promised."""
        self._patiently(lambda: connection.execute(begin))
        self._patiently(lambda: connection.execute("SELECT 1 FROM notes LIMIT 1"))

    def _patiently(self, step: Callable[[], T]) -> T:
        """Does what others who use the file may be in the way of. SQLite asks for a lock ever less often, and
        who writes all the time could keep others out for ever; so it is asked for often, and at moments of
        chance."""
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                return step()
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(0.0005, 0.003))  # noqa: S311 - no secret

    def _is_the_same_file(self) -> bool:
        """Another process may have set the file aside and begun a new one."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._file

    def _open(self) -> sqlite3.Connection:
        self._close()
        with self._translated(), self._opening.within(self._busy_seconds) as alone:
            if not alone:
                raise StoreBusy(f"Other processes are opening {self.path} for too long.")
            try:
                connection = self._connect()
            except _Corrupt:
                self._put_aside()
                connection = self._connect()
        found = self.path.stat()
        self._connection, self._file = connection, (found.st_dev, found.st_ino)
        return connection

    def _connect(self) -> sqlite3.Connection:
        # What is in it is about people: nobody else of the machine reads it.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            if _is_corrupt(error):
                raise _Corrupt from error
            raise
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version, application = _identity(connection)
        self._refuse_others(connection, version, application)
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise _Corrupt
        connection.execute(f"PRAGMA journal_mode = {journal_mode()}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # what is erased is not left in free pages
        if version < len(schema.MIGRATIONS):
            _migrate(connection)
        self._check_key(connection)
        connection.execute("PRAGMA busy_timeout = 0")  # from here on, _patiently waits

    def _refuse_others(self, connection: sqlite3.Connection, version: int, application: int) -> None:
        if application == schema.APPLICATION_ID:
            if version > len(schema.MIGRATIONS):
                raise StoreTooNew(
                    f"{self.path} has version {version} of the store, and this SDK knows versions up to "
                    f"{len(schema.MIGRATIONS)}. Use the newer SDK, or another file."
                )
        elif application or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise StoreForeign(f"{self.path} is a database, but not a PersonaKit store; name another file.")

    def _check_key(self, connection: sqlite3.Connection) -> None:
        """A store is sealed with one key from its first hour on, or not at all."""
        known = self.note(connection, _SEALED_WITH)
        if known is None:
            stored = self.sealer.seal(b"sealed" if self.sealer.sealed else b"plain", _SEALED_WITH)
            self.write_note(connection, _SEALED_WITH, stored)
        elif not self.sealer.sealed and known != b"plain":
            raise StoreError(f"The bodies in {self.path} are encrypted; give the key that they were with.")
        elif self.sealer.sealed and known == b"plain":
            raise StoreError(f"The bodies in {self.path} are not encrypted; open it without a key.")
        else:
            self.sealer.unseal(known, _SEALED_WITH)

    def _put_aside(self) -> None:
        """Renames the file with its journals, which belong to it: nothing is ever erased."""
        aside = self.path.with_name(f"{self.path.name}.corrupt-{uuid4().hex[:12]}")
        for suffix in _SUFFIXES:
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        self.set_aside.append(aside)
        self._untold.append(aside)

    def _tell(self) -> None:
        """Outside of the lock, for whoever is told may use the store."""
        while self._untold and self._on_set_aside is not None:
            self._on_set_aside(self._untold.pop(0))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = self._file = None

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise self._sentence(error) from error
        except OSError as error:
            raise StoreError(f"The store {self.path} cannot be opened: {error}.") from error

    def _sentence(self, error: sqlite3.Error) -> StoreError:
        match _code(error):
            case sqlite3.SQLITE_FULL:
                return StoreFull(f"There is no room for {self.path} on its disk; nothing was taken.")
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return StoreBusy(f"{self.path} was locked for {self._busy_seconds:g} s; nothing was taken.")
            case code if code in _CORRUPT:
                return StoreDamaged(f"{self.path} is damaged; the next call sets it aside and begins anew.")
            case _:
                return StoreError(f"The store {self.path} could not be used: {error}.")


def _identity(connection: sqlite3.Connection) -> tuple[int, int]:
    """The version of the tables, and which program's they are."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    return version, application


def _migrate(connection: sqlite3.Connection) -> None:
    """Brings the tables to the newest version in one transaction: all of it, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version, _ = _identity(connection)
        for statement in (each for step in schema.MIGRATIONS[version:] for each in step):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS)}")
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; -1 where there is none."""
    return getattr(error, "sqlite_errorcode", -1) & 0xFF


def _is_corrupt(error: sqlite3.Error) -> bool:
    return _code(error) in _CORRUPT
