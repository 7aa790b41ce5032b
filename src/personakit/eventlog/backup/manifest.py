"""The manifest of a backup: what is in its folder, in JSON that anybody can read and check, signed.

A backup is two folders, of the log and of people's keys, each with a manifest and a part for each table:
what PostgreSQL's `COPY table (columns) TO STDOUT` says, gzipped. The manifest is written last, so a folder
without one was never finished. It holds the SHA-256 of each part, and an HMAC-SHA-256 over itself under a
key that comes from the master key: nobody who can only write to where backups are kept adds a row to one.
"""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from personakit.eventlog.wrapping import MasterKey
from personakit.private_files import sync_folder, write_durably
from personakit_sdk.errors import PersonaKitError

Kind = Literal["log", "keys"]
FORMAT: Final = 1
FILE: Final = "manifest.json"
_PART: Final = re.compile(r"[a-z_]+\.copy\.gz")


class BackupRefused(PersonaKitError):
    """A folder is no backup that can be restored; the sentence says why."""


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One table: the columns that were copied, in their order, and the gzipped file's length and hash."""

    table: str
    columns: list[str]
    file: str
    rows: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is in one folder. `backup` is the same for the log and its people's keys.

    `epoch`, `position` (the newest event's) and `log_format` are those of the log in the one snapshot that
    all parts are from; `master_check` is the word that its master key is known by. Keys have `expires_at`.
    """

    format: int
    kind: Kind
    backup: str
    taken_at: Annotated[datetime, Meta(tz=True)]
    expires_at: Annotated[datetime, Meta(tz=True)] | None
    release: str
    log_format: int
    epoch: UUID
    position: int
    master_check: str
    parts: list[Part]
    signature: str = ""


_decoder = msgspec.json.Decoder(Manifest)


def signed(manifest: Manifest, master_key: bytes) -> Manifest:
    """The manifest with its signature."""
    return msgspec.structs.replace(manifest, signature=_signature(manifest, master_key))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Makes a folder of parts a whole one: from the rename on it is."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    written = folder / f"{FILE}.new"
    write_durably(written, text + b"\n")
    written.rename(folder / FILE)
    sync_folder(folder)


def read_manifest(folder: Path, kind: Kind) -> Manifest:
    """What a folder says of itself, which is not proven by that. Raises BackupRefused for none, for one of
    another format or kind, and for one that was never finished."""
    try:
        text = (folder / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if not folder.is_dir():
            raise BackupRefused(f"{folder} is no backup: there is no such folder.") from None
        raise BackupRefused(
            f"{folder} is not a whole backup: it has no {FILE}. One that was broken off has none, and cannot "
            "be restored; take another."
        ) from None
    except OSError as error:
        raise BackupRefused(f"{folder / FILE} cannot be read: {error.strerror}.") from None
    manifest = _decoded(text, folder)
    if manifest.kind != kind:
        wanted = {"log": "a log", "keys": "people's keys"}
        raise BackupRefused(f"{folder} is a backup of {wanted[manifest.kind]}, not of {wanted[kind]}.")
    return manifest


def require_genuine(manifest: Manifest, folder: Path, master_key: bytes) -> None:
    """Raises BackupRefused for a manifest that was not signed with this master key."""
    if not _same(manifest.signature, _signature(manifest, master_key)):
        raise BackupRefused(f"{folder / FILE} was changed since it was written: its signature differs.")


def opens(manifest: Manifest, master_key: bytes) -> bool:
    """Whether this is the master key that the people of a backup had their keys wrapped by."""
    return _same(manifest.master_check, MasterKey(master_key).word.hex())


def _same(said: str, known: str) -> bool:
    """In the same time, wherever they differ. What a manifest says may be any text."""
    return hmac.compare_digest(said.encode(), known.encode())


def _decoded(text: bytes, folder: Path) -> Manifest:
    try:
        said = msgspec.json.decode(text)
        if isinstance(said, dict) and said.get("format") not in (None, FORMAT):
            raise BackupRefused(
                f"{folder} has format {said['format']} of backups, and this release reads format {FORMAT}: "
                "another release wrote it. Use that one."
            )
        manifest = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BackupRefused(f"{folder / FILE} is damaged: {error}.") from None
    strange = [part.file for part in manifest.parts if not _PART.fullmatch(part.file)]
    if strange:
        raise BackupRefused(f"{folder / FILE} is damaged: no part is called {strange[0]!r}.")
    return manifest


def _signature(manifest: Manifest, master_key: bytes) -> str:
    unsigned = msgspec.json.encode(msgspec.structs.replace(manifest, signature=""), order="deterministic")
    key = hmac.digest(master_key, b"personakit backup", "sha256")
    return hmac.digest(key, unsigned, "sha256").hex()
