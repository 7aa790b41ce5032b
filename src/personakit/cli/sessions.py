"""Commits to work sessions: stretches of work without a long gap. Pure; the order of arrival is no matter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from personakit.cli.git_history import Commit

GAP = timedelta(minutes=120)
"""A longer silence between two commits ends a session."""
LEAD_IN = timedelta(minutes=30)
"""Work that came before a session's first commit, which no commit shows."""


class WorkSession(msgspec.Struct, frozen=True):
    """Work from `started_at` to the last of `commits`, in the offset of the first."""

    started_at: datetime
    ended_at: datetime
    commits: tuple[Commit, ...]

    @property
    def duration(self) -> timedelta:
        """How long it took, lead-in included."""
        return self.ended_at - self.started_at

    def closed(self, gap: timedelta, now: datetime) -> bool:
        """Whether no commit made from `now` on can belong to it."""
        return now - self.ended_at > gap


def work_sessions(
    commits: Iterable[Commit], *, gap: timedelta = GAP, lead_in: timedelta = LEAD_IN
) -> list[WorkSession]:
    """The sessions of these commits of one person, oldest first; every commit is in exactly one.

    A session begins `lead_in` before its first commit, but never before the last commit of the session
    that came before it. A commit that turns up later in the middle of a session changes it.
    """
    sessions: list[WorkSession] = []
    for stretch in _stretches(sorted(commits, key=lambda commit: (commit.seconds, commit.sha)), gap):
        first, last = stretch[0].authored_at, stretch[-1].authored_at
        earliest = sessions[-1].ended_at if sessions else first - lead_in
        started = max(first - lead_in, earliest).astimezone(first.tzinfo)
        sessions.append(WorkSession(started, last.astimezone(first.tzinfo), tuple(stretch)))
    return sessions


def _stretches(commits: Sequence[Commit], gap: timedelta) -> Iterable[list[Commit]]:
    stretch: list[Commit] = []
    for commit in commits:
        if stretch and commit.seconds - stretch[-1].seconds > gap.total_seconds():
            yield stretch
            stretch = []
        stretch.append(commit)
    if stretch:
        yield stretch
