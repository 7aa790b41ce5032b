"""Positions and instants of the log: one leads to the other, over gaps, beyond the ends, without a scan."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from personakit.domain.events import ObservationRecorded
from personakit.eventlog.appender import Appender, NewEvent
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.person_keys import Person, PersonKeys
from personakit.eventlog.recorder import LogRecorder
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import PAGE, Streams
from tests.people import somebody

TENANT = "default"
LEAST = timedelta(microseconds=1)


def observed(person: Person) -> NewEvent:
    event = ObservationRecorded(
        type="note", content={}, occurred_at=datetime(2026, 3, 2, tzinfo=UTC), digest="d"
    )
    return NewEvent(StreamId(TENANT, "observation", uuid4()), 1, event, person)


@pytest.fixture(scope="module")
def recorded(recorder: LogRecorder, keys: PersonKeys) -> dict[int, datetime]:
    """All that is in the log, by position: groups with repeats in them, which leave gaps."""
    ada = somebody(recorder, keys, TENANT)
    with closing(Appender(recorder)) as appender:
        for group in (1, 2, 3, 5, 8):
            new = [observed(ada) for _ in range(group)]
            appender.append([*new, *new[:2], observed(ada)]).result()
    rows = recorder.select_notifications(1, 1000)
    return {row.id: row.recorded_at for row in rows}  # type: ignore[attr-defined]  # the library's type has no such field


def test_an_instant_leads_to_the_newest_event_recorded_by_then(
    recorder: LogRecorder, recorded: dict[int, datetime]
) -> None:
    assert max(recorded) > len(recorded), "there are gaps"
    for instant in (at + step for at in recorded.values() for step in (-LEAST, timedelta(), LEAST)):
        by_then = max((position for position, at in recorded.items() if at <= instant), default=0)
        assert recorder.position_at(instant) == by_then
    assert recorder.position_at(datetime(1, 1, 1, tzinfo=UTC)) == 0
    assert recorder.position_at(datetime(9999, 1, 1, tzinfo=UTC)) == max(recorded)


def test_a_position_leads_to_when_the_newest_event_up_to_it_was_recorded(
    recorder: LogRecorder, recorded: dict[int, datetime]
) -> None:
    for position in range(1, max(recorded) + 3):
        assert recorder.recorded_at(position) == max(at for p, at in recorded.items() if p <= position)
    assert recorder.recorded_at(0) is None


def rows_read(node: dict[str, Any]) -> int:
    """How many rows of the log a plan has read, by its own account."""
    own = node["Actual Rows"] * node["Actual Loops"] if node.get("Relation Name") == "events" else 0
    return int(own) + sum(rows_read(each) for each in node.get("Plans", ()))


def test_an_instant_is_found_by_a_look_a_bit_of_the_head(
    recorder: LogRecorder, recorded: dict[int, datetime]
) -> None:
    explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + SQL["position_at"]
    with recorder.datastore.get_connection() as connection, connection.transaction():
        connection.execute("SET LOCAL enable_seqscan = off")  # it would scan a log as short as this one
        row = connection.execute(explain, {"instant": recorded[1]}).fetchone()
    assert row is not None
    assert 0 < rows_read(row["QUERY PLAN"][0]["Plan"]) <= max(recorded).bit_length() + 3


def test_the_events_of_a_stream_come_in_order_over_pages_and_end_at_a_position(
    recorder: LogRecorder, appender: Appender, keys: PersonKeys
) -> None:
    ada = somebody(recorder, keys, TENANT)
    stream = StreamId(TENANT, "derivation.computed", ada.surrogate)
    event = observed(ada).event
    new = [NewEvent(stream, version, event, ada) for version in range(1, PAGE + 3)]
    positions = [each.position for each in appender.append(new).result()]
    events = Streams(recorder, appender, keys).events
    found = [(row.originator_version, row.id, got) for row, got in events(stream)]
    assert found == [(version, at, event) for version, at in enumerate(positions, 1)]
    assert [row.id for row, _ in events(stream, gt=2, through=positions[-2])] == positions[2:-1]
    assert list(events(stream, through=positions[0] - 1)) == []
    assert list(events(stream, gt=PAGE + 2)) == []
