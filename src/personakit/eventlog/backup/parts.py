"""Parts: a table as `COPY` writes it, gzipped into a file, hashed; and back."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import psycopg
from psycopg import Connection, sql

from personakit.eventlog.backup.manifest import BackupRefused, Manifest, Part
from personakit.eventlog.backup.tables import Table
from personakit.private_files import durable_file

CHUNK: Final = 1 << 18
LEVEL: Final = 1
"""Of gzip. Most of a log is sealed: no effort makes it smaller than half of its hexadecimal digits."""
Report = Callable[[str, int, int | None], None]


class _Hashed:
    """A file that knows the length and the SHA-256 of what was written to it, or read from it, in order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.length = 0

    @property
    def sha256(self) -> str:
        """Of all so far, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, content: bytes) -> int:
        self._take(content)
        return self._file.write(content)

    def read(self, size: int = CHUNK, /) -> bytes:
        content = self._file.read(size)
        self._take(content)
        return content

    def flush(self) -> None:
        self._file.flush()

    def seek(self, *_: object) -> int:
        """Not possible: what was hashed was."""
        raise io.UnsupportedOperation

    def seekable(self) -> bool:
        return False

    def _take(self, content: bytes) -> None:
        self._hash.update(content)
        self.length += len(content)


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
        sha256=hashed.sha256,
    )


def check_parts(folder: Path, manifest: Manifest, report: Report) -> None:
    """Raises BackupRefused where a part is missing, or is not what was written."""
    for part in manifest.parts:
        try:
            with (folder / part.file).open("rb") as file:
                hashed = _Hashed(file)
                while hashed.read():
                    report(f"checking {part.table}", hashed.length, part.bytes)
        except OSError as error:
            raise BackupRefused(f"{folder / part.file} cannot be read: {error.strerror}.") from None
        _require_same(hashed, folder, part)


def read_part(
    connection: Connection[Any], statement: sql.Composed, folder: Path, part: Part, report: Report
) -> None:
    """Copies a part into a table. Raises BackupRefused when the file changed since it was checked: end the
    transaction then, for its rows are in the table."""
    rows = 0
    try:
        with (
            (folder / part.file).open("rb") as file,
            gzip.GzipFile(fileobj=(hashed := _Hashed(file)), mode="rb") as packed,
            connection.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            while chunk := packed.read(CHUNK):
                copy.write(chunk)
                rows += chunk.count(b"\n")
                report(part.table, rows, part.rows)
    except (OSError, EOFError, zlib.error, psycopg.DataError, psycopg.IntegrityError) as error:
        raise BackupRefused(f"{folder / part.file} cannot be read: {error}.") from None
    _require_same(hashed, folder, part)


def _require_same(hashed: _Hashed, folder: Path, part: Part) -> None:
    if (hashed.length, hashed.sha256) != (part.bytes, part.sha256):
        raise BackupRefused(
            f"{folder / part.file} is damaged: it is not what was written (its SHA-256 differs). Nothing "
            "was restored; use another copy of this backup, or another backup."
        )


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
