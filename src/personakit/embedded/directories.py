"""The directories of an embedded PostgreSQL: made with exact modes, never loosened above the data directory.

data_dir/            ours; as root passable (0711), so that the account can reach what follows
  postgres.lock      held by the process that will stop the server
  postgres.log
  postgres/   0700   the account's: the cluster
  socket/     0700   the account's: the socket (elsewhere when this path is too long for one)
  binaries/          only where the wheel's programs had to be copied out
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

from personakit.embedded.account import Account, first_closed
from personakit.embedded.errors import PostgresUnavailable

PORT = 5432
LONGEST_SOCKET_PATH = 103
"""Bytes. `sockaddr_un` holds 107 on Linux and 103 on macOS, the final NUL apart."""
# A fixed place, not $TMPDIR: every process has to come to the same one, and root's may be closed to others.
_TEMPORARY = Path("/tmp")  # noqa: S108 - made 0700, and its owner is checked


class Directories(NamedTuple):
    """Where things are in one data directory."""

    data_dir: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.data_dir / "postgres"

    @property
    def lock(self) -> Path:
        """The file whose lock makes a process the owner."""
        return self.data_dir / "postgres.lock"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.data_dir / "postgres.log"

    @property
    def socket_dir(self) -> Path:
        """In the data directory, or under the system's temporary one, named by a hash of the data directory.

        The second where the path is too long for a socket, or has a comma, which libpq splits hosts at.
        """
        inside = self.data_dir / "socket"
        if len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH and "," not in str(inside):
            return inside
        return _TEMPORARY / f"personakit-{hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:24]}"


def make_data_dir(data_dir: Path, account: Account) -> None:
    """Make `data_dir` and its missing parents, passable for `account`; what exists stays as it is.

    One exception: an empty `data_dir` of ours that is closed (as `mktemp -d` makes it) is opened.
    Raises PostgresUnavailable when we or `account` may not use it, with the setting to change.
    """
    mode = 0o711 if account.drop else 0o700
    try:
        for missing in reversed([path for path in (data_dir, *data_dir.parents) if not path.exists()]):
            missing.mkdir(exist_ok=True)
            missing.chmod(mode)
        empty = not any(data_dir.iterdir())
    except OSError as refused:
        raise PostgresUnavailable(
            f"The data directory {data_dir} cannot be used: {refused.strerror} ({refused.filename}); "
            "set PERSONAKIT_DATA_DIR to a directory of your own."
        ) from refused
    closed = _closed_on_the_way(data_dir, account)
    if closed == data_dir and empty and data_dir.stat().st_uid == os.geteuid():
        data_dir.chmod(mode)
    elif closed is not None:
        raise PostgresUnavailable(_closed_to(account, data_dir, closed))


def make_private_dir(path: Path, account: Account) -> None:
    """Make `path` with mode 0700 for `account`, or take one that is so. Raises as the check does."""
    path.mkdir(mode=0o700, exist_ok=True)
    check_private_dir(path, account)
    if account.drop:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def check_private_dir(path: Path, account: Account) -> None:
    """Raises PostgresUnavailable when `path` is there and not a 0700 directory of `account` or ours.

    Another user may have put it in our way, to listen where we look for our server.
    """
    try:
        seen = path.lstat()
    except FileNotFoundError:
        return
    ours = stat.S_ISDIR(seen.st_mode) and seen.st_uid in {account.uid, os.geteuid()}
    if not ours or stat.S_IMODE(seen.st_mode) != 0o700:
        raise PostgresUnavailable(
            f"{path} has to be a directory of user {account.name} with mode 0700, but it is "
            f"{stat.filemode(seen.st_mode)} of user number {seen.st_uid}; remove it and start again."
        )


def open_private_file(path: Path) -> int:
    """A descriptor of `path` for appending, made with mode 0600; a symbolic link is not followed."""
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _closed_on_the_way(data_dir: Path, account: Account) -> Path | None:
    """What `account` may not pass through on the way to `data_dir`; that itself where we may not write."""
    if account.drop:
        return first_closed([*reversed(data_dir.parents), data_dir], account)
    return None if os.access(data_dir, os.W_OK | os.X_OK) else data_dir


def _closed_to(account: Account, data_dir: Path, closed: Path) -> str:
    where = "is closed" if closed == data_dir else f"lies below {closed}, which is closed"
    setting = "set PERSONAKIT_DATA_DIR to a directory"
    if not account.drop:
        return f"The data directory {data_dir} {where} to user {account.name}; {setting} of your own."
    return (
        f"The data directory {data_dir} {where} to user {account.name}, whom PostgreSQL runs as because root "
        f"may not; {setting} that every user may pass through, for example /var/lib/personakit, or start "
        "PersonaKit as an ordinary user."
    )
