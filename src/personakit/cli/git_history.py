"""Reads the history of a git repository as a stream: who wrote which commits, and what each changed.

Two passes: the first lists every commit with its author, which is quick; the second asks git to compare
files, which is not, and only for the commits that are wanted.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO

import msgspec

from personakit.cli.languages import language_of
from personakit_sdk.errors import InvalidInput

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""No commit was written before; a date below this is a broken clock or a lost one."""
# Every switch that a person's own configuration could turn is set, so that two machines count alike.
PLAIN = ("--encoding=UTF-8", "--no-show-signature")
_SECONDS = re.compile(r"-?[0-9]{1,18}")
_OFFSET = re.compile(r"([+-]?)([0-9]{2})([0-9]{2})")
COMPARE = (
    *("--numstat", "-z", "--root", "--find-renames", "-l1000", "--no-diff-merges", "--diff-algorithm=myers"),
    *("--no-relative", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none"),
)


class Repository(msgspec.Struct, frozen=True):
    """A git repository at `path`. `name` is the same in every worktree of one clone."""

    path: Path
    name: str


class Commit(msgspec.Struct, frozen=True, gc=False):
    """What one commit changed. `seconds` since 1970, by the author's clock; `offset` minutes east of UTC.

    A merge changes nothing of its own: its lines were counted where they were written.
    """

    sha: str
    seconds: int
    offset: int
    merge: bool
    files_changed: int
    lines_added: int
    lines_deleted: int
    languages: tuple[str, ...]

    @property
    def authored_at(self) -> datetime:
        """The instant, in the author's own offset. Only for a commit that is `plausible`."""
        return datetime.fromtimestamp(self.seconds, timezone(timedelta(minutes=self.offset)))

    def plausible(self, now: datetime) -> bool:
        """Whether the author's clock can be right: from 1990 to a day from `now`."""
        return EARLIEST.timestamp() <= self.seconds <= (now + timedelta(days=1)).timestamp()


def open_repository(path: Path) -> Repository:
    """The repository around `path`. Raises InvalidInput when there is none or its history is cut."""
    asked = ("--is-shallow-repository", "--path-format=absolute", "--git-common-dir")
    shallow, common = _output(path, "rev-parse", *asked).splitlines()
    if shallow == "true":
        raise InvalidInput(
            f"{path} is a shallow clone: its history is cut off. Fetch the rest with "
            f"`git -C {path} fetch --unshallow`, then import again."
        )
    folder = Path(common)
    return Repository(path, folder.parent.name if folder.name == ".git" else folder.name.removesuffix(".git"))


def commits_by_author(repository: Repository) -> dict[str, list[str]]:
    """The hashes of all commits that HEAD reaches, oldest first, by lower-case author address.

    Addresses are those that the repository's mailmap gives. Raises InvalidInput when there is no commit.
    """
    _output(repository.path, "rev-parse", "--verify", "--quiet", "HEAD", refusal="has no commits yet")
    by_author: dict[str, list[str]] = {}
    for record in _stream(
        repository.path,
        ("log", "--reverse", "-z", *PLAIN, "--format=%H %aE", "HEAD"),
    ):
        sha, _, address = record.partition(" ")
        by_author.setdefault(address.lower(), []).append(sha)
    return by_author


def commits_of(authors: Sequence[str], by_author: dict[str, list[str]]) -> list[str]:
    """The hashes of the commits of any of `authors`. Raises InvalidInput, naming who is there, if none."""
    wanted = {author.lower() for author in authors}
    found = [sha for address in wanted for sha in by_author.get(address, [])]
    if not found:
        most = Counter({address: len(shas) for address, shas in by_author.items()}).most_common(10)
        there = ", ".join(f"{address} ({count})" for address, count in most)
        raise InvalidInput(f"There are no commits by {' or '.join(authors)}; authors here: {there}.")
    return found


def most_frequent_author(path: Path) -> str | None:
    """The address with the most commits in the repository around `path`; None where there is no history."""
    try:
        by_author = commits_by_author(open_repository(path))
    except InvalidInput:
        return None
    return max(by_author, key=lambda address: (len(by_author[address]), address))


def read_commits(repository: Repository, shas: Collection[str]) -> Iterator[Commit]:
    """Each of the commits `shas` with what it changed, one at a time as git reports it."""
    if not shas:
        return
    form = "--format=commit %H%x09%ad%x09%P"
    command = ("log", "--stdin", "--no-walk=unsorted", "--date=raw", form, *PLAIN, *COMPARE)
    yield from parse_log(_stream(repository.path, command, lines=shas))


def parse_log(records: Iterator[str]) -> Iterator[Commit]:
    """Commits from the NUL-separated records of `git log -z --numstat`.

    A record is a header (`commit` hash, tab, date, tab, parents), or a changed file: lines added, tab,
    lines deleted, tab, path. A renamed file has an empty path there and its two names in the next two
    records. A file's record always begins with a digit or "-", so that no name can pass for a header.
    """
    header = next(records, None)
    changes: list[tuple[int, int, str]] = []
    for record in records:
        if record.startswith("commit "):
            yield _commit(header or "", changes)
            header, changes = record, []
        else:
            changes.append(_change(record.removeprefix("\n"), records))
    if header is not None:
        yield _commit(header, changes)


def _change(record: str, records: Iterator[str]) -> tuple[int, int, str]:
    added, deleted, path = record.split("\t", 2)
    if not path:
        next(records)  # the name it had before
        path = next(records)
    # git counts no lines in a binary file and says so with "-".
    return (0 if added == "-" else int(added), 0 if deleted == "-" else int(deleted), path)


def _commit(header: str, changes: Sequence[tuple[int, int, str]]) -> Commit:
    sha, date, parents = header.removeprefix("commit ").split("\t")
    seconds, offset = _raw_date(date)
    return Commit(
        sha=sha,
        seconds=seconds,
        offset=offset,
        merge=len(parents.split()) > 1,
        files_changed=len(changes),
        lines_added=sum(added for added, _, _ in changes),
        lines_deleted=sum(deleted for _, deleted, _ in changes),
        languages=tuple(sorted({found for _, _, path in changes if (found := language_of(path))})),
    )


def _raw_date(date: str) -> tuple[int, int]:
    """Seconds and offset in minutes of `1700000000 +0545`; a date that is none is 1970."""
    seconds, _, zone = date.partition(" ")
    if not _SECONDS.fullmatch(seconds):
        return 0, 0
    offset = _OFFSET.fullmatch(zone)
    minutes = int(offset[2]) * 60 + int(offset[3]) if offset else 0
    # Some tools wrote offsets that no place has; RFC 3339 cannot say them.
    return int(seconds), (-minutes if offset and offset[1] == "-" else minutes) if minutes < 24 * 60 else 0


def _output(path: Path, *arguments: str, refusal: str | None = None) -> str:
    """What git prints. Raises InvalidInput: with `refusal` where given, else with git's own words."""
    with tempfile.TemporaryFile() as errors, _start(path, arguments, None, errors) as process:
        text, _ = process.communicate()
        if process.wait() != 0:
            raise InvalidInput(f"{path} {refusal}." if refusal else _complaint(path, errors))
    return text.decode("utf-8", "surrogateescape")


def _stream(path: Path, arguments: Sequence[str], lines: Iterable[str] = ()) -> Iterator[str]:
    """The NUL-ended records that git prints, while it prints them. Raises InvalidInput when git fails."""
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as told:
        told.writelines(f"{line}\n".encode() for line in lines)
        told.seek(0)
        with _start(path, arguments, told, errors) as process:
            try:
                yield from _records(process.stdout)
            except BaseException:
                process.terminate()
                raise
        if process.returncode != 0:
            raise InvalidInput(_complaint(path, errors))


def _records(stream: IO[bytes] | None) -> Iterator[str]:
    rest = b""
    while stream and (chunk := stream.read(1 << 16)):
        *whole, rest = (rest + chunk).split(b"\0")
        for record in whole:
            yield record.decode("utf-8", "surrogateescape")


def _start(
    path: Path, arguments: Sequence[str], told: IO[bytes] | None, errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    # What a hook or another tool put into the environment would point git at another repository. The
    # GIT_CONFIG variables stay: they may say which folders are safe.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    config = {name: value for name, value in os.environ.items() if name.startswith("GIT_CONFIG")}
    said = {"LC_ALL": "C", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_TERMINAL_PROMPT": "0"}
    # A repository may name a program that is to fetch what it lacks: git would run it, though it only reads.
    command = ("git", "--no-pager", "-c", "protocol.allow=never", "-C", str(path), *arguments)
    try:
        return subprocess.Popen(  # noqa: S603 - no shell, and every argument but the path is ours
            command,
            stdin=told or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=kept | config | said,
        )
    except FileNotFoundError as error:
        raise InvalidInput(
            "git is not installed, or not on the PATH; install it and import again."
        ) from error


def _complaint(path: Path, errors: IO[bytes]) -> str:
    errors.seek(0)
    words = " ".join(errors.read().decode("utf-8", "replace").split())
    if "not a git repository" in words:
        return f"{path} is not a git repository; give the folder of one."
    return f"git could not read {path}: {words or 'it gave no reason'}"
