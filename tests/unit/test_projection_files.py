"""The files in `projections/` say what they do with every event, and hold what readers ask for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.events import EVENT_TYPES
from personakit.eventlog.codec import topics_of
from personakit.eventlog.stored import StreamId
from personakit.projections.opened import EventRow, Opened, rounds
from personakit.projections.sql import load_projection, load_projections, read_projection
from personakit.shipped import projections_dir

PROJECTIONS = load_projections(projections_dir())


def test_the_read_models_of_the_design_are_there() -> None:
    assert set(PROJECTIONS) == {
        "observations",
        "mindscapes",
        "personas",
        "mappers",
        "mapper_versions",
        "feedback",
        "changes",
        "derivation_due",
        "inference_due",
        "model_use",
        "computed_traits",
        "consents",
        "votes",
    }


@pytest.mark.parametrize("name", PROJECTIONS)
def test_a_projection_has_tables_handlers_and_queries(name: str) -> None:
    projection = PROJECTIONS[name]
    assert f"CREATE TABLE {name} " in projection.ddl
    assert projection.handlers.keys() <= EVENT_TYPES.keys()
    assert projection.queries
    assert len(f"p_{name}_{projection.definition}_9999") < 64


def test_every_event_is_handled_by_some_projection() -> None:
    handled = {event for projection in PROJECTIONS.values() for event in projection.handlers}
    assert handled == EVENT_TYPES.keys()


def test_a_file_that_forgets_an_event_is_refused(tmp_path: Path) -> None:
    text = (projections_dir() / "feedback.sql").read_text().replace("MapperPublished", "")
    (tmp_path / "feedback.sql").write_text(text)
    with pytest.raises(ValueError, match="MapperPublished"):
        load_projection(tmp_path / "feedback.sql")


def test_another_text_is_another_definition(tmp_path: Path) -> None:
    text = (projections_dir() / "feedback.sql").read_text()
    (tmp_path / "feedback.sql").write_text(f"{text}\n-- changed\n")
    changed = load_projection(tmp_path / "feedback.sql")
    assert changed.definition != PROJECTIONS["feedback"].definition


def event(position: int, name: str, stream: int, version: int, person: int | None = None) -> Opened:
    """An event of one entity, about the person of the same number unless another is named."""
    about = UUID(int=stream if person is None else person)
    id_ = StreamId("t", "kind", UUID(int=stream))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Opened(name, id_, EventRow(position, now, "t", id_.stream, version, about, msgspec.Raw(b"{}")))


def split(events: list[Opened], *, apart: bool) -> list[tuple[str, list[int]]]:
    """The positions in each round."""
    return [(name, [each.row.position for each in round_]) for name, round_ in rounds(events, apart=apart)]


@pytest.mark.parametrize("apart", [False, True])
def test_a_round_has_one_event_a_stream_and_keeps_each_streams_order(apart: bool) -> None:
    names = [(1, 1), (2, 1), (1, 2), (1, 3), (2, 2)]
    events = [event(n, "Updated", stream, version) for n, (stream, version) in enumerate(names)]
    assert split(events, apart=apart) == [("Updated", [0, 1]), ("Updated", [2, 4]), ("Updated", [3])]


def test_a_round_ends_where_the_type_changes() -> None:
    events = [event(0, "A", 1, 1), event(1, "B", 2, 1), event(2, "A", 3, 1)]
    assert split(events, apart=False) == [("A", [0]), ("B", [1]), ("A", [2])]


def test_what_is_about_different_people_is_taken_together_where_that_says_nothing_of_each_other() -> None:
    """Person 1 saw A before B, person 2 B before A: who comes to an earlier round joins it."""
    events = [
        event(0, "A", 10, 1, person=1),
        event(1, "B", 11, 1, person=1),
        event(2, "A", 20, 1, person=2),
        event(3, "B", 21, 1, person=2),
        event(4, "A", 22, 1, person=2),
        event(5, "B", 31, 1, person=3),
        event(6, "A", 32, 1, person=3),
    ]
    assert split(events, apart=True) == [("A", [0, 2]), ("B", [1, 3, 5]), ("A", [4, 6])]


RANDOM_EVENTS = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 3), st.integers(0, 2)), max_size=30)


@given(RANDOM_EVENTS, st.booleans())
def test_rounds_lose_nothing_and_change_no_order_that_matters(
    made: list[tuple[str, int, int]], apart: bool
) -> None:
    events = [
        event(n, name, 10 * person + stream, n, person) for n, (name, stream, person) in enumerate(made)
    ]
    found = rounds(events, apart=apart)
    order = [each.row.position for _, round_ in found for each in round_]
    at = {each.row.position: index for index, (_, round_) in enumerate(found) for each in round_}
    assert sorted(order) == list(range(len(events)))
    for n, later in enumerate(events):
        for m, earlier in enumerate(events[:n]):
            if earlier.stream_id == later.stream_id or (
                earlier.name != later.name and (not apart or earlier.about == later.about)
            ):
                assert at[m] < at[n]


def test_a_projection_says_which_members_of_the_content_it_looks_at() -> None:
    due = PROJECTIONS["derivation_due"]
    assert due.members["ObservationRecorded"] == frozenset()
    assert due.members["DerivationCompleted"] == {"derivation", "read_through", "definition"}
    assert due.contents == {*topics_of("MindscapeUpdated"), *topics_of("DerivationCompleted")}


def test_a_projection_is_handed_only_the_content_that_it_does_anything_with() -> None:
    pattern = PROJECTIONS["inference_due"].only["ObservationRecorded"]
    assert pattern.search(b'{"text":"four words in here"}')
    assert pattern.search(rb'{"text":"one\ntwo\nthree\nfour"}')
    assert pattern.search('{"text":"从现在开始我想每天"}'.encode())
    assert not pattern.search(
        b'{"lines_changed":7,"languages":["Python","Go","C","D"],"merge":false,"at":"a b c"}'
    )


def test_content_that_is_looked_at_as_a_whole_is_given_as_a_whole() -> None:
    source = (projections_dir() / "derivation_due.sql").read_text()
    whole = source.replace("payload->>'definition'", "payload::text", 1)
    assert read_projection("due", whole).members["DerivationCompleted"] is None
