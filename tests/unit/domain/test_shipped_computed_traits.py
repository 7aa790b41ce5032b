"""The computed traits that come with the release: what they observe, and what they leave out."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from personakit.domain.computed_traits import ComputedTraits, Observed, load_computed_traits
from personakit.domain.events import MindscapeUpdated
from personakit.domain.mindscape import EMPTY, Mindscape, derive_update, evolve
from personakit.shipped import computed_traits_dir
from personakit_sdk.rules.yaml import load_yaml
from tests.unit.domain.observing import START

SESSION = {"duration_minutes": 90, "commits": 3, "languages": ["Python"], "repository": "harbour"}
COMMIT = {"sha": "ab", "lines_changed": 40, "languages": ["Python", "SQL"], "merge": False}
MEETING = {"duration_minutes": 30, "attendees": 3, "all_day": False, "status": "confirmed"}
CHECK_IN = {"mood": 4, "energy": 3, "stress": 2, "sleep_hours": 7.5, "timezone": "Europe/Berlin"}
REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "computed-traits.md"


@pytest.fixture(scope="module")
def shipped() -> ComputedTraits:
    folder = computed_traits_dir()
    return load_computed_traits(load_yaml(path.read_text("utf-8")) for path in sorted(folder.glob("*.yaml")))


def mindscape_after(computed: ComputedTraits, type_: str, *contents: dict[str, Any]) -> Mindscape:
    history = [
        Observed(UUID(int=n), type_, content, START + timedelta(days=n)) for n, content in enumerate(contents)
    ]
    event = derive_update(EMPTY, computed, history, 1)
    return evolve(EMPTY, event) if isinstance(event, MindscapeUpdated) else EMPTY


def seen(computed: ComputedTraits, type_: str, *contents: dict[str, Any]) -> dict[str, Any]:
    visible = mindscape_after(computed, type_, *contents).visible_traits()
    return {path: trait.value for path, trait in visible.items()}


def test_the_paths_are_these(shipped: ComputedTraits) -> None:
    assert sorted(shipped.paths) == [
        "calendar.meeting_days",
        "calendar.meeting_hours",
        "calendar.meeting_minutes",
        "calendar.meetings",
        "profile.timezone",
        "wellbeing.check_ins",
        "wellbeing.energy",
        "wellbeing.mood",
        "wellbeing.sleep_hours",
        "wellbeing.stress",
        "work.commit_days",
        "work.commit_hours",
        "work.commit_size",
        "work.commits",
        "work.focus_duration",
        "work.languages",
        "work.main_language",
        "work.recent_commit_size",
        "work.recent_session_minutes",
        "work.session_days",
        "work.session_hours",
        "work.sessions",
    ]


def test_work_sessions_tell_how_long_and_when(shipped: ComputedTraits) -> None:
    two = seen(shipped, "work_session", SESSION, SESSION)
    three = seen(shipped, "work_session", SESSION, SESSION, SESSION)
    assert "work.focus_duration" not in two
    assert three["work.focus_duration"] == {"p50": 90, "p90": 90}
    assert three["work.session_hours"]["peak"] == 9
    assert three["work.session_days"]["counts"] == [1, 1, 1, 0, 0, 0, 0]
    assert (three["work.sessions"], three["work.recent_session_minutes"]) == (3, 90)


def test_commits_tell_when_how_much_and_in_what(shipped: ComputedTraits) -> None:
    merge = COMMIT | {"merge": True, "lines_changed": 9000}
    found = seen(shipped, "code_commit", COMMIT, merge, COMMIT | {"languages": ["SQL"]})
    assert found["work.commit_size"] == {"p50": 40, "p90": 40}
    assert found["work.recent_commit_size"] == 40
    assert (found["work.commits"], found["work.main_language"]) == (3, "SQL")
    assert found["work.languages"] == ["Python", "SQL"]
    assert found["work.commit_hours"]["peak"] == 9
    assert sum(found["work.commit_days"]["counts"]) == 3


def test_only_events_with_others_at_an_hour_are_meetings(shipped: ComputedTraits) -> None:
    found = seen(shipped, "calendar_event", MEETING, MEETING | {"duration_minutes": 60})
    assert (found["calendar.meetings"], found["calendar.meeting_minutes"]) == (2, 45)
    assert found["calendar.meeting_hours"]["period"] == "morning"
    assert found["calendar.meeting_days"]["peak"] == "monday"
    alone, whole_day, off = {"attendees": 1}, {"all_day": True}, {"status": "cancelled"}
    assert seen(shipped, "calendar_event", MEETING | alone, MEETING | whole_day, MEETING | off) == {}


def test_check_ins_tell_how_a_person_is_and_where(shipped: ComputedTraits) -> None:
    assert seen(shipped, "check_in", CHECK_IN) == {
        "wellbeing.mood": 4,
        "wellbeing.energy": 3,
        "wellbeing.stress": 2,
        "wellbeing.sleep_hours": 7.5,
        "wellbeing.check_ins": 1,
        "profile.timezone": "Europe/Berlin",
    }
    assert seen(shipped, "check_in", {"mood": "slow"}) == {"wellbeing.check_ins": 1}


def test_one_more_commit_among_hundreds_is_not_material(shipped: ComputedTraits) -> None:
    mindscape = mindscape_after(shipped, "code_commit", *[COMMIT] * 300)
    more = Observed(UUID(int=999), "code_commit", COMMIT, START + timedelta(days=300))
    event = derive_update(mindscape, shipped, [more], 2)
    assert isinstance(event, MindscapeUpdated)
    assert event.material == ()


def test_the_example_in_the_reference_is_a_valid_document() -> None:
    examples = re.findall(r"```yaml\n(metadata:.*?)```", REFERENCE.read_text("utf-8"), re.DOTALL)
    assert examples
    for example in examples:
        assert load_computed_traits([load_yaml(example)]).paths
