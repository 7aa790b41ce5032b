"""Importing a git history into a service: what is sent, and that sending again changes nothing."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from personakit.cli.git_import import import_git
from personakit_sdk.errors import InvalidInput
from personakit_sdk.transport import ServiceError, Transport

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AUTHORS = ["ann@example.org"]


def quiet(what: str, done: int, total: int | None) -> None:
    """A report that nobody reads."""


def run(transport: Transport, repository, now: datetime = NOW, **options: object):
    return import_git(transport, repository.path, AUTHORS, "ann", now=now, report=quiet, **options)


@pytest.fixture
def worked(repository):
    """Two closed sessions, of two commits and of one."""
    for date, name in (
        ("2026-01-05T22:00:00+0100", "a.py"),
        ("2026-01-05T23:30:00+0100", "b.sql"),
        ("2026-01-06T21:00:00+0100", "c.py"),
    ):
        repository.put(name, "1\n2\n")
        repository.commit(date)
    return repository


def test_a_commit_is_sent_as_numbers_without_words_or_addresses(worked, service, transport) -> None:
    summary = run(transport, worked)
    assert (summary.sent, summary.stored, summary.complete) == (5, 5, True)
    first = service.of_type("code_commit")[0]
    assert first["occurredAt"] == "2026-01-05T22:00:00+01:00"
    assert (first["personId"], first["source"]) == ("ann", "git:lantern")
    sha = worked.git("rev-list", "--max-parents=0", "HEAD").strip()
    assert first["content"] == {
        "sha": sha,
        "merge": False,
        "repository": "lantern",
        "files_changed": 1,
        "lines_added": 2,
        "lines_deleted": 0,
        "lines_changed": 2,
        "languages": ["Python"],
    }
    assert "ann@example.org" not in str(service.observations)


def test_a_work_session_is_sent_with_what_was_done_in_it(worked, service, transport) -> None:
    run(transport, worked)
    first, second = service.of_type("work_session")
    assert first["occurredAt"] == "2026-01-05T21:30:00+01:00"
    assert first["content"]["duration_minutes"] == 120
    assert (first["content"]["commits"], first["content"]["languages"]) == (2, ["Python", "SQL"])
    assert second["content"]["duration_minutes"] == 30


def test_importing_again_stores_nothing_again(worked, service, transport) -> None:
    run(transport, worked)
    again = run(transport, worked, NOW + timedelta(days=1))
    assert (again.stored, again.duplicates, again.changed) == (0, 5, 0)
    assert len(service.observations) == 5


def test_another_clone_of_the_same_name_doubles_nothing(worked, service, transport, tmp_path: Path) -> None:
    run(transport, worked)
    clone = tmp_path / "elsewhere" / "lantern"
    worked.git("clone", "--quiet", str(worked.path), str(clone))
    again = import_git(transport, clone, AUTHORS, "ann", now=NOW, report=quiet)
    assert (again.stored, again.duplicates) == (0, 5)


def test_another_person_has_observations_of_their_own(worked, service, transport) -> None:
    run(transport, worked)
    import_git(transport, worked.path, AUTHORS, "ann-at-work", now=NOW, report=quiet)
    assert len(service.observations) == 10


def test_a_session_that_may_still_grow_is_sent_later_and_never_under_two_bodies(
    worked, service, transport
) -> None:
    worked.commit("2026-03-01T12:30:00+0100")
    early = run(transport, worked)
    assert len(service.of_type("work_session")) == 2
    assert early.notes == ("1 work session may still grow; a later import sends it.",)
    worked.commit("2026-03-01T13:30:00+0100")
    late = run(transport, worked, NOW + timedelta(days=1))
    assert (late.changed, late.rejected, late.notes) == (0, 0, ())
    assert service.of_type("work_session")[-1]["content"]["commits"] == 2


def test_a_session_that_changed_is_kept_as_first_recorded(worked, service, transport) -> None:
    run(transport, worked)
    worked.commit("2026-01-05T22:45:00+0100")
    again = run(transport, worked)
    assert (again.stored, again.duplicates, again.changed, again.complete) == (1, 4, 1, True)
    assert service.of_type("work_session")[0]["content"]["commits"] == 2


def test_commits_of_another_age_are_left_out_and_counted(worked, service, transport) -> None:
    worked.commit("1970-01-01T00:00:01+0000")
    worked.commit("2036-01-01T00:00:00+0000")
    summary = run(transport, worked)
    assert summary.sent == 5
    assert summary.notes == ("2 commits left out: dated before 1990 or after tomorrow.",)


def test_an_import_that_was_killed_between_batches_goes_on(repository, service, transport) -> None:
    lines = [
        f"commit refs/heads/main\ncommitter Ann <ann@example.org> {seconds} +0100\ndata 1\nx\n"
        for seconds in range(1_700_000_000, 1_700_000_000 + 1200 * 10_800, 10_800)
    ]
    repository.git("fast-import", "--quiet", told="".join(lines).encode())
    service.script = [200, 400]
    with pytest.raises(ServiceError, match="It is a 400"):
        run(transport, repository)
    assert len(service.observations) == 500
    done = run(transport, repository)
    assert done.duplicates == 500
    assert len(service.observations) == done.sent == 500 + done.stored
    assert len(service.of_type("code_commit")) == 1200


def test_observations_arrive_oldest_first(worked, service, transport) -> None:
    run(transport, worked)
    instants = [datetime.fromisoformat(item["occurredAt"]) for item in service.observations.values()]
    assert instants == sorted(instants)


def test_the_hours_of_the_observations_are_those_that_git_tells(repository, service, transport) -> None:
    for number, offset in enumerate(["+0000", "+0545", "-0330", "+1400", "-1200"] * 3):
        repository.commit(f"{1_767_600_000 + number * 26_000} {offset}")
    run(transport, repository)
    told = repository.git("log", "--format=%ad", "--date=format:%H %u").splitlines()
    sent = [datetime.fromisoformat(item["occurredAt"]) for item in service.of_type("code_commit")]
    assert Counter(f"{at:%H} {at.isoweekday()}" for at in sent) == Counter(told)


def test_nothing_is_sent_for_an_unknown_author(worked, service, transport) -> None:
    with pytest.raises(InvalidInput, match="authors here: ann@"):
        import_git(transport, worked.path, ["bob@example.org"], "bob", now=NOW, report=quiet)
    assert service.batches == []
