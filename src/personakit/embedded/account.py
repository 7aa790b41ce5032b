"""Who PostgreSQL runs as: it refuses root, so root hands it to an account without rights."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from personakit.embedded.errors import PostgresUnavailable

_UNPRIVILEGED = "nobody"
_FIRST_CLOSED = 'for each do test -x "$each" || { printf %s "$each"; exit 1; }; done'


class Account(NamedTuple):
    """A user of the operating system. `drop` is true when a process has to be started as that user."""

    name: str
    uid: int
    gid: int
    drop: bool

    def run(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run `command` to its end as this account; the answer holds its output, errors included."""
        return subprocess.run(  # noqa: S603 - a list, of our own making
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self._spawning(),
        )

    def launch(self, command: Sequence[str | Path], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start `command` as this account, in a session of its own, writing to `log`.

        The session keeps a terminal's Ctrl-C away from it: that is sent to the whole process group, and
        a database that stopped by it would be gone before the service has written what it accepted.
        """
        return subprocess.Popen(  # noqa: S603 - a list, of our own making
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **self._spawning(),
        )

    def _spawning(self) -> dict[str, Any]:
        who = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.drop else {}
        return {"env": _environment(), "cwd": "/", **who}


def account_for(cluster: Path) -> Account:
    """Ourselves; as root the owner of an existing `cluster` directory, else `nobody`.

    Raises PostgresUnavailable when we are root and there is no such account.
    """
    if os.geteuid() != 0:
        return Account(_name(os.geteuid()), os.geteuid(), os.getegid(), drop=False)
    if cluster.is_dir() and (owner := cluster.stat()).st_uid != 0:
        return Account(_name(owner.st_uid), owner.st_uid, owner.st_gid, drop=True)
    try:
        found = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError as missing:
        raise PostgresUnavailable(
            f"PostgreSQL does not run as root and this machine has no user {_UNPRIVILEGED} to run it as; "
            "start PersonaKit as an ordinary user."
        ) from missing
    return Account(found.pw_name, found.pw_uid, found.pw_gid, drop=True)


def first_closed(directories: Iterable[Path], account: Account) -> Path | None:
    """The first of `directories` that `account` may not pass through, or None.

    The account itself tries, in one process: mode bits alone would not show access lists.
    """
    answer = account.run(["/bin/sh", "-c", _FIRST_CLOSED, "sh", *directories])
    return Path(answer.stdout) if answer.returncode else None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run as a number that no account has
        return str(uid)


def _environment() -> dict[str, str]:
    """What PostgreSQL needs and nothing else: no PG* setting of the caller's, and none of our secrets."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}
