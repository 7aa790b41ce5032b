"""The journal of erasures: a file outside the database, a JSON line each, on the disk before the erasure is.

A backup of the database that is older than an erasure brings the person back. So what was erased stands here
as well, by random names and hashes only: `Eraser.complete` does what the database has not done yet.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO
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
    """The journal of erasures cannot be read or written; nothing was erased."""


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


_decoder = msgspec.json.Decoder(Erasure)


class ErasureJournal:
    """The journal in the file at `path`, which several processes may share; nobody else may read it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, erasure: Erasure) -> None:
        """Returns when it is on the disk. Raises ErasureJournalUnusable."""
        with self._translated(), self._alone() as file:
            # What broke off in the middle was never on the disk as a whole, so that nothing came of it.
            file.truncate(_whole(file))
            file.seek(0, os.SEEK_END)
            file.write(msgspec.json.encode(erasure) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> Iterator[Erasure]:
        """All that is in it, in its order; nothing where there is no file. A last line that broke off is
        passed over. Raises ErasureJournalUnusable for one that cannot be read."""
        if not self._path.exists():
            return
        with self._translated(), self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield self._decoded(number, line)

    def _decoded(self, number: int, line: bytes) -> Erasure:
        try:
            return _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ErasureJournalUnusable(
                f"Line {number} of the journal of erasures {self._path} cannot be read ({error}). Somebody "
                "may be here who was erased: mend the line from a copy, or take it away if it is none."
            ) from None

    @contextmanager
    def _alone(self) -> Iterator[BinaryIO]:
        new = not self._path.exists()
        with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
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
                f"The journal of erasures {self._path} cannot be used: {error.strerror}. Nothing was erased."
            ) from error


def _whole(file: BinaryIO) -> int:
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
