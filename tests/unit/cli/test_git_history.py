"""Reading histories of real repositories, made here with the git binary."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.cli.git_history import (
    Commit,
    commits_by_author,
    commits_of,
    most_frequent_author,
    open_repository,
    parse_log,
    read_commits,
)
from personakit_sdk.errors import InvalidInput

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def history(path: Path, *authors: str) -> list[Commit]:
    repository = open_repository(path)
    return list(
        read_commits(repository, commits_of(authors or ["ann@example.org"], commits_by_author(repository)))
    )


def test_a_commit_says_what_it_changed_and_when_by_its_authors_clock(repository) -> None:
    repository.write(a__py="one\ntwo\n", b__sql="x\n")
    sha = repository.commit("2026-01-05T23:30:00+0545")
    [commit] = history(repository.path)
    assert (commit.sha, commit.merge) == (sha, False)
    assert (commit.files_changed, commit.lines_added, commit.lines_deleted) == (2, 3, 0)
    assert commit.languages == ("Python", "SQL")
    assert commit.authored_at.isoformat() == "2026-01-05T23:30:00+05:45"


def test_a_renamed_file_counts_once_with_the_lines_that_changed_in_it(repository) -> None:
    repository.put("old name.txt", "\n".join(f"line {n}" for n in range(20)))
    repository.commit("2026-01-05T10:00:00+0000")
    repository.git("mv", "old name.txt", "new.py")
    repository.put("new.py", "\n".join(f"line {n}" for n in range(19)))
    repository.put("after.rs", "x\n")
    repository.commit("2026-01-05T11:00:00+0000")
    renamed = history(repository.path)[1]
    assert renamed.files_changed == 2
    assert renamed.languages == ("Python", "Rust")
    assert (renamed.lines_added, renamed.lines_deleted) == (2, 2)


def test_a_binary_file_is_a_changed_file_without_lines(repository) -> None:
    repository.put("logo.png", bytes(range(256)) * 10)
    repository.commit("2026-01-05T10:00:00+0000")
    [commit] = history(repository.path)
    assert (commit.files_changed, commit.lines_added, commit.languages) == (1, 0, ())


def test_an_empty_commit_and_the_one_after_it_are_both_read(repository) -> None:
    repository.write(a__py="1\n")
    repository.commit("2026-01-05T10:00:00+0000")
    repository.commit("2026-01-05T11:00:00+0000")
    repository.write(a__py="2\n")
    repository.commit("2026-01-05T12:00:00+0000")
    assert [commit.files_changed for commit in history(repository.path)] == [1, 0, 1]


def test_a_merge_is_marked_and_counts_no_line_twice(repository) -> None:
    repository.write(a__py="1\n")
    repository.commit("2026-01-05T10:00:00+0000")
    repository.git("checkout", "--quiet", "-b", "side")
    repository.write(b__py="1\n2\n")
    repository.commit("2026-01-05T11:00:00+0000")
    repository.git("checkout", "--quiet", "main")
    repository.write(c__py="1\n")
    repository.commit("2026-01-05T12:00:00+0000")
    environ = {"GIT_AUTHOR_DATE": "2026-01-05T13:00:00+0000", "GIT_AUTHOR_EMAIL": "ann@example.org"}
    repository.git("merge", "--quiet", "--no-ff", "-m", "merge", "side", **environ)
    commits = history(repository.path)
    assert [commit.merge for commit in commits].count(True) == 1
    assert sum(commit.lines_added for commit in commits) == 4


@pytest.mark.parametrize(
    "name",
    ["ünïcødé.py", "日本語.py", "tab\there.py", "new\nline.py", "commit abc.py", 'q"uote.py', "-\t-\tx.py"],
)
def test_any_file_name_is_read(repository, name: str) -> None:
    repository.put(name, "1\n")
    repository.commit("2026-01-05T10:00:00+0000")
    [commit] = history(repository.path)
    assert (commit.files_changed, commit.lines_added, commit.languages) == (1, 1, ("Python",))


def test_a_file_name_that_is_no_text_is_read(repository) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", told=b"1\n").strip()
    entry = b"100644 blob " + blob.encode() + b"\t\xff\xfe.py\0"
    tree = repository.git("mktree", "-z", told=entry).strip()
    sha = repository.git(
        "commit-tree",
        "-m",
        "x",
        tree,
        GIT_AUTHOR_EMAIL="ann@example.org",
        GIT_AUTHOR_DATE="2026-01-05T10:00:00Z",
    )
    repository.git("update-ref", "refs/heads/main", sha.strip())
    assert history(repository.path)[0].languages == ("Python",)


def test_an_author_is_matched_whole_in_any_case_and_never_as_a_pattern(repository) -> None:
    for email in ("Ann@Example.org", "ann@exampleXorg", "joann@example.org", "ann@example.org"):
        repository.commit("2026-01-05T10:00:00+0000", email)
    assert len(history(repository.path, "ANN@example.ORG")) == 2


def test_several_authors_may_be_one_person(repository) -> None:
    for email in ("ann@example.org", "ann@work.example", "bob@example.org"):
        repository.commit("2026-01-05T10:00:00+0000", email)
    assert len(history(repository.path, "ann@example.org", "ann@work.example")) == 2


def test_the_mailmap_says_who_an_old_address_is(repository) -> None:
    repository.put(".mailmap", "Ann <ann@example.org> <old@example.org>\n")
    repository.commit("2026-01-05T10:00:00+0000", "old@example.org")
    assert len(history(repository.path, "ann@example.org")) == 1


def test_an_unknown_author_is_told_who_is_there(repository) -> None:
    for email in ("bob@example.org", "bob@example.org", "cy@example.org"):
        repository.commit("2026-01-05T10:00:00+0000", email)
    with pytest.raises(InvalidInput) as caught:
        history(repository.path, "ann@example.org")
    assert str(caught.value) == (
        "There are no commits by ann@example.org; authors here: bob@example.org (2), cy@example.org (1)."
    )


def test_the_most_frequent_author_is_found_and_is_none_without_a_history(repository, tmp_path: Path) -> None:
    assert most_frequent_author(repository.path) is None
    assert most_frequent_author(tmp_path) is None
    for email in ("bob@example.org", "ann@example.org", "Bob@example.org"):
        repository.commit("2026-01-05T10:00:00+0000", email)
    assert most_frequent_author(repository.path) == "bob@example.org"


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not a git repository"):
        open_repository(tmp_path)


def test_a_repository_without_commits_is_refused(repository) -> None:
    with pytest.raises(InvalidInput, match="has no commits yet"):
        commits_by_author(open_repository(repository.path))


def test_a_shallow_clone_is_refused_with_the_way_out(repository, tmp_path: Path) -> None:
    repository.commit("2026-01-05T10:00:00+0000")
    repository.commit("2026-01-05T11:00:00+0000")
    clone = tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.path}", str(clone))
    with pytest.raises(InvalidInput, match="fetch --unshallow"):
        open_repository(clone)


def test_a_missing_git_is_said_so(repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidInput, match="git is not installed"):
        open_repository(repository.path)


def test_every_worktree_and_subfolder_of_a_clone_bears_its_name(repository, tmp_path: Path) -> None:
    repository.put("deep/er/a.py", "1\n")
    repository.commit("2026-01-05T10:00:00+0000")
    repository.git("worktree", "add", "--quiet", str(tmp_path / "other"))
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(tmp_path / "copy.git"))
    assert open_repository(repository.path / "deep" / "er").name == "lantern"
    assert open_repository(tmp_path / "other").name == "lantern"
    assert open_repository(tmp_path / "copy.git").name == "copy"
    assert history(repository.path / "deep" / "er") == history(tmp_path / "copy.git")


def test_a_persons_own_settings_and_a_hooks_environment_change_nothing(
    repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repository.put("old.py", "\n".join(f"line {n}" for n in range(20)))
    repository.commit("2026-01-05T10:00:00+0000")
    repository.git("mv", "old.py", "sub.py")
    repository.commit("2026-01-05T11:00:00+0000")
    before = history(repository.path)
    for setting in (
        "diff.renames=false",
        "log.showSignature=true",
        "diff.algorithm=histogram",
        "log.showRoot=false",
        "diff.relative=true",
        "log.date=iso",
        "i18n.logOutputEncoding=UTF-16",
        "log.diffMerges=on",
    ):
        repository.git("config", *setting.split("=", 1))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert history(repository.path) == before


def test_a_date_that_cannot_be_right_is_told_apart(repository) -> None:
    dates = (
        "1970-01-01T00:00:01+0000",
        "1989-12-31T00:00:00+0000",
        "1990-01-02T00:00:00+0000",
        "2026-03-01T23:00:00+0000",
        "2026-03-02T01:00:00+0000",
        "2090-01-01T00:00:00+0000",
    )
    for date in dates:
        repository.commit(date)
    assert [commit.plausible(NOW) for commit in history(repository.path)] == [
        False,
        False,
        True,
        True,
        False,
        False,
    ]


def test_an_offset_that_no_place_has_is_read_as_utc(repository) -> None:
    tree = repository.git("mktree", told=b"").strip()
    raw = f"tree {tree}\nauthor Ann <ann@example.org> 1767607200 +9959\ncommitter A <a@x> 0 +0000\n\nx\n"
    sha = repository.git("hash-object", "-t", "commit", "-w", "--stdin", told=raw.encode()).strip()
    repository.git("update-ref", "refs/heads/main", sha)
    assert history(repository.path)[0].authored_at.isoformat() == "2026-01-05T10:00:00+00:00"


def test_a_commit_without_a_readable_date_is_not_plausible(repository) -> None:
    tree = repository.git("mktree", told=b"").strip()
    raw = f"tree {tree}\nauthor Ann <ann@example.org> soon\ncommitter Ann <a@x> 1767607200 +0000\n\nx\n"
    sha = repository.git(
        "hash-object", "-t", "commit", "-w", "--literally", "--stdin", told=raw.encode()
    ).strip()
    repository.git("update-ref", "refs/heads/main", sha)
    assert [commit.plausible(NOW) for commit in history(repository.path)] == [False]


def test_hours_and_weekdays_are_those_that_git_itself_tells(repository) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number, offset in enumerate(["+0000", "+0545", "-0330", "+1400", "-1200", "+0100", "-0800"] * 3):
        moment = start + timedelta(hours=number * 7.3)
        repository.commit(f"{int(moment.timestamp())} {offset}")
    told = repository.git("log", "--format=%ad", "--date=format:%H %u").splitlines()
    commits = history(repository.path)
    found = Counter(f"{commit.authored_at:%H} {commit.authored_at.isoweekday()}" for commit in commits)
    assert found == Counter(told)


def test_a_reader_that_stops_early_leaves_no_git_behind(repository) -> None:
    for minute in range(5):
        repository.commit(f"2026-01-05T10:0{minute}:00+0000")
    opened = open_repository(repository.path)
    commits = read_commits(opened, commits_by_author(opened)["ann@example.org"])
    assert next(commits).seconds == datetime(2026, 1, 5, 10, tzinfo=UTC).timestamp()
    commits.close()  # warns, and so fails, when the process or its pipe is left open


def test_a_hash_that_is_not_there_is_gits_own_complaint(repository) -> None:
    repository.commit("2026-01-05T10:00:00+0000")
    with pytest.raises(InvalidInput, match="git could not read"):
        list(read_commits(open_repository(repository.path), ["0" * 40]))


def test_twenty_thousand_commits_are_read_in_bounded_memory(repository) -> None:
    stream = []
    for number in range(20_000):
        body = f"{number}\n"
        stream.append(
            f"commit refs/heads/main\ncommitter Ann <ann@example.org> {1_600_000_000 + number * 600} +0100\n"
            f"data 1\nx\nM 100644 inline f{number % 50}.py\ndata {len(body)}\n{body}"
        )
    repository.git("fast-import", "--quiet", told="".join(stream).encode())
    opened = open_repository(repository.path)
    shas = commits_by_author(opened)["ann@example.org"]
    tracemalloc.start()
    lines = sum(commit.lines_added for commit in read_commits(opened, shas))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lines == 20_000
    assert peak < 8_000_000


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda n: "\0" not in n
)
counts = st.integers(0, 10**6)
change = st.tuples(counts, counts, names, st.one_of(st.none(), names))


@given(st.lists(st.lists(change, max_size=5), max_size=6))
def test_what_git_writes_is_what_is_read_whatever_the_names(
    commits: list[list[tuple[int, int, str, str | None]]],
) -> None:
    records: list[str] = []
    for number, changes in enumerate(commits):
        records.append(f"commit {number:040x}\t1700000000 +0100\t")
        for index, (added, deleted, name, renamed) in enumerate(changes):
            first = "\n" if index == 0 else ""
            records += [f"{first}{added}\t{deleted}\t{name if renamed is None else ''}"]
            records += [] if renamed is None else [name, renamed]
    read = list(parse_log(iter(records)))
    assert [commit.files_changed for commit in read] == [len(changes) for changes in commits]
    assert [commit.lines_added for commit in read] == [
        sum(change[0] for change in changes) for changes in commits
    ]


def test_a_repository_has_no_program_of_its_own_run(repository, tmp_path: Path) -> None:
    """One that lacks a file and names who has it: git would start that program to fetch it."""
    repository.write(a__py="one\n")
    repository.commit("2026-01-05T10:00:00+0000")
    told = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch '{told}'\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    for name, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": str(repository.path),
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": str(program),
    }.items():
        repository.git("config", name, value)
    blob = repository.git("rev-parse", "HEAD:a.py").strip()
    (repository.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(InvalidInput, match="git could not read"):
        history(repository.path)
    assert not told.exists()
