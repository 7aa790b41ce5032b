"""Verify: what differs from a replay is named by table, key and column, and never shown."""

from __future__ import annotations

import base64
import logging
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from psycopg import sql

from personakit.agents.service import Service
from personakit.domain.events import FeedbackReceived
from personakit.eventlog.appender import NewEvent
from personakit.eventlog.stored import StreamId
from personakit.projections import builds
from personakit.projections.rebuild import rebuild
from personakit.projections.sql import load_projections
from personakit.projections.verify import MOST_DIFFERENCES, Verified, verify
from personakit.shipped import projections_dir
from tests.history import TENANT, a_little_of_everything, follow, observation, surrogate
from tests.postgres import MASTER_KEY, data_dir, url_of
from tests.processes import Installation

NAMES = sorted(load_projections(projections_dir()))
Damage = Callable[..., None]


@pytest.fixture(scope="module")
def history(quiet: Service) -> Service:
    a_little_of_everything(quiet, "ada", "bo")
    return quiet


@pytest.fixture
def damage(history: Service, database: str) -> Iterator[Damage]:
    """Changes the build that is read, by a statement with `{}` for a table; all is well again afterwards."""
    damaged: set[str] = set()

    def execute(projection: str, table: str, statement: str, *values: object) -> None:
        damaged.add(projection)
        with history.pool.connection() as connection:
            schema = builds.active(connection, history.projections[projection])
            assert schema is not None
            query = sql.SQL(statement).format(sql.Identifier(schema, table))  # type: ignore[arg-type]
            assert connection.execute(query, values).rowcount > 0

    yield execute
    for projection in damaged:
        rebuild(history.pool, history.projections[projection], history.keys)


def verified(service: Service, name: str, person: str | None = None) -> Verified:
    about = None if person is None else surrogate(service, person)
    return verify(service.pool, service.projections[name], service.keys, person=about)


def found(service: Service, name: str, person: str | None = None) -> list[tuple[str, str, list[str]]]:
    """Table, kind and columns of what differs."""
    return [(each.table, each.kind, each.columns) for each in verified(service, name, person).differences]


@pytest.mark.parametrize("name", NAMES)
def test_what_followers_made_is_what_a_replay_makes(history: Service, name: str) -> None:
    done = verified(history, name)
    assert (done.clean, done.differences, done.name) == (True, [], name)
    assert done.rows > 0
    assert done.position == history.reader.head()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("person", ["ada", "bo"])
def test_of_one_person_too(history: Service, name: str, person: str) -> None:
    done = verified(history, name, person)
    assert done.clean
    assert (done.rows > 0) == (name not in {"mappers", "mapper_versions", "computed_traits"})


def test_a_changed_row_is_named_with_its_columns(history: Service, damage: Damage) -> None:
    ada = surrogate(history, "ada")
    change = "UPDATE {} SET version = version + 1, traits = '{{}}' WHERE person = %s"
    damage("mindscapes", "mindscapes", change, ada)
    done = verified(history, "mindscapes")
    (difference,) = done.differences
    assert (done.clean, done.count, done.rows) == (False, 1, 2)
    assert (difference.table, difference.kind) == ("mindscapes", "different")
    assert difference.key == {"tenant": TENANT, "person": str(ada)}
    assert difference.columns == ["traits", "version"]


def test_a_row_that_is_gone_and_one_that_was_never_made_are_named(history: Service, damage: Damage) -> None:
    ada, stranger = surrogate(history, "ada"), uuid4()
    damage("personas", "persona_people", "DELETE FROM {} WHERE person = %s", ada)
    damage("personas", "persona_people", "INSERT INTO {} VALUES (%s, %s, %s, 1)", TENANT, stranger, stranger)
    done = verified(history, "personas")
    assert {(each.table, each.kind, each.key["person"]) for each in done.differences} == {
        ("persona_people", "missing", str(ada)),
        ("persona_people", "extra", str(stranger)),
    }
    assert all(each.columns == [] for each in done.differences)


def test_a_null_is_not_an_empty_text(history: Service, damage: Damage) -> None:
    damage("feedback", "feedback", "UPDATE {} SET outcome = '' WHERE comment IS NOT NULL")
    assert found(history, "feedback") == [("feedback", "different", ["outcome"])] * 2


def test_what_jsonb_shows_alike_is_told_apart_as_text(history: Service, damage: Damage) -> None:
    """1.0 and 1 are equal as jsonb, and not the same bytes."""
    damage(
        "observations",
        "observations",
        """UPDATE {} SET content = content || '{{"lines_changed": 5.0}}'
                                              WHERE (content->>'lines_changed')::float = 5""",
    )
    assert {each[:2] for each in found(history, "observations")} == {("observations", "different")}


def test_with_a_person_only_their_rows_are_compared(history: Service, damage: Damage) -> None:
    damage(
        "mindscapes", "mindscapes", "UPDATE {} SET version = 99 WHERE person = %s", surrogate(history, "ada")
    )
    assert found(history, "mindscapes", "ada") == [("mindscapes", "different", ["version"])]
    assert found(history, "mindscapes", "bo") == []


def test_more_than_can_be_named_are_counted(history: Service, damage: Damage) -> None:
    history.intake.record(TENANT, [observation("many", hour) for hour in range(150)])
    follow(history)
    damage("observations", "observations", "DELETE FROM {} WHERE person = %s", surrogate(history, "many"))
    done = verified(history, "observations")
    assert (done.count, len(done.differences)) == (150, MOST_DIFFERENCES)


