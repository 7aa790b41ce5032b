"""The file of a store: opened, checked, brought to the newest tables, and set aside when it is damaged."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from personakit_sdk import schema
from personakit_sdk.errors import StoreError, StoreForeign, StoreTooNew
from personakit_sdk.sealing import Sealer

_WAL_FIXED: Final = {(3, 44): 6, (3, 50): 7}
"""Lines of SQLite that got the fix of the WAL reset, and in which of their releases."""
_WAL_FIXED_SINCE: Final = (3, 51, 3)
CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SUFFIXES: Final = ("", "-journal", "-wal", "-shm")
_ASIDE: Final = ".corrupt-"
_SEALED_WITH: Final = "sealed with"


class Corrupt(Exception):
    """What is in the file is no readable store."""


def journal_mode(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """`WAL` where this SQLite resets it safely, else `TRUNCATE`.

    Before the fix, a checkpoint that raced with a write could lose a committed transaction: SQLite's
    "Write-Ahead Logging", on the WAL-reset bug.
    """
    fixed = version >= _WAL_FIXED_SINCE or version[2] >= _WAL_FIXED.get(version[:2], 1_000_000)
    return "WAL" if fixed else "TRUNCATE"


def open_file(path: Path, sealer: Sealer, busy_seconds: float) -> sqlite3.Connection:
    """A connection to the store at `path`, which is made if it is not there. Raises Corrupt, StoreTooNew,
    StoreForeign, StoreKeyWrong, StoreError, or what SQLite and the system say."""
    # What is in it is about people: nobody else of the machine reads it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path, sealer)
    except sqlite3.DatabaseError as error:
        connection.close()
        if is_corrupt(error):
            raise Corrupt from error
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def put_aside(path: Path) -> Path:
    """Renames the file with its journals, which belong to it: nothing is ever erased. Where it is now."""
    aside = path.with_name(f"{path.name}{_ASIDE}{uuid4().hex[:12]}")
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside


def found_aside(path: Path) -> list[Path]:
    """What was set aside of the store at `path`, and lies there still; not the journals of it."""
    prefix = f"{path.name}{_ASIDE}"
    beside = (each for each in path.parent.iterdir() if each.name.startswith(prefix))
    return sorted(each for each in beside if "-" not in each.name.removeprefix(prefix))


def note(connection: sqlite3.Connection, name: str) -> Any:
    """A single value; None where it was never written."""
    row = connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
    return None if row is None else row[0]


def write_note(connection: sqlite3.Connection, name: str, value: object) -> None:
    """Writes a single value; None takes it away."""
    if value is None:
        connection.execute("DELETE FROM notes WHERE name = ?", (name,))
    else:
        connection.execute(
            "INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code; -1 where there is none."""
    return getattr(error, "sqlite_errorcode", -1) & 0xFF


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether it says that the file is no readable database."""
    return code_of(error) in CORRUPT


def _prepare(connection: sqlite3.Connection, path: Path, sealer: Sealer) -> None:
    version, application = _identity(connection)
    _refuse_others(path, connection, version, application)
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise Corrupt
    connection.execute(f"PRAGMA journal_mode = {journal_mode()}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")  # what is erased is not left in free pages
    if version < len(schema.MIGRATIONS):
        _migrate(connection)
    _check_key(connection, path, sealer)
    connection.execute("PRAGMA busy_timeout = 0")  # from here on, the store itself waits


def _refuse_others(path: Path, connection: sqlite3.Connection, version: int, application: int) -> None:
    if application == schema.APPLICATION_ID:
        if version > len(schema.MIGRATIONS):
            raise StoreTooNew(
                f"{path} has version {version} of the store, and this SDK knows versions up to "
                f"{len(schema.MIGRATIONS)}. Use the newer SDK, or another file."
            )
    elif application or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise StoreForeign(f"{path} is a database, but not a PersonaKit store; name another file.")


def _check_key(connection: sqlite3.Connection, path: Path, sealer: Sealer) -> None:
    """A store is sealed with one key from its first hour on, or not at all."""
    known = note(connection, _SEALED_WITH)
    if known is None:
        stored = sealer.seal(b"sealed" if sealer.sealed else b"plain", _SEALED_WITH)
        write_note(connection, _SEALED_WITH, stored)
    elif not sealer.sealed and known != b"plain":
        raise StoreError(f"The bodies in {path} are encrypted; give the key that they were encrypted with.")
    elif sealer.sealed and known == b"plain":
        raise StoreError(f"The bodies in {path} are not encrypted; open it without a key.")
    else:
        sealer.unseal(known, _SEALED_WITH)


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
