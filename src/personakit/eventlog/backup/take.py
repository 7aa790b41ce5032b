"""Taking a backup, while the service goes on: one snapshot, in which writers wait for nothing."""

from __future__ import annotations

import secrets
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.rows import DictRow, dict_row

from personakit.eventlog.backup.key_copies import expiry, name_of
from personakit.eventlog.backup.manifest import FORMAT, BackupRefused, Manifest, opens, signed, write_manifest
from personakit.eventlog.backup.parts import Report, write_part
from personakit.eventlog.backup.tables import SQL, Table, backed_up
from personakit.eventlog.person_keys import MasterKeyWrong
from personakit.eventlog.wrapping import MasterKey
from personakit.private_files import sync_folder
from personakit_sdk.errors import InvalidInput


def take_backup(
    conninfo: str,
    master_key: bytes,
    folder: Path,
    keys_folder: Path,
    now: datetime,
    report: Report = lambda *_: None,
) -> Manifest:
    """Writes the log and the operational tables into `folder`, and people's keys into a folder of
    `keys_folder` that is named like the backup; the manifest of the log.

    Raises InvalidInput where one of the folders lies in the other, BackupRefused where there is something in
    `folder` or nothing in the database or no room left, and MasterKeyWrong.
    """
    _require_apart(folder, keys_folder)
    try:
        return _take(conninfo, master_key, folder, keys_folder, now, report)
    except psycopg.errors.InsufficientPrivilege as error:
        raise BackupRefused(
            f"This login may not see all of the database: {str(error).strip()}. Take the backup as its owner."
        ) from error
    except OSError as error:
        raise BackupRefused(f"The backup cannot be written, and is not whole: {error}.") from error


def _take(
    conninfo: str, master_key: bytes, folder: Path, keys_folder: Path, now: datetime, report: Report
) -> Manifest:
    with psycopg.connect(
        conninfo, autocommit=True, row_factory=dict_row, client_encoding="UTF8"
    ) as connection:
        _require_log(connection)
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            connection.execute(SQL["read_all"])
            described = _described(connection, master_key, now)
            if not opens(described, master_key):
                raise MasterKeyWrong
            log, keys = backed_up(connection)
            keys_of_this = keys_folder / described.backup
            _make_folder(folder)
            _make_folder(keys_of_this)
            of_keys = msgspec.structs.replace(described, kind="keys", expires_at=expiry(now))
            _write(connection, keys, keys_of_this, of_keys, master_key, report)
            return _write(connection, log, folder, described, master_key, report)


def _write(
    connection: Connection[DictRow],
    tables: list[Table],
    folder: Path,
    described: Manifest,
    master_key: bytes,
    report: Report,
) -> Manifest:
    parts = [write_part(connection, table, folder, report) for table in tables]
    manifest = signed(msgspec.structs.replace(described, parts=parts), master_key)
    write_manifest(folder, manifest)
    return manifest


def _described(connection: Connection[DictRow], master_key: bytes, now: datetime) -> Manifest:
    """What the manifest says of the log, as this transaction sees it. A database that no service has opened
    knows no master key yet: then it is this one."""
    row: dict[str, Any] | None = connection.execute(SQL["identity"]).fetchone()
    if row is None:
        raise LookupError("The log has no identity; its database was not set up by this service.")
    if row["restoring"] is not None:
        raise BackupRefused(
            "There is nothing to back up: a restore into this database was begun and not ended."
        )
    return Manifest(
        format=FORMAT,
        kind="log",
        backup=name_of(now, secrets.token_hex(4)),
        taken_at=now,
        expires_at=None,
        release=metadata.version("personakit"),
        log_format=row["format"],
        epoch=row["epoch"],
        position=row["position"],
        master_check=row["master_check"] or MasterKey(master_key).word.hex(),
        parts=[],
    )


def _require_log(connection: Connection[DictRow]) -> None:
    row = connection.execute(SQL["there"]).fetchone()
    if row is None or not row["there"]:
        raise BackupRefused("There is nothing to back up: this database has no log of PersonaKit's.")


def _require_apart(folder: Path, keys_folder: Path) -> None:
    one, other = folder.resolve(), keys_folder.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise InvalidInput(
            f"People's keys are kept apart from the backup: {keys_folder} and {folder} must not lie in each "
            "other."
        )


def _make_folder(folder: Path) -> None:
    """Makes a folder for its owner only, or takes an empty one. Raises BackupRefused."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BackupRefused(
                f"{folder} is not empty; a backup goes into a folder of its own. What one that was broken "
                "off left there (it has no manifest.json) can be removed."
            )
        sync_folder(folder.parent)
    except OSError as error:
        raise BackupRefused(f"{folder} cannot be made or used: {error.strerror}.") from None
