"""The read model `votes`: what the pure core says of one feedback, summed by the day it was given."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from personakit.agents.service import Service
from personakit.domain.events import FeedbackReceived
from personakit.domain.learning import votes_of
from personakit.eventlog.appender import NewEvent, wait
from personakit.eventlog.codec import encode
from personakit.eventlog.person_keys import Person
from personakit.eventlog.stored import StreamId
from personakit.projections import builds
from personakit.projections.verify import verify
from tests.history import TENANT
from tests.integration.conftest import follow

SAID = st.fixed_dictionaries(
    {
        "helpful": st.none() | st.booleans(),
        "rating": st.none() | st.integers(1, 5),
        "outcome": st.none() | st.sampled_from(["accepted", "dismissed", "ignored"]),
        "rank": st.none() | st.integers(-3, 600) | st.integers(2**62, 2**63 - 1),
    }
)


@pytest.fixture
def people(quiet: Service) -> list[Person]:
    return list(quiet.people.register(TENANT, ["ada", "bo"]).values())


def rows(service: Service, table: str) -> list[dict[str, Any]]:
    with service.pool.connection() as connection:
        schema = builds.active(connection, service.projections["votes"])
        assert schema is not None
        query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table))
        return connection.execute(query).fetchall()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(said=SAID)
def test_sql_counts_one_feedback_as_the_core_does(quiet: Service, said: dict[str, Any]) -> None:
    event = FeedbackReceived(mapper_id="m", rule_id="r", digest="d", **said)
    with quiet.pool.connection() as connection:
        schema = builds.active(connection, quiet.projections["votes"])
        assert schema is not None
        query = sql.SQL("SELECT * FROM {}(%s::jsonb)").format(sql.Identifier(schema, "votes_of"))
        found = connection.execute(query, [encode(event).decode()]).fetchone()
    assert found is not None
    assert (found["good"], found["bad"]) == votes_of(**said)


FEEDBACK = st.tuples(
    st.integers(0, 1),
    st.sampled_from(["r", "s"]),
    st.integers(-1, 100) | st.none(),
    SAID.filter(lambda said: (said["rank"] or 0) < 2**31),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(given_=st.lists(FEEDBACK, min_size=1, max_size=30))
def test_the_sums_are_those_of_all_feedback_whenever_it_came(
    quiet: Service, people: list[Person], given_: list[tuple[int, str, int | None, dict[str, Any]]]
) -> None:
    """The day is when it was given; what a client's clock says ahead of the service's counts as of now."""
    mapper, expected, newest = str(uuid4()), Counter[tuple[UUID, str, date, str]](), dict[UUID, int]()
    for index, rule, ago, said in given_:
        person = people[index]
        at = None if ago is None else datetime.now(UTC) - timedelta(days=ago)
        event = FeedbackReceived(mapper_id=mapper, rule_id=rule, digest="d", occurred_at=at, **said)
        stream = StreamId(TENANT, "feedback", uuid4())
        (appended,) = wait(quiet.appender.append([NewEvent(stream, 1, event, person)]))
        recorded = quiet.recorder.recorded_at(appended.position)
        assert recorded is not None
        good, bad = votes_of(**said)
        if good + bad:
            day = min(at or recorded, recorded).astimezone(UTC).date()
            expected[person.surrogate, rule, day, "good"] += good
            expected[person.surrogate, rule, day, "bad"] += bad
            newest[person.surrogate] = appended.position
    follow(quiet, "votes")
    found = [row for row in rows(quiet, "votes") if row["mapper_id"] == mapper]
    assert {
        (row["persona"], row["rule_id"], row["day"], which): row[which]
        for row in found
        for which in ("good", "bad")
    } == expected
    assert {
        row["persona"]: row["position"] for row in rows(quiet, "voted") if row["mapper_id"] == mapper
    } == newest
    assert verify(quiet.pool, quiet.projections["votes"], quiet.keys).clean


@pytest.mark.parametrize("year", [1, 9999])
def test_a_clock_that_is_out_of_its_mind_stops_nothing(
    quiet: Service, people: list[Person], year: int
) -> None:
    mapper = str(uuid4())
    at = datetime.fromisoformat(f"{year:04}-01-01T00:00:00+14:00")
    event = FeedbackReceived(mapper_id=mapper, rule_id="r", digest="d", helpful=True, occurred_at=at)
    wait(quiet.appender.append([NewEvent(StreamId(TENANT, "feedback", uuid4()), 1, event, people[0])]))
    follow(quiet)
    (row,) = [row for row in rows(quiet, "votes") if row["mapper_id"] == mapper]
    assert row["day"] == (date(1, 1, 1) if year == 1 else datetime.now(UTC).date())
    (votes,) = [state for state in quiet.reader.states() if state.name == "votes"]
    assert votes.quarantined == 0
