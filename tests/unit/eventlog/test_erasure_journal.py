"""The journal of erasures keeps every line that it took, whatever broke off, and says what it cannot read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.eventlog.erasure_journal import (
    Erasure,
    ErasureJournal,
    ErasureJournalUnusable,
    Line,
    MadeAgain,
)

ERASURES = st.builds(
    Erasure,
    id=st.uuids(),
    erased_at=st.datetimes(timezones=st.just(UTC)),
    tenant=st.sampled_from(["default", "acme"]),
    surrogates=st.lists(st.uuids(), min_size=1, max_size=4).map(tuple),
    tombstone=st.binary(min_size=32, max_size=32).map(bytes.hex),
)
LINES = ERASURES | st.builds(
    MadeAgain,
    id=st.uuids(),
    made_again=st.datetimes(timezones=st.just(UTC)),
    tenant=st.sampled_from(["default", "acme"]),
    surrogates=st.lists(st.uuids(), min_size=1, max_size=4).map(tuple),
)
ONE = Erasure(
    id=UUID(int=1),
    erased_at=datetime(2026, 3, 2, tzinfo=UTC),
    tenant="default",
    surrogates=(UUID(int=2), UUID(int=3)),
    tombstone="ab" * 32,
)


def test_a_line_has_no_name_in_it_and_is_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "erasures.jsonl"
    ErasureJournal(path).append(ONE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == (
        '{"id":"00000000-0000-0000-0000-000000000001","erasedAt":"2026-03-02T00:00:00Z","tenant":"default",'
        '"surrogates":["00000000-0000-0000-0000-000000000002","00000000-0000-0000-0000-000000000003"],'
        f'"tombstone":"{"ab" * 32}"}}\n'
    )
    (read,) = ErasureJournal(path).read()
    assert isinstance(read, Erasure)
    assert (read, read.person, read.personas) == (ONE, UUID(int=2), (UUID(int=3),))


def test_where_nothing_was_erased_there_is_nothing(tmp_path: Path) -> None:
    assert list(ErasureJournal(tmp_path / "none").read()) == []


@given(st.lists(LINES, max_size=5), st.lists(LINES, max_size=5), st.binary(max_size=9000))
def test_what_was_written_is_read_and_what_broke_off_is_nothing(
    before: list[Line], after: list[Line], broken: bytes
) -> None:
    with TemporaryDirectory() as folder:
        journal = ErasureJournal(Path(folder, "erasures.jsonl"))
        for each in before:
            journal.append(each)
        with Path(folder, "erasures.jsonl").open("ab") as file:
            file.write(broken.replace(b"\n", b" "))
        assert list(journal.read()) == before
        for each in after:
            journal.append(each)
        assert list(journal.read()) == before + after


def test_a_line_that_cannot_be_read_is_said_and_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "erasures.jsonl"
    ErasureJournal(path).append(ONE)
    with path.open("ab") as file:
        file.write(b'{"id": 7}\n')
    with pytest.raises(ErasureJournalUnusable, match="Line 2 "):
        list(ErasureJournal(path).read())


def failing(times: int) -> Callable[[int], None]:
    """An fsync of a disk that fails so many times."""
    left = iter(range(times))

    def fsync(_: int) -> None:
        if next(left, None) is not None:
            raise OSError(errno.EIO, "Input/output error")

    return fsync


def test_a_line_that_did_not_reach_the_disk_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was refused is not done by the next start."""
    journal = ErasureJournal(tmp_path / "erasures.jsonl")
    journal.append(ONE)
    monkeypatch.setattr(os, "fsync", failing(1))
    with pytest.raises(ErasureJournalUnusable, match=r"Nothing was done\.$"):
        journal.append(ONE)
    assert list(journal.read()) == [ONE]


def test_where_it_cannot_be_taken_back_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = ErasureJournal(tmp_path / "erasures.jsonl")
    journal.append(ONE)
    monkeypatch.setattr(os, "fsync", failing(2))
    with pytest.raises(ErasureJournalUnusable, match="the next start does what it says"):
        journal.append(ONE)


def test_a_journal_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ErasureJournalUnusable, match="Nothing was done"):
        ErasureJournal(tmp_path / "no-such-folder" / "erasures.jsonl").append(ONE)
