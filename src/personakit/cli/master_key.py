"""`personakit master-key`: what wraps the keys of people."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import click
import msgspec

from personakit.cli.database import database, while_connected
from personakit.cli.options import FILE, json_option, with_settings
from personakit.cli.progress import progress
from personakit.config import SettingInvalid, Settings
from personakit.eventlog.recorder import LogRecorder, open_datastore
from personakit.eventlog.rewrap import Report, Rewrapped, opens_database, rotate
from personakit.master_key import (
    begin_rotation,
    end_rotation,
    master_key,
    pending_rotation,
    read_master_key,
)
from personakit_sdk.errors import InvalidInput


@click.group("master-key")
def master_key_group() -> None:
    """Rotate the master key, which wraps the keys of people."""


@master_key_group.command("rotate")
@with_settings
@click.option(
    "--new-master-key-file", "new_file", type=FILE, help="The new one, as openssl rand -base64 32 makes it."
)
@json_option
def rotate_(settings: Settings, new_file: Path | None, as_json: bool) -> None:
    """Wrap the keys of all people by a new master key: the old one opens nothing any more.

    Without PERSONAKIT_MASTER_KEY the new key is made, unless it is named, and put into the file master-key of
    the data directory. With it, name the new one in a file, and set it afterwards. Killed under way, all
    stays as it was or is done; run it again, and it says which. Then start the service's processes again.
    """
    new = None if new_file is None else read_master_key(new_file)
    if settings.master_key is not None and new is None:
        raise SettingInvalid(
            "Name a file with the new master key by --new-master-key-file: what PERSONAKIT_MASTER_KEY is set "
            "to cannot be changed here."
        )
    with (
        while_connected("Run this again; it says whether the master key was rotated."),
        database(settings) as conninfo,
        progress(sys.stderr) as report,
    ):
        old = master_key(settings)
        if old == new:
            raise InvalidInput("The new master key is the one that is in use.")
        _make_tables(conninfo)
        if settings.master_key is not None and new is not None:
            done = _named(conninfo, old, new, report)
        else:
            done = _in_data_dir(settings.data_dir, conninfo, old, new, report)
    click.echo(msgspec.json.encode({"rewrapped": done}) if as_json else _told(settings, done))


def _in_data_dir(
    data_dir: Path, conninfo: str, old: bytes, new: bytes | None, report: Report
) -> Rewrapped | None:
    """Rotates to a key that is kept in the data directory; None where one was broken off, and is finished."""
    pending = pending_rotation(data_dir)
    if pending is not None and opens_database(conninfo, pending):
        end_rotation(data_dir)
        return None
    done = rotate(conninfo, old, lambda: begin_rotation(data_dir, new), report)
    end_rotation(data_dir)
    return done


def _named(conninfo: str, old: bytes, new: bytes, report: Report) -> Rewrapped | None:
    """Rotates to a key that somebody else keeps; None where that was done before."""
    if opens_database(conninfo, new):
        return None
    return rotate(conninfo, old, lambda: new, report)


def _make_tables(conninfo: str) -> None:
    """An older release's database has no place for all of it yet."""
    with closing(open_datastore(conninfo, pool_size=1)) as datastore:
        LogRecorder(datastore).create_table()


def _told(settings: Settings, done: Rewrapped | None) -> str:
    if done is None:
        first = "The master key was rotated before, and is in its place now."
    else:
        damaged = f"; {done.damaged:,} that did not open before do not now" if done.damaged else ""
        first = f"The keys of {done.people:,} people are wrapped by the new master key{damaged}."
    then = "" if settings.master_key is None else "set PERSONAKIT_MASTER_KEY to the new one, and "
    return (
        f"{first}\nNow {then}start the service's processes again. Keep the old one as long as there are "
        "backups that were taken with it: restore takes it as --old-master-key-file."
    )
