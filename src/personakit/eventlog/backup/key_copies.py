"""The copies of people's keys: each backup's in a folder that is named by when it was taken, for 30 days.

Who was erased can be read again by whoever has a backup and its keys, so these go early; the log stays.
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from personakit.eventlog.backup.manifest import FILE

KEPT: Final = timedelta(days=30)
BROKEN_OFF_AFTER: Final = timedelta(days=1)
"""Keys without a manifest may be those of a backup that is being taken, for as long."""
_FORM: Final = "%Y%m%dT%H%M%SZ"
_NAME: Final = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{8}")


def name_of(taken_at: datetime, chance: str) -> str:
    """The name of a backup: when it was taken, and eight hexadecimal digits of chance."""
    return f"{taken_at.astimezone(UTC):{_FORM}}-{chance}"


def expiry(taken_at: datetime) -> datetime:
    """When keys that were copied then are to be gone."""
    return taken_at + KEPT


class Pruned(NamedTuple):
    """The names of the copies that are deleted, and why others are not whose time is over too."""

    gone: list[str]
    stuck: list[str]


def prune(keys_folder: Path, now: datetime) -> Pruned:
    """Deletes the copies whose time is over, and what backups that were broken off left. What has the name of
    no backup is left alone."""
    gone, stuck = [], []
    for folder in sorted(path for path in keys_folder.iterdir() if path.is_dir()):
        taken_at = _taken_at(folder.name)
        if taken_at is None:
            continue
        kept = KEPT if (folder / FILE).exists() else BROKEN_OFF_AFTER
        if now >= taken_at + kept:
            try:
                shutil.rmtree(folder)
                gone.append(folder.name)
            except OSError as error:
                stuck.append(str(error))
    return Pruned(gone, stuck)


def _taken_at(name: str) -> datetime | None:
    found = _NAME.fullmatch(name)
    try:
        return datetime.strptime(found[1], _FORM).replace(tzinfo=UTC) if found else None
    except ValueError:  # digits that are no time
        return None
