"""The store file: one SQLite database, safe between threads, processes and forks, and never lost silently.

Every change is one `writing()` block: it is on the disk when the block ends, or nothing of it is.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from personakit_sdk import forking
from personakit_sdk.erasing import SCRUB
from personakit_sdk.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
)
from personakit_sdk.file_lock import FileLock
from personakit_sdk.sealing import Plain, Sealer
from personakit_sdk.store_file import (
    CORRUPT,
    Corrupt,
    code_of,
    is_corrupt,
    note,
    open_file,
    put_aside,
    write_note,
)

BUSY_SECONDS: Final = 10.0
T = TypeVar("T")


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

    def scrub(self) -> None:
        """Rewrites the file where something was erased from it, so that no page of it, nor of a journal,
        has it still. Where others are in the way, or the disk is full, the next call does."""
        if self.peek(SCRUB) is None:
            return
        with self._lock, self._translated():
            connection = (self._connection if self._is_the_same_file() else None) or self._open()
            with suppress(sqlite3.OperationalError):
                self._patiently(lambda: connection.execute("VACUUM"))
                busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    connection.execute("DELETE FROM notes WHERE name = ?", (SCRUB,))

    note = staticmethod(note)
    write_note = staticmethod(write_note)

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
        if isinstance(error, sqlite3.Error) and is_corrupt(error):
            self._close()  # so that it is looked at anew, and set aside

    def _begun(self, begin: str) -> sqlite3.Connection:
        """A connection in a transaction; where the file has become unreadable, of a new one."""
        try:
            connection = self._connection if self._is_the_same_file() else None
            connection = connection or self._open()
            self._enter(connection, begin)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
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
                if code_of(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
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
                connection = open_file(self.path, self.sealer, self._busy_seconds)
            except Corrupt:
                self._set_aside()
                connection = open_file(self.path, self.sealer, self._busy_seconds)
        found = self.path.stat()
        self._connection, self._file = connection, (found.st_dev, found.st_ino)
        return connection

    def _set_aside(self) -> None:
        aside = put_aside(self.path)
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
            if not self.path.parent.is_dir():
                raise StoreError(
                    f"The store {self.path} cannot be opened: its folder is not there."
                ) from error
            raise StoreError(f"The store {self.path} cannot be opened: {error}.") from error

    def _sentence(self, error: sqlite3.Error) -> StoreError:
        match code_of(error):
            case sqlite3.SQLITE_FULL:
                return StoreFull(f"There is no room for {self.path} on its disk; nothing was taken.")
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return StoreBusy(f"{self.path} was locked for {self._busy_seconds:g} s; nothing was taken.")
            case code if code in CORRUPT:
                return StoreDamaged(f"{self.path} is damaged; the next call sets it aside and begins anew.")
            case _:
                return StoreError(f"The store {self.path} could not be used: {error}.")
