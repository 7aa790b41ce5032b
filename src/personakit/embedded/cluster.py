"""The cluster: made once with checksums, and the settings that its server runs with."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from personakit.embedded.account import Account
from personakit.embedded.binaries import Binaries
from personakit.embedded.directories import PORT, Directories
from personakit.embedded.errors import PostgresUnavailable

SUPERUSER: Final = "personakit"
_FIRST_WITH_BUILTIN_LOCALE = 17
_HALF_MADE = "initdb-"

_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "min_wal_size": "80MB",
    "max_wal_size": "1GB",
    "random_page_cost": "1.1",  # a laptop's and a server's disk have no head to move
    "synchronous_commit": "on",  # a 2xx is sent after the commit, so the commit must have reached the disk
    "jit": "off",  # it pays on long queries only, and costs milliseconds on short ones
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",  # a failed start is told by its words
    "log_line_prefix": "%m [%p] ",
    # What a statement that fails was about, and the row that it names, may be somebody's.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}
_FORGETFUL: Final[Mapping[str, str]] = {"fsync": "off", "full_page_writes": "off"}


def major_version(cluster: Path) -> int | None:
    """The version of PostgreSQL that made the cluster; None where there is none yet."""
    try:
        return int((cluster / "PG_VERSION").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def make_cluster(where: Directories, binaries: Binaries, account: Account, *, durable: bool) -> None:
    """Make the cluster with data checksums, UTF-8, and text ordered by code point.

    It is made aside and renamed, so that a process killed meanwhile leaves nothing that looks like one.
    Anyone who reaches the socket is trusted: its directory admits only the account and root.
    Raises PostgresUnavailable with initdb's last lines.
    """
    for left_over in where.data_dir.glob(f"{_HALF_MADE}*"):
        shutil.rmtree(left_over, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=_HALF_MADE, dir=where.data_dir))
    if account.drop:
        os.chown(scratch, account.uid, account.gid)
    done = account.run(
        [binaries.initdb, f"--pgdata={scratch}", *_initdb_options(binaries.major, durable=durable)]
    )
    if done.returncode != 0:
        shutil.rmtree(scratch, ignore_errors=True)
        raise PostgresUnavailable(
            f"initdb could not make a database in {where.data_dir}: {last_lines(done.stdout)}"
        )
    scratch.rename(where.cluster)
    _sync(where.data_dir)


def server_command(
    where: Directories, binaries: Binaries, *, durable: bool, settings: Mapping[str, str]
) -> list[str | Path]:
    """The command line of the server; `settings` win over ours."""
    socket_dir = str(where.socket_dir).replace('"', '""')
    chosen = {
        **_SETTINGS,
        **({} if durable else _FORGETFUL),
        **settings,
        "unix_socket_directories": f'"{socket_dir}"',
    }
    options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
    return [binaries.postgres, "-D", where.cluster, *options]


def last_lines(text: str, count: int = 5) -> str:
    """The last lines of a log, in one line."""
    return " / ".join(line.strip() for line in text.splitlines()[-count:]) or "it said nothing"


def _initdb_options(major: int, *, durable: bool) -> list[str]:
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [
        f"--username={SUPERUSER}",
        "--encoding=UTF8",
        "--locale=C",
        *(builtin if major >= _FIRST_WITH_BUILTIN_LOCALE else []),
        "--data-checksums",
        "--auth-local=trust",
        "--auth-host=reject",
        "--no-instructions",
        *([] if durable else ["--no-sync"]),
    ]


def _sync(directory: Path) -> None:
    """A rename is kept only once the directory is on the disk: PostgreSQL syncs its files, not our name."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
