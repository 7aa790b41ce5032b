"""The journal of erasures: a file outside the database, a JSON line each, on the disk before the erasure is.

A backup of the database that is older than an erasure brings the person back. So what was erased stands here
as well, by random names and hashes only, and whose id was made good again: `Eraser.complete` does what the
database has not done yet.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from personakit_sdk.errors import PersonaKitError


class NoErasureJournal(PersonaKitError):
    """Nothing can be erased: there is nowhere to write it down where a restored backup does not undo it."""

    def __init__(self) -> None:
        super().__init__(
            "Nobody can be erased: this service has no journal of erasures, so that a restored backup would "
            "bring them back. Set PERSONAKIT_ERASURE_JOURNAL to a file outside the database."
        )


class ErasureJournalUnusable(PersonaKitError):
    """The journal of erasures cannot be read or written; nothing was done."""


class Erasure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """That a person was to be erased. `surrogates` are theirs and, after it, those of the created personas
    whose keys die too; `tombstone` is the keyed hash of their id, in hexadecimal (`PersonKeys.tombstone`)."""

    id: UUID
    erased_at: Annotated[datetime, Meta(tz=True)]
    tenant: Annotated[str, Meta(pattern=r"^[^\x00]+\Z")]
    surrogates: Annotated[tuple[UUID, ...], Meta(min_length=1)]
    tombstone: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]

    @property
    def person(self) -> UUID:
        """Who was erased."""
        return self.surrogates[0]

    @property
    def personas(self) -> tuple[UUID, ...]:
        """The created personas that viewed them."""
        return self.surrogates[1:]


class MadeAgain(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """That a person was made of an id, though one was erased who had it; `surrogates` are of the erased."""

    id: UUID
    made_again: Annotated[datetime, Meta(tz=True)]
    tenant: Annotated[str, Meta(pattern=r"^[^\x00]+\Z")]
    surrogates: Annotated[tuple[UUID, ...], Meta(min_length=1)]


Line = Erasure | MadeAgain


class ErasureJournal:
    """The journal in the file at `path`, which several processes may share; nobody else may read it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, line: Line) -> None:
        """Returns when it is on the disk. Raises ErasureJournalUnusable, and it is not in the file."""
        with self._translated(), self._alone() as file:
            # What broke off in the middle was never on the disk as a whole, so that nothing came of it.
            end = _whole(file)
            file.truncate(end)
            file.seek(end)
            try:
                _write(file, msgspec.json.encode(line) + b"\n")
            except OSError:
                self._take_back(file, end)
                raise

    def _take_back(self, file: FileIO, end: int) -> None:
        """Takes away a line that may be there as a whole, for the next start would do what it says."""
        try:
            file.truncate(end)
            os.fsync(file.fileno())
        except OSError as error:
            raise ErasureJournalUnusable(
                f"The journal of erasures {self._path} cannot be used: {error.strerror}. Nothing was done "
                "yet; but its last line may be there, and then the next start does what it says."
            ) from error

    def read(self) -> Iterator[Line]:
        """All that is in it, in its order; nothing where there is no file. A last line that broke off is
        passed over. Raises ErasureJournalUnusable for one that cannot be read."""
        if not self._path.exists():
            return
        with self._translated(), self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield self._decoded(number, line)

    def _decoded(self, number: int, line: bytes) -> Line:
        try:
            said = msgspec.json.decode(line, type=dict[str, Any])
            if "madeAgain" in said:
                return msgspec.convert(said, MadeAgain)
            return msgspec.convert(said, Erasure)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ErasureJournalUnusable(
                f"Line {number} of the journal of erasures {self._path} cannot be read ({error}). Somebody "
                "may be here who was erased: mend the line from a copy, or take it away if it is none."
            ) from None

    @contextmanager
    def _alone(self) -> Iterator[FileIO]:
        new = not self._path.exists()
        # Unbuffered: nothing is written when it is closed.
        with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if new:
                self._sync_folder()
            yield file

    def _sync_folder(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ErasureJournalUnusable(
                f"The journal of erasures {self._path} cannot be used: {error.strerror}. Nothing was done."
            ) from error


def _write(file: FileIO, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def _whole(file: FileIO) -> int:
    """Where the last line ends that is there as a whole."""
    size = file.seek(0, os.SEEK_END)
    at = size
    while at > 0:
        begin = max(0, at - 4096)
        file.seek(begin)
        found = file.read(at - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        at = begin
    return 0
