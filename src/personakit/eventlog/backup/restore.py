"""Restoring a backup into an empty database: all of it, or nothing that anybody could take for it.

From the first to the last step the database says that it is not whole, and no service opens it: the tables
are filled in one transaction, then everybody is erased who stands in the journals, then it is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg import Connection, sql
from psycopg.rows import DictRow, dict_row

from personakit.eventlog.backup.check import Folder
from personakit.eventlog.backup.manifest import BackupRefused, Part
from personakit.eventlog.backup.parts import Report, read_part
from personakit.eventlog.backup.tables import IDENTITY, SQL, copy_statement, tables
from personakit.eventlog.eraser import Eraser
from personakit.eventlog.erasure_journal import ErasureJournal
from personakit.eventlog.person_keys import PersonKeys
from personakit.eventlog.recorder import FORMAT, LogFormatUnknown, LogRecorder, open_datastore
from personakit.eventlog.rewrap import rewrap
from personakit.eventlog.wrapping import MasterKey


class Restored(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a restore did. `position` is that of the backup, `people` counts those who have a key, `erased`
    those whom the journals named and the backup did not, `open_keys` the API keys that open something."""

    backup: str
    epoch: UUID
    position: int
    people: int
    erased: int
    open_keys: int


def restore(
    conninfo: str,
    log: Folder,
    keys: Folder | None,
    master_key: bytes,
    journals: Sequence[ErasureJournal],
    *,
    revoke_keys: bool,
    begun: Callable[[], None] = lambda: None,
    report: Report = lambda *_: None,
) -> Restored:
    """Fills the database, which is to be opened with `master_key`. Who stands in `journals` is erased;
    without `keys` nobody can be read. With `revoke_keys` no API key opens anything. `begun` is called when it
    is certain that the database is empty, and nothing is in it yet.

    Raises BackupRefused for a database with something in it, and for a part that changed since it was
    checked; LogFormatUnknown for a log that this release cannot read; ErasureJournalUnusable.
    """
    if log.manifest.log_format != FORMAT:
        raise LogFormatUnknown(
            f"The backup holds a log of format {log.manifest.log_format}, and this release reads format "
            f"{FORMAT}: restore it with the release that made it ({log.manifest.release})."
        )
    with closing(open_datastore(conninfo, pool_size=1)) as datastore:
        recorder = LogRecorder(datastore)
        recorder.make_tables()
        with _alone(conninfo) as connection:
            with connection.transaction():
                _take_empty(connection)
                _require_known(connection, log, keys)
                connection.execute(SQL["begin_restore"], {"backup": log.manifest.backup})
            begun()
            with connection.transaction():
                _take_empty(connection)
                _fill(connection, log, keys, report)
                if log.master_key != master_key:
                    rewrap(connection, log.master_key, master_key, report)
                values = {"backup": log.manifest.backup, "word": MasterKey(master_key).word}
                connection.execute(SQL["begin_epoch"], values)
                if revoke_keys:
                    connection.execute(SQL["revoke_keys"])
            person_keys = PersonKeys(datastore.get_connection, master_key)
            erased = sum(Eraser(recorder, person_keys, journal).complete() for journal in journals)
            ended = connection.execute(SQL["end_restore"]).fetchone()
            connection.execute(SQL["analyse"])
    if ended is None:
        raise LookupError("A log that was restored has no identity.")
    return Restored(backup=log.manifest.backup, position=log.manifest.position, erased=erased, **ended)


@contextmanager
def _alone(conninfo: str) -> Iterator[Connection[DictRow]]:
    """A connection that nobody else restores beside."""
    with psycopg.connect(
        conninfo, autocommit=True, row_factory=dict_row, client_encoding="UTF8"
    ) as connection:
        row = connection.execute(SQL["restore_lock"]).fetchone()
        if row is None or not row["mine"]:
            raise BackupRefused("Another process is restoring into this database.")
        yield connection


def _take_empty(connection: Connection[DictRow]) -> None:
    """Lets nobody else in until the transaction ends, and empties what a restore that did not end left there.
    Raises BackupRefused where there is anything else."""
    connection.execute(SQL["migration_lock"])
    there = [sql.Identifier("personakit", each.name) for each in tables(connection)]
    every = sql.SQL(", ").join(there)
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(every))
    row = connection.execute(SQL["identity"]).fetchone()
    emptied = [each for each in there if each != sql.Identifier("personakit", IDENTITY)]
    if row is not None and row["restoring"] is not None:
        connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(emptied)))
        return
    for table in emptied:
        if connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(table)).rowcount:
            raise BackupRefused(
                "A backup is restored into an empty database only, and a service has been at work in this "
                f"one (there is something in {table.as_string(connection)}). Make another database, or name "
                "another data directory."
            )


def _fill(connection: Connection[DictRow], log: Folder, keys: Folder | None, report: Report) -> None:
    parts = {part.table: (part, folder.path) for folder, part in _parts(log, keys)}
    connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier("personakit", IDENTITY)))
    for table in tables(connection):  # each after those that its rows refer to
        if table.name in parts:
            part, path = parts[table.name]
            into = copy_statement(("personakit", table.name), part.columns, "FROM STDIN")
            read_part(connection, into, path, part, report)
    _set_counters(connection)


def _parts(*folders: Folder | None) -> list[tuple[Folder, Part]]:
    return [(folder, part) for folder in folders if folder is not None for part in folder.manifest.parts]


def _require_known(connection: Connection[DictRow], log: Folder, keys: Folder | None) -> None:
    """Raises BackupRefused for a backup of what this release has no place for."""
    known = {table.name: set(table.columns) for table in tables(connection)}
    for _, part in _parts(log, keys):
        missing = set(part.columns) - known.get(part.table, set())
        if missing:
            raise BackupRefused(
                f"The backup has {part.table}.{min(missing)}, which this release does not know: it was taken "
                "by a newer release. Restore it with that one."
            )


def _set_counters(connection: Connection[Any]) -> None:
    """Lets sequences go on after the highest number that was restored."""
    for row in connection.execute(SQL["counters"]).fetchall():
        highest = sql.SQL("SELECT setval({}, max({})) FROM {} HAVING max({}) IS NOT NULL").format(
            sql.Literal(row["sequence"]),
            sql.Identifier(row["column"]),
            sql.Identifier("personakit", row["name"]),
            sql.Identifier(row["column"]),
        )
        connection.execute(highest)