def test_a_stream_in_quarantine_stands_still_in_the_replay_too(
    history: Service, caplog: pytest.LogCaptureFixture
) -> None:
    ada = history.people.register(TENANT, ["ada"])["ada"]
    event = FeedbackReceived(mapper_id="m", rule_id="r", digest="d", rank=2**40)
    history.appender.append([NewEvent(StreamId(TENANT, "feedback", uuid4()), 1, event, ada)]).result()
    with caplog.at_level(logging.CRITICAL):
        follow(history)
        assert verified(history, "feedback").clean
    (state,) = [
        state for state in history.reader.states() if state.name == "feedback" and state.state == "active"
    ]
    assert state.quarantined == 1


def test_it_is_compared_where_the_live_one_stands_though_the_log_goes_on(history: Service) -> None:
    follow(history)
    stands = history.reader.head()
    history.intake.record(TENANT, [observation("ada", 500)])
    done = verified(history, "observations")
    assert (done.clean, done.position) == (True, stands)


def test_followers_that_go_on_meanwhile_change_nothing(history: Service) -> None:
    """The live tables are read in the snapshot that said where they stand."""

    def report(*_: object) -> None:
        history.intake.record(TENANT, [observation("ada", 600)])
        follow(history)

    for name in NAMES:
        assert verify(history.pool, history.projections[name], history.keys, report).clean


def scratch_schemas(database: str) -> set[str]:
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'verify%%'")
        return {name for (name,) in rows}


def test_what_killed_verifications_left_behind_is_dropped_and_what_runs_is_let_alone(
    history: Service, database: str
) -> None:
    """A verification is killed: its connection ends, its tables stay. Another one is still at it."""
    running = "verify_feedback_bbbbbbbb"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA verify_feedback_aaaaaaaa CREATE TABLE feedback (a int)")
        connection.execute("CREATE SCHEMA verify_feedback_bbbbbbbb")
        connection.execute("CREATE SCHEMA verifyxfeedback")
        connection.execute(
            "SELECT pg_advisory_lock(hashtextextended('personakit verify ' || %s, 0))", [running]
        )
        assert verified(history, "feedback").clean
        assert scratch_schemas(database) == {running, "verifyxfeedback"}
    assert verified(history, "feedback").clean
    assert scratch_schemas(database) == {"verifyxfeedback"}


def test_one_that_fails_leaves_nothing_behind(history: Service, database: str) -> None:
    class Stopped(Exception):
        """The operator has had enough."""

    def stop(*_: object) -> None:
        raise Stopped

    before = scratch_schemas(database)
    with pytest.raises(Stopped):
        verify(history.pool, history.projections["feedback"], history.keys, stop)
    assert scratch_schemas(database) == before
    assert verified(history, "feedback").clean


def run(database: str, *command: str) -> subprocess.CompletedProcess[str]:
    with data_dir() as folder:
        environ = {
            "PERSONAKIT_DATABASE_URL": url_of(database),
            "PERSONAKIT_MASTER_KEY": base64.b64encode(MASTER_KEY).decode(),
        }
        return Installation(folder, **environ).run("projections", "verify", *command)


def test_the_command_ends_with_0_where_all_is_well(history: Service, database: str) -> None:
    follow(history)
    done = run(database, "--all", "--json")
    assert done.returncode == 0, done.stderr
    answers = msgspec.json.decode(done.stdout, type=list[Verified])
    assert [answer.name for answer in answers] == NAMES
    assert {answer.position for answer in answers} == {history.reader.head()}
    shown = run(database, "observations", "mappers")
    assert (shown.returncode, len(shown.stdout.splitlines())) == (0, 2)
    assert "all as replayed" in shown.stdout


def test_the_command_ends_with_1_where_something_differs_and_shows_no_content(
    history: Service, damage: Damage, database: str
) -> None:
    secret = "secret-of-ada"
    ada = surrogate(history, "ada")
    change = "UPDATE {} SET comment = %s WHERE person = %s AND comment IS NOT NULL"
    damage("feedback", "feedback", change, secret, ada)
    shown = run(database, "feedback")
    answered = run(database, "feedback", "--json", "--person", "ada")
    other = run(database, "feedback", "--person", "bo")
    assert (shown.returncode, answered.returncode, other.returncode) == (1, 1, 0)
    (answer,) = msgspec.json.decode(answered.stdout, type=list[Verified])
    (difference,) = answer.differences
    assert (difference.kind, difference.columns) == ("different", ["comment"])
    assert UUID(difference.key["id"])
    assert f"id={difference.key['id']}) is different: comment" in shown.stdout
    for text in (secret, "of ada", "of bo"):
        assert text not in shown.stdout + shown.stderr + answered.stdout + answered.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([], "--all"),
        (["--all", "feedback"], "--all"),
        (["nothing"], "'nothing'"),
        (["feedback", "--person", "nobody"], "'nobody'"),
        (["feedback", "--person", "no body"], "no person's id"),
    ],
)
@pytest.mark.usefixtures("history")
def test_what_cannot_be_verified_is_said_with_exit_2(database: str, command: list[str], said: str) -> None:
    done: Any = run(database, *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
