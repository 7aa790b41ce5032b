"""`personakit restore`: a backup into an empty database, without those who were erased since."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from personakit import shipped
from personakit.cli.database import database, while_connected
from personakit.cli.opened_log import opened
from personakit.cli.options import FILE, json_option, with_settings
from personakit.cli.progress import progress
from personakit.config import SettingInvalid, Settings
from personakit.eventlog.backup.check import Folder, checked_keys, checked_log
from personakit.eventlog.backup.parts import Report
from personakit.eventlog.backup.restore import Restored, restore
from personakit.eventlog.erasure_journal import ErasureJournal
from personakit.master_key import master_key, present_master_key, read_master_key
from personakit.projections import builds
from personakit.projections.rebuild import rebuild
from personakit.projections.sql import load_projections
from personakit_sdk.errors import InvalidInput

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


class Asked(NamedTuple):
    """What of a backup is to be restored."""

    folder: Path
    keys_folder: Path | None
    old_master_key_file: Path | None


@click.command("restore")
@with_settings
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--keys", "keys_folder", type=FOLDER, help="Where people's keys were kept.")
@click.option("--without-keys", is_flag=True, help="Restore without them: nobody can be read any more.")
@click.option(
    "--journal",
    "journals",
    multiple=True,
    type=FILE,
    help="A journal of erasures: who stands in it stays erased.  [default: the service's own]",
)
@click.option("--without-journal", is_flag=True, help="Nobody was erased since the backup was taken.")
@click.option(
    "--old-master-key-file", type=FILE, help="The master key of when the backup was taken, if it was rotated."
)
@click.option("--revoke-keys", is_flag=True, help="Let no API key of the backup open anything.")
@click.option("--check", is_flag=True, help="Only look whether the backup is whole; touch no database.")
@json_option
def restore_(
    settings: Settings,
    folder: Path,
    keys_folder: Path | None,
    without_keys: bool,
    journals: Sequence[Path],
    without_journal: bool,
    old_master_key_file: Path | None,
    revoke_keys: bool,
    check: bool,
    as_json: bool,
) -> None:
    """Restore the backup in FOLDER into an empty database: all of it, or nothing.

    Everything is checked before anything is written. Who was erased after the backup stays erased. The log
    begins another epoch: applications offer again what they sent in the last 7 days. API keys that were
    revoked after the backup open again, unless --revoke-keys is given.
    """
    asked = Asked(folder, keys_folder, old_master_key_file)
    if (keys_folder is None) is not without_keys and not check:
        raise InvalidInput(
            "Name the folder of people's keys with --keys, or say --without-keys: then nobody of the backup "
            "can be read any more."
        )
    found = [] if check or without_journal else _journals(settings, journals)
    with progress(sys.stderr) as report:
        log, keys = _checked(settings, asked, report)
        if check:
            _say_checked(log, keys, as_json)
            return
        done = _restored(settings, log, keys, found, revoke_keys, report)
    click.echo(msgspec.json.encode(done) if as_json else _told(done))


def _journals(settings: Settings, named: Sequence[Path]) -> list[ErasureJournal]:
    """These journals, or the service's own; each was read to its end. Raises ErasureJournalUnusable."""
    own = settings.journal
    paths = list(named) or ([own] if own is not None and own.exists() else [])
    if not paths:
        raise SettingInvalid(
            "Name the journal of erasures with --journal: who was erased after the backup would be back. If "
            "nobody was, say --without-journal."
        )
    journals = [ErasureJournal(path) for path in paths]
    for journal in journals:
        deque(journal.read(), maxlen=0)
    return journals


def _checked(settings: Settings, asked: Asked, report: Report) -> tuple[Folder, Folder | None]:
    old = None if asked.old_master_key_file is None else read_master_key(asked.old_master_key_file)
    at_hand = [key for key in (present_master_key(settings), old) if key is not None]
    if not at_hand:
        raise SettingInvalid(
            "There is no master key: put the one that the backup was taken with into "
            f"{settings.data_dir / 'master-key'} or PERSONAKIT_MASTER_KEY; or name it with "
            "--old-master-key-file, and people's keys are wrapped by a new one."
        )
    log = checked_log(asked.folder, at_hand, report)
    if asked.keys_folder is None:
        return log, None
    now = datetime.now(UTC)
    return log, checked_keys(asked.keys_folder, log.manifest.backup, at_hand, now, report)


def _restored(
    settings: Settings,
    log: Folder,
    keys: Folder | None,
    journals: Sequence[ErasureJournal],
    revoke_keys: bool,
    report: Report,
) -> Restored:
    with (
        while_connected("Run this again: it begins anew, or says that it had ended."),
        database(settings) as conninfo,
    ):
        done = restore(
            conninfo,
            log,
            keys,
            master_key(settings),
            journals,
            revoke_keys=revoke_keys,
            begun=partial(_keep, settings, journals),
            report=report,
        )
        _rebuild(settings, report)
        return done


def _keep(settings: Settings, journals: Sequence[ErasureJournal]) -> None:
    """Writes what is not there yet into the service's own journal: for the next restore."""
    if settings.journal is not None:
        own = ErasureJournal(settings.journal)
        known = {line.id for line in own.read()}
        missing = [line for journal in journals for line in journal.read() if line.id not in known]
        for line in {line.id: line for line in missing}.values():
            own.append(line)


def _rebuild(settings: Settings, report: Report) -> None:
    """Makes the read models, which a service would do before it serves."""
    with opened(settings, 1) as (conninfo, _, keys), builds.open_pool(conninfo, 2) as pool:
        for projection in load_projections(shipped.projections_dir()).values():
            rebuild(pool, projection, keys, report, only_if_missing=True)


def _say_checked(log: Folder, keys: Folder | None, as_json: bool) -> None:
    if as_json:
        click.echo(
            msgspec.json.encode({"log": log.manifest, "keys": None if keys is None else keys.manifest})
        )
        return
    click.echo(f"The backup {log.manifest.backup} is whole, up to position {log.manifest.position:,}.")
    if keys is not None:
        click.echo(f"Its keys are whole; they are kept until {keys.manifest.expires_at:%Y-%m-%d}.")


def _told(done: Restored) -> str:
    erased = f"; {done.erased:,} erased since the backup was taken" if done.erased else ""
    lines = [
        f"Restored {done.backup} up to position {done.position:,}: {done.people:,} people{erased}.",
        f"The log begins epoch {done.epoch}; applications offer again what they sent in the last 7 days.",
    ]
    if done.open_keys:
        lines.append(
            f"{done.open_keys:,} API keys open again, also those that were revoked after the backup was "
            "taken: revoke them again (personakit keys list)."
        )
    return "\n".join(lines)
