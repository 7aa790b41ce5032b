"""The laws of work sessions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from personakit.cli.git_history import Commit
from personakit.cli.sessions import GAP, work_sessions

START = int(datetime(2026, 1, 5, 9, tzinfo=UTC).timestamp())
MINUTE = timedelta(minutes=1)


def commit(seconds: int, sha: str = "", offset: int = 60) -> Commit:
    return Commit(sha or f"{seconds:040x}", seconds, offset, False, 1, 2, 1, ("Python",))


histories = st.lists(
    st.tuples(st.integers(0, 60 * 60 * 24 * 14), st.sampled_from([-720, -210, 0, 60, 345, 840])), max_size=60
).map(lambda rows: [commit(START + at, f"{n:040x}", offset) for n, (at, offset) in enumerate(rows)])
gaps = st.integers(0, 300).map(lambda minutes: minutes * MINUTE)
lead_ins = st.integers(0, 120).map(lambda minutes: minutes * MINUTE)


def test_a_days_work_with_a_long_lunch_is_two_sessions() -> None:
    commits = [commit(START + minutes * 60) for minutes in (0, 50, 110, 300, 310)]
    morning, afternoon = work_sessions(commits)
    assert [len(session.commits) for session in (morning, afternoon)] == [3, 2]
    assert morning.started_at.isoformat() == "2026-01-05T09:30:00+01:00"
    assert morning.duration == timedelta(minutes=140)
    assert afternoon.duration == timedelta(minutes=40)


def test_a_silence_of_exactly_the_gap_does_not_end_a_session() -> None:
    assert len(work_sessions([commit(START), commit(START + 7200)])) == 1
    assert len(work_sessions([commit(START), commit(START + 7201)])) == 2


def test_a_session_is_closed_when_no_commit_from_now_on_can_join_it() -> None:
    [session] = work_sessions([commit(START)])
    assert not session.closed(GAP, session.ended_at + GAP)
    assert session.closed(GAP, session.ended_at + GAP + timedelta(seconds=1))
    assert not session.closed(GAP, session.ended_at - timedelta(hours=5))


@given(histories, gaps)
def test_every_commit_is_in_exactly_one_session_and_sessions_are_in_order(
    commits: list[Commit], gap: timedelta
) -> None:
    sessions = work_sessions(commits, gap=gap)
    together = [commit for session in sessions for commit in session.commits]
    assert together == sorted(commits, key=lambda commit: (commit.seconds, commit.sha))


@given(histories, gaps, st.randoms())
def test_the_order_in_which_commits_arrive_is_no_matter(
    commits: list[Commit], gap: timedelta, chance: object
) -> None:
    shuffled = list(commits)
    chance.shuffle(shuffled)
    assert work_sessions(shuffled, gap=gap) == work_sessions(commits, gap=gap)


@given(histories, gaps)
def test_silences_within_a_session_are_at_most_the_gap_and_those_between_are_longer(
    commits: list[Commit], gap: timedelta
) -> None:
    sessions = work_sessions(commits, gap=gap)
    for session in sessions:
        within = (later.authored_at - earlier.authored_at for earlier, later in pairwise(session.commits))
        assert all(silence <= gap for silence in within)
    for before, after in pairwise(sessions):
        assert after.commits[0].authored_at - before.ended_at > gap


@given(histories, gaps, lead_ins)
def test_durations_sum_to_the_short_silences_and_the_lead_ins(
    commits: list[Commit], gap: timedelta, lead_in: timedelta
) -> None:
    seconds = sorted(commit.seconds for commit in commits)
    silences = [timedelta(seconds=later - earlier) for earlier, later in pairwise(seconds)]
    short = sum((silence for silence in silences if silence <= gap), timedelta())
    # A lead-in never reaches back over the last commit of the session before.
    leads = sum((min(lead_in, silence) for silence in silences if silence > gap), timedelta())
    first = lead_in if commits else timedelta()
    sessions = work_sessions(commits, gap=gap, lead_in=lead_in)
    assert sum((session.duration for session in sessions), timedelta()) == short + leads + first


@given(histories, gaps, lead_ins)
def test_sessions_never_overlap(commits: list[Commit], gap: timedelta, lead_in: timedelta) -> None:
    for before, after in pairwise(work_sessions(commits, gap=gap, lead_in=lead_in)):
        assert before.ended_at <= after.started_at <= after.commits[0].authored_at


@given(histories)
def test_a_session_is_told_in_the_offset_of_its_first_commit(commits: list[Commit]) -> None:
    for session in work_sessions(commits):
        assert session.started_at.utcoffset() == session.commits[0].authored_at.utcoffset()


@given(histories, st.integers(0, 60 * 60 * 24 * 14))
def test_what_is_closed_at_one_instant_is_the_same_whatever_is_committed_later(
    commits: list[Commit], cut: int
) -> None:
    now = datetime.fromtimestamp(START + cut, UTC)
    known = [commit for commit in commits if commit.authored_at <= now]
    closed = [session for session in work_sessions(known) if session.closed(GAP, now)]
    assert closed == work_sessions(commits)[: len(closed)]
