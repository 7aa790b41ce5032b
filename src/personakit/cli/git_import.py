"""Imports a git history: commits and work sessions of one person, as observations.

What leaves the machine is numbers, languages, hashes and the repository's name: no message, no address,
no file name.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from personakit.cli.delivery import Report, Summary, deliver
from personakit.cli.git_history import (
    Commit,
    Repository,
    commits_by_author,
    commits_of,
    open_repository,
    read_commits,
)
from personakit.cli.observation_ids import observation_id
from personakit.cli.sessions import GAP, LEAD_IN, WorkSession, work_sessions
from personakit_sdk.transport import Transport
from personakit_sdk.wire import Observation


def import_git(
    transport: Transport,
    repository: Path,
    authors: Sequence[str],
    person: str,
    *,
    now: datetime,
    report: Report,
    gap: timedelta = GAP,
    lead_in: timedelta = LEAD_IN,
) -> Summary:
    """Send the commits and closed work sessions of `authors` in the repository as those of `person`.

    Again and again with the same outcome: the commit's hash (a session's: its first commit's) and the
    person make the id, so that neither the path nor another clone doubles anything. A session that
    `now` is still open is left for a later import, because it would have another body then. One that
    changed since it was recorded (a commit turned up late) is kept as it was first recorded and counted
    as `changed`. Another `gap` than before divides the work anew, and adds the sessions that begin
    elsewhere. Raises InvalidInput for what is no usable history.
    """
    opened = open_repository(repository)
    commits = _commits(opened, authors, report)
    plausible = [commit for commit in commits if commit.plausible(now)]
    sessions = work_sessions(plausible, gap=gap, lead_in=lead_in)
    closed = [session for session in sessions if session.closed(gap, now)]
    summary = deliver(
        transport,
        observations(opened.name, person, plausible, closed),
        report,
        total=len(plausible) + len(closed),
    )
    return msgspec.structs.replace(
        summary, notes=_notes(len(commits) - len(plausible), len(sessions) - len(closed))
    )


def observations(
    repository: str, person: str, commits: Sequence[Commit], sessions: Sequence[WorkSession]
) -> Iterator[Observation]:
    """The observations of these commits and sessions, oldest first."""
    in_order = sorted(commits, key=lambda commit: (commit.seconds, commit.sha))
    return heapq.merge(
        (_code_commit(repository, person, commit) for commit in in_order),
        (_work_session(repository, person, session) for session in sessions),
        key=lambda observation: observation.occurred_at,
    )


def _commits(repository: Repository, authors: Sequence[str], report: Report) -> list[Commit]:
    shas = commits_of(authors, commits_by_author(repository))
    commits = []
    for commit in read_commits(repository, shas):
        commits.append(commit)
        report("reading", len(commits), len(shas))
    return commits


def _code_commit(repository: str, person: str, commit: Commit) -> Observation:
    content = {"sha": commit.sha, "merge": commit.merge, "repository": repository, **_changes([commit])}
    return Observation(
        id=observation_id("code_commit", person, commit.sha),
        person_id=person,
        type="code_commit",
        content=content,
        occurred_at=commit.authored_at,
        source=f"git:{repository}",
    )


def _work_session(repository: str, person: str, session: WorkSession) -> Observation:
    content = {
        "duration_minutes": round(session.duration.total_seconds() / 60),
        "commits": len(session.commits),
        "repository": repository,
        **_changes(session.commits),
    }
    return Observation(
        id=observation_id("work_session", person, session.commits[0].sha),
        person_id=person,
        type="work_session",
        content=content,
        occurred_at=session.started_at,
        source=f"git:{repository}",
    )


def _changes(commits: Sequence[Commit]) -> dict[str, Any]:
    added = sum(commit.lines_added for commit in commits)
    deleted = sum(commit.lines_deleted for commit in commits)
    return {
        "files_changed": sum(commit.files_changed for commit in commits),
        "lines_added": added,
        "lines_deleted": deleted,
        "lines_changed": added + deleted,
        "languages": sorted({language for commit in commits for language in commit.languages}),
    }


def _notes(implausible: int, still_open: int) -> tuple[str, ...]:
    notes = []
    if implausible:
        notes.append(f"{implausible} commits left out: dated before 1990 or after tomorrow.")
    if still_open:
        notes.append(f"{still_open} work session may still grow; a later import sends it.")
    return tuple(notes)
