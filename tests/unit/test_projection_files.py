"""The files in `projections/` say what they do with every event, and hold what readers ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from personakit.domain.events import EVENT_TYPES
from personakit.eventlog.stored import LogNotification, StreamId
from personakit.projections.follow import rounds
from personakit.projections.sql import load_projection, load_projections
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
    }


@pytest.mark.parametrize("name", PROJECTIONS)
def test_a_projection_has_tables_handlers_and_queries(name: str) -> None:
    projection = PROJECTIONS[name]
    assert f"CREATE TABLE {name} " in projection.ddl
    assert projection.handlers.keys() <= EVENT_TYPES.keys()
    assert projection.queries
    assert len(projection.schema) < 64


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
    assert changed.schema != PROJECTIONS["feedback"].schema


def test_a_round_has_one_event_a_stream_and_keeps_each_streams_order() -> None:
    from datetime import UTC, datetime
    from uuid import UUID

    def event(stream: int, version: int) -> LogNotification:
        id_ = StreamId("t", "mindscape", UUID(int=stream))
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return LogNotification(str(id_), version, "MindscapeUpdated.1", b"{}", version, id_, None, now)

    events = [event(1, 1), event(2, 1), event(1, 2), event(1, 3), event(2, 2)]
    split = [[(e.stream_id.stream.int, e.originator_version) for e in round_] for round_ in rounds(events)]
    assert split == [[(1, 1), (2, 1)], [(1, 2), (2, 2)], [(1, 3)]]
