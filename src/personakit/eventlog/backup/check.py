"""Whether the folders of a backup are what was written, before anything is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from personakit.eventlog.backup.manifest import (
    FILE,
    BackupRefused,
    Kind,
    Manifest,
    opens,
    read_manifest,
    require_genuine,
)
from personakit.eventlog.backup.parts import Report, check_parts
from personakit_sdk.errors import PersonaKitError


class BackupLocked(PersonaKitError):
    """None of the master keys at hand is the one that a backup was taken with."""


class Folder(NamedTuple):
    """A folder whose parts are what was written, and the master key that it was taken with."""

    path: Path
    manifest: Manifest
    master_key: bytes


def checked_log(path: Path, master_keys: Sequence[bytes], report: Report) -> Folder:
    """The folder of a log. Raises BackupRefused where it is not whole, or not what was written, and
    BackupLocked where it was taken with none of these master keys."""
    return _checked(path, "log", master_keys, report)


def checked_keys(
    path: Path, backup: str, master_keys: Sequence[bytes], now: datetime, report: Report
) -> Folder:
    """The folder of the keys of one backup: `path`, or the one in it that is named like the backup. Raises as
    `checked_log` does, and BackupRefused for keys of another backup or beyond their time."""
    folder = path if (path / FILE).exists() else path / backup
    manifest = read_manifest(folder, "keys")
    if manifest.backup != backup:
        raise BackupRefused(f"{folder} has the keys of the backup {manifest.backup}, not those of {backup}.")
    if manifest.expires_at is None or manifest.expires_at <= now:
        raise BackupRefused(
            f"The keys in {folder} had to be gone by {manifest.expires_at}: they are kept for 30 days. "
            "--without-keys restores the log, in which nobody can be read any more."
        )
    return _checked(folder, "keys", master_keys, report)


def _checked(path: Path, kind: Kind, master_keys: Sequence[bytes], report: Report) -> Folder:
    manifest = read_manifest(path, kind)
    master_key = next((key for key in master_keys if opens(manifest, key)), None)
    if master_key is None:
        raise BackupLocked(
            f"{path} was taken with another master key than the one given. If it was rotated since, name a "
            "file with the one of then by --old-master-key-file."
        )
    require_genuine(manifest, path, master_key)
    check_parts(path, manifest, report)
    return Folder(path, manifest, master_key)
