"""Parts: a table as `COPY` writes it, gzipped into a file, hashed; and back."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from psycopg import Connection, sql

from personakit.eventlog.backup.manifest import BackupRefused, Manifest, Part
from personakit.eventlog.backup.tables import Table
from personakit.private_files import durable_file

CHUNK: Final = 1 << 18
LEVEL: Final = 1
"""Of gzip. Most of a log is sealed: no effort makes it smaller than half of its hexadecimal digits."""
Report = Callable[[str, int, int | None], None]


class _Hashed:
    """A file that knows the length and the SHA-256 of what was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.hash = hashlib.sha256()
        self.length = 0

    def write(self, content: bytes) -> int:
        self.hash.update(content)
        self.length += len(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


def write_part(connection: Connection[Any], table: Table, folder: Path, report: Report) -> Part:
    """Copies a table, as the connection's transaction sees it, into a file of the folder, on the disk when
    this returns. Raises FileExistsError where there is one."""
    path = folder / f"{table.name}.copy.gz"
    total = _count(connection, table)
    rows = 0
    with durable_file(path) as file:
        hashed = _Hashed(file)
        with gzip.GzipFile("", "wb", LEVEL, hashed, mtime=0) as packed:
            for chunk in _copied(connection, table):
                packed.write(chunk)
                rows += chunk.count(b"\n")  # one ends each row; within values it is escaped
                report(table.name, rows, total)
    return Part(
        table=table.name,
        columns=table.columns,
        file=path.name,
        rows=rows,
        bytes=hashed.length,
        sha256=hashed.hash.hexdigest(),
    )


def check_parts(folder: Path, manifest: Manifest, report: Report) -> None:
    """Raises BackupRefused where a part is missing, or is not what was written."""
    for part in manifest.parts:
        found, length = hashlib.sha256(), 0
        try:
            with (folder / part.file).open("rb") as file:
                while chunk := file.read(CHUNK):
                    found.update(chunk)
                    length += len(chunk)
                    report(f"checking {part.table}", length, part.bytes)
        except OSError as error:
            raise BackupRefused(f"{folder / part.file} cannot be read: {error.strerror}.") from None
        if (length, found.hexdigest()) != (part.bytes, part.sha256):
            raise BackupRefused(
                f"{folder / part.file} is damaged: it is not what was written (its SHA-256 differs). Nothing "
                "was restored; use another copy of this backup, or another backup."
            )


def read_part(
    connection: Connection[Any], statement: sql.Composed, folder: Path, part: Part, report: Report
) -> None:
    """Copies a part into a table. Raises BackupRefused when the file changed since it was checked."""
    rows = 0
    try:
        with (
            gzip.open(folder / part.file, "rb") as packed,
            connection.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            while chunk := packed.read(CHUNK):
                copy.write(chunk)
                rows += chunk.count(b"\n")
                report(part.table, rows, part.rows)
    except (OSError, EOFError, zlib.error) as error:
        raise BackupRefused(f"{folder / part.file} cannot be read: {error}.") from None
    if rows != part.rows:
        raise BackupRefused(f"{folder / part.file} has {rows:,} rows, where {part.rows:,} were written.")


def _copied(connection: Connection[Any], table: Table) -> Iterator[bytes]:
    """The table's rows in chunks of about CHUNK bytes: PostgreSQL gives them one at a time."""
    gathered: list[bytes] = []
    size = 0
    with connection.cursor() as cursor, cursor.copy(table.copy("TO STDOUT")) as copy:
        for row in copy:
            gathered.append(bytes(row))
            size += len(row)
            if size >= CHUNK:
                yield b"".join(gathered)
                gathered, size = [], 0
    yield b"".join(gathered)


def _count(connection: Connection[Any], table: Table) -> int:
    query = sql.SQL("SELECT count(*) AS rows FROM {}").format(sql.Identifier("personakit", table.name))
    row = connection.execute(query).fetchone()
    return int(row["rows"]) if row else 0
