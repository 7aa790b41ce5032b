"""`personakit backup`: the log and the operational tables in one folder, people's keys in another."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from personakit.cli.database import database, while_connected
from personakit.cli.options import json_option, with_settings
from personakit.cli.progress import progress
from personakit.config import Settings
from personakit.eventlog.backup.key_copies import Pruned, expiry
from personakit.eventlog.backup.key_copies import prune as prune_keys
from personakit.eventlog.backup.manifest import BackupRefused, Manifest
from personakit.eventlog.backup.take import take_backup
from personakit.master_key import master_key
from personakit_sdk.errors import InvalidInput, PersonaKitError


class CopiesStuck(PersonaKitError):
    """Copies of keys cannot be deleted, whose time is over."""


@click.command()
@with_settings
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--keys",
    "keys_folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where people's keys are kept apart from the backup, for 30 days.",
)
@click.option("--prune", is_flag=True, help="Only delete copies of keys that are 30 days old.")
@json_option
def backup(settings: Settings, folder: Path | None, keys_folder: Path, prune: bool, as_json: bool) -> None:
    """Back up the log and the operational tables into FOLDER, and people's keys into a folder of --keys,
    while the service goes on.

    FOLDER must be empty, or not be there. What is in it is of one moment; it is whole once it has a
    manifest.json. Copies of keys that are 30 days old are deleted; with --prune and no FOLDER, only that.
    One that cannot be keeps no backup from being taken: it is said in the end, with exit code 1.
    """
    if (folder is None) is not prune:
        raise InvalidInput("Name the folder that the backup is to go to, or say --prune, which takes none.")
    now = datetime.now(UTC)
    pruned = prune_keys(keys_folder, now) if keys_folder.is_dir() else Pruned([], [])
    told = [f"The keys of the backup {name} are deleted." for name in pruned.gone]
    taken = None
    if folder is not None:
        taken = _taken(settings, folder, keys_folder, now)
        told.append(_told(taken, folder, keys_folder))
    if as_json:
        click.echo(msgspec.json.encode({"backup": taken, "pruned": pruned.gone}))
    elif told or not pruned.stuck:
        click.echo("\n".join(told or ["No copy of keys is 30 days old."]))
    if pruned.stuck:
        raise CopiesStuck(
            f"Copies of keys that are 30 days old are there still, delete them: {'; '.join(pruned.stuck)}."
        )


def _taken(settings: Settings, folder: Path, keys_folder: Path, now: datetime) -> Manifest:
    if settings.database_url is None and not (settings.data_dir / "postgres").is_dir():
        raise BackupRefused(f"There is nothing to back up: {settings.data_dir} has no database.")
    with (
        while_connected("The backup is not whole, and has no manifest.json."),
        database(settings) as conninfo,
        progress(sys.stderr) as report,
    ):
        return take_backup(conninfo, master_key(settings), folder, keys_folder, now, report)


def _told(taken: Manifest, folder: Path, keys_folder: Path) -> str:
    events = next((part.rows for part in taken.parts if part.table == "events"), 0)
    return (
        f"Backup {taken.backup}: {events:,} events up to position {taken.position:,} in {folder}, "
        f"people's keys in {keys_folder / taken.backup} until {expiry(taken.taken_at):%Y-%m-%d}."
    )
