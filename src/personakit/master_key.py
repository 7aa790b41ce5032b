"""The master key, which wraps people's keys: from the settings, else a file of the data directory.

A rotation writes the new one beside the old, changes the database, and puts it in the old one's place. Killed
in between, it leaves a database that one of the two files opens, and is finished by rotating again.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from personakit.config import SettingInvalid, Settings
from personakit.private_files import sync_folder, write_durably

KEY_BYTES = 32
FILE = "master-key"
NEW_FILE = "master-key.new"
MADE_FILE = "master-key.made"
"""The first one, until it is on the disk."""
_HOW = "it must be 32 random bytes in base64, as `openssl rand -base64 32` makes them"


def master_key(settings: Settings) -> bytes:
    """The 32 bytes. Makes and keeps them for an embedded database that has none yet; call it once that
    database runs, because its data directory is made with it.

    Raises SettingInvalid for a key that is none, and where a database of one's own comes without a key.
    """
    present = present_master_key(settings)
    if present is not None:
        return present
    if settings.database_url is not None:
        raise SettingInvalid(
            f"Set PERSONAKIT_MASTER_KEY: with a database of your own {_HOW}. It wraps the keys of the "
            "people in it: keep it apart from the database, and do not lose it."
        )
    with _alone(settings.data_dir):
        path = settings.data_dir / FILE
        if path.exists():  # somebody else came first
            return read_master_key(path)
        made = secrets.token_bytes(KEY_BYTES)
        written = settings.data_dir / MADE_FILE
        write_durably(written, _text(made))
        written.rename(path)  # at no time does another file hold the key that is in use
        sync_folder(settings.data_dir)
        return made


def present_master_key(settings: Settings) -> bytes | None:
    """The key that is there already; None where `master_key` would make one, or refuse. Raises
    SettingInvalid."""
    if settings.master_key is not None:
        return _decoded(settings.master_key, "PERSONAKIT_MASTER_KEY")
    path = settings.data_dir / FILE
    return read_master_key(path) if path.exists() else None


def read_master_key(path: Path) -> bytes:
    """The key in a file. Raises SettingInvalid for a file that holds none."""
    try:
        return _decoded(path.read_text(encoding="ascii").strip(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"The master key in {path} cannot be read: {error}.") from None


def begin_rotation(data_dir: Path, new: bytes | None) -> bytes:
    """Writes the key that is to come (None: makes one) beside the one there is; it is on the disk then."""
    coming = new or secrets.token_bytes(KEY_BYTES)
    write_durably(data_dir / NEW_FILE, _text(coming))
    sync_folder(data_dir)
    return coming


def pending_rotation(data_dir: Path) -> bytes | None:
    """The key that a rotation wrote and did not put in its place; None where there is none, or half."""
    try:
        return read_master_key(data_dir / NEW_FILE)
    except SettingInvalid:
        return None


def end_rotation(data_dir: Path) -> None:
    """Puts the new key in the place of the old one."""
    try:
        (data_dir / NEW_FILE).rename(data_dir / FILE)
    except FileNotFoundError:  # another process finished it
        return
    sync_folder(data_dir)


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """No other process makes a key in this directory meanwhile."""
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _text(key: bytes) -> bytes:
    return base64.b64encode(key) + b"\n"


def _decoded(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingInvalid(f"{where} is no master key; {_HOW}.")
    return key
