"""An event that a projection cannot take: its stream stands still there, loudly; all others go on."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from personakit.agents.service import Service
from personakit.domain.events import FeedbackReceived, MindscapeUpdated, ObservationRecorded
from personakit.domain.traits import Trait
from personakit.eventlog import codec
from personakit.eventlog.appender import NewEvent
from personakit.eventlog.person_keys import Person
from personakit.eventlog.stored import Row, StreamId
from personakit.projections.builds import active, open_pool
from personakit.projections.follow import Followers
from tests.integration.conftest import follow
from tests.people import somebody

TENANT = "default"


def feedback(person: Person, rank: int) -> NewEvent:
    event = FeedbackReceived(mapper_id="m", rule_id="r", digest="d", rank=rank)
    return NewEvent(StreamId(TENANT, "feedback", uuid4()), 1, event, person)


def updated(person: Person, version: int) -> NewEvent:
    traits = {"a": Trait(value=version, last_observed_at=datetime(2026, 1, 1, tzinfo=UTC))}
    event = MindscapeUpdated(traits=traits, derivation="test", definition="x", read_through=version)
    return NewEvent(StreamId(TENANT, "mindscape", person.surrogate), version, event, person)


def test_others_pass_an_event_that_does_not_fit_its_table(
    quiet: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """A rank beyond the column's range, in the middle of a batch."""
    ada = somebody(quiet.recorder, quiet.keys, TENANT)
    sound = [feedback(ada, 1) for _ in range(5)]
    quiet.appender.append([*sound[:3], feedback(ada, 2**40), *sound[3:]]).result()
    with caplog.at_level(logging.ERROR):
        follow(quiet, "feedback")
    with quiet.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("feedback.by_rule", tenant=TENANT, mapper_id="m", rule_id="r")
    (state,) = [state for state in quiet.reader.states() if state.name == "feedback"]
    assert {row["id"] for row in rows} == {event.stream.stream for event in sound}
    assert (state.quarantined, state.lag_events) == (1, 0)
    assert "cannot take the event" in caplog.text


def test_whoever_waits_does_not_wait_for_an_observation_in_quarantine(quiet: Service) -> None:
    """It is said to be read, though no trait can be made of it; else its tenant would wait for ever."""
    person = quiet.people.register(TENANT, ["nora"])["nora"]
    event = ObservationRecorded(
        type="note", content={"a": "\\u0000"}, occurred_at=datetime(2026, 1, 1, tzinfo=UTC), digest="d"
    )
    stream = StreamId(TENANT, "observation", uuid4())
    payload = codec.encode(event).replace(b"\\\\u0000", b"\\u0000")  # what the door refuses
    sealed = codec.seal(payload, person.key, stream, 1, "ObservationRecorded.1")
    with quiet.recorder.datastore.get_connection() as connection:
        spoiled = Row(stream, 1, "ObservationRecorded.1", sealed, person.surrogate, once=True)
        (appended,) = quiet.recorder.append(connection, [spoiled], uuid4())
    follow(quiet)
    (state,) = [state for state in quiet.reader.states() if state.name == "observations"]
    assert state.quarantined == 1
    for bucket in range(16):
        quiet.mindscaper.derive_due(bucket)
    follow(quiet)
    quiet.reader.wait_for(TENANT, appended.position, 0.0)


def test_a_quarantined_stream_stays_where_it_was_and_its_neighbours_go_on(quiet: Service) -> None:
    """Version 3 follows version 1: the document may not skip what it has not seen."""
    broken, sound = (somebody(quiet.recorder, quiet.keys, TENANT) for _ in range(2))
    quiet.appender.append([updated(broken, 1), updated(sound, 1)]).result()
    quiet.appender.append([updated(broken, 3), updated(sound, 2)]).result()
    quiet.appender.append([updated(broken, 2), updated(broken, 4), updated(sound, 3)]).result()
    follow(quiet, "mindscapes")
    with quiet.reader.snapshot_of_all() as snapshot:
        versions = {
            row["person"]: row["version"]
            for row in snapshot.rows(
                "mindscapes.by_people", tenant=TENANT, people=[broken.surrogate, sound.surrogate]
            )
        }
    assert versions == {broken.surrogate: 1, sound.surrogate: 3}


def test_a_statement_that_runs_out_of_time_quarantines_nobody(quiet: Service, database: str) -> None:
    """That is the database's trouble, not the event's: it is taken when the table can be had again."""
    projection = quiet.projections["feedback"]
    event = feedback(somebody(quiet.recorder, quiet.keys, TENANT), 7)
    quiet.appender.append([event]).result()
    hurried = open_pool(f"{database} options='-c lock_timeout=100ms'", size=1)
    with quiet.pool.connection() as connection:
        schema = active(connection, projection)
    assert schema is not None
    before = {state.name: state.quarantined for state in quiet.reader.states()}
    with psycopg.connect(database) as holder:
        holder.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(Identifier(schema, "feedback")))
        with pytest.raises(psycopg.errors.LockNotAvailable):
            Followers(hurried, [projection], quiet.keys).catch_up()
    hurried.close()
    follow(quiet, "feedback")
    with quiet.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("feedback.by_rule", tenant=TENANT, mapper_id="m", rule_id="r")
    assert event.stream.stream in {row["id"] for row in rows}
    assert {state.name: state.quarantined for state in quiet.reader.states()} == before
