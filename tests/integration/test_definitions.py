"""A projection whose file has changed is built beside the old one; a large log is folded in steps."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.sql import SQL, Identifier

from personakit.agents.releases import Releases
from personakit.agents.service import Service
from personakit.domain.events import PersonaDefined
from personakit.embedded import EmbeddedPostgres
from personakit.eventlog.access import create_tenant
from personakit.eventlog.intake import About, Receipt
from personakit.projections import builds
from personakit.projections.builds import Pool
from personakit.projections.follow import Followers, install
from personakit.projections.read import Reader
from personakit.projections.sql import Projection, load_projection, load_projections, read_projection
from personakit.shipped import projections_dir
from personakit_sdk import wire
from tests.history import (
    ask_for_consent,
    change_computed_traits,
    forget_somebody,
    let_a_model_read_one,
    let_feedback_teach,
)
from tests.postgres import MASTER_KEY, create_database

NAMES = sorted(load_projections(projections_dir()))
TENANT = "default"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def observation(person: str = "ada", day: int = 0, **content: Any) -> wire.Observation:
    return wire.Observation(
        id=uuid4(),
        person_id=person,
        type="code_commit",
        content={"lines_changed": 10 + day, "languages": ["Python"], "merge": False, **content},
        occurred_at=START + timedelta(days=day),
    )


@pytest.fixture(scope="module")
def old(database: str) -> Iterator[Service]:
    """A release that recorded, derived and published; its agents have ended, and nothing more happens."""
    with Service(database, MASTER_KEY) as service:
        create_tenant(service.recorder, TENANT, "Default")
        service.mappers.publish_shipped(TENANT)
        service.intake.record(TENANT, [observation(f"p{n % 3}", n) for n in range(30)])
        service.reader.wait_for(TENANT, service.reader.head(), 10)
        person = service.people.find(TENANT, "p0")
        assert person is not None
        service.regenerator.regenerate(TENANT, person.surrogate)
        service.personas.create(TENANT, PersonaDefined(people=(person.surrogate,)))
        about = About(mapper_id="work_rhythm", rule_id="any")
        service.intake.receive(TENANT, wire.Feedback(helpful=True), about, person)
        service.intake.record(TENANT, [observation("p0", text="four words and more") for _ in range(2)])
        service.reader.wait_for_projections(service.reader.head(), 10)
        let_a_model_read_one(service, person.surrogate)
        service.reader.wait_for(TENANT, service.reader.head(), 10)
        change_computed_traits(service)
        ask_for_consent(service, "p0")
        let_feedback_teach(service, "p0")
        forget_somebody(service, "p0")
        service.reader.wait_for_projections(service.reader.head(), 10)
    resting = Service(database, MASTER_KEY)
    follow(resting, resting.projections)
    yield resting
    resting.close()


def with_a_comment(name: str, folder: Path) -> dict[str, Projection]:
    """The shipped projections, one of them with another text that means the same."""
    changed = folder / "projections"
    shutil.copytree(projections_dir(), changed)
    with (changed / f"{name}.sql").open("a", encoding="utf-8") as file:
        file.write("-- A later release says more.\n")
    return load_projections(changed)


def follow(service: Service, projections: dict[str, Projection]) -> None:
    Followers(service.pool, projections.values(), service.keys).catch_up()


def active(pool: Pool, projections: dict[str, Projection]) -> dict[str, str | None]:
    """The schema that a release with these projections reads of each."""
    with pool.connection() as connection:
        return {name: builds.active(connection, projection) for name, projection in projections.items()}


def tables(pool: Pool, projection: Projection) -> dict[str, list[str]]:
    """The rows of each table of a projection, as text, in an order of their own."""
    names = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
    with pool.connection() as connection:
        schema = builds.active(connection, projection)
        assert schema is not None
        found = [row["tablename"] for row in connection.execute(names, (schema,))]
        return {table: rows(connection.execute(_all_of(schema, table)).fetchall()) for table in found}


def rows(found: list[dict[str, Any]]) -> list[str]:
    return [row["text"] for row in found]


def _all_of(schema: str, table: str) -> Any:
    return SQL("SELECT t::text AS text FROM {} AS t ORDER BY t::text").format(Identifier(schema, table))


def ids(reader: Reader, person: UUID) -> set[UUID]:
    values = {"tenant": TENANT, "person": person, "after": 0, "through": 2**62, "limit": 1000}
    with reader.snapshot_of_all() as snapshot:
        return {row["id"] for row in snapshot.rows("observations.by_person", **values)}


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_definition_is_built_beside_the_old_with_equal_rows(
    old: Service, tmp_path: Path, name: str
) -> None:
    new = with_a_comment(name, tmp_path)
    before = active(old.pool, old.projections)
    assert active(old.pool, new) == before | {name: None}

    install(old.pool, new.values(), old.keys)

    after = active(old.pool, new)
    assert after[name] not in {None, *before.values()}
    assert after == before | {name: after[name]}
    assert active(old.pool, old.projections) == before
    built = tables(old.pool, new[name])
    assert all(built.values())
    assert built == tables(old.pool, old.projections[name])


def test_an_old_release_goes_on_with_its_own_tables(old: Service, tmp_path: Path) -> None:
    """While a release is replaced both run: each follows and reads its own."""
    new = with_a_comment("observations", tmp_path)
    install(old.pool, new.values(), old.keys)
    newer = Reader(old.pool, new, reading=old.pool)
    person = old.people.register(TENANT, ["p1"])["p1"].surrogate
    seen = ids(old.reader, person)
    assert seen
    assert ids(newer, person) == seen

    (receipt,) = old.intake.record(TENANT, [observation("p1", 90)])
    assert isinstance(receipt, Receipt)
    follow(old, old.projections)
    assert ids(old.reader, person) == seen | {receipt.id}
    assert ids(newer, person) == seen
    with old.reader.snapshot_of_all() as here, newer.snapshot_of_all() as there:
        assert here.positions["observations"] == receipt.position
        assert there.positions["observations"] < receipt.position
    assert states(old, "observations") == [("active", 0), ("other release", 1)]

    follow(old, new)
    assert ids(newer, person) == seen | {receipt.id}


def states(service: Service, name: str) -> list[tuple[str, int]]:
    """State and lag of each build of a projection, the oldest first."""
    return [(each.state, each.lag_events) for each in service.reader.states() if each.name == name]


def test_a_release_that_is_taken_back_is_brought_up_to_the_log_first(old: Service, tmp_path: Path) -> None:
    new = with_a_comment("observations", tmp_path)
    install(old.pool, new.values(), old.keys)
    (receipt,) = old.intake.record(TENANT, [observation("p2", 91)])
    follow(old, new)
    person = old.people.register(TENANT, ["p2"])["p2"].surrogate
    assert not isinstance(receipt, Exception)
    assert receipt.id not in ids(old.reader, person)

    install(old.pool, old.projections.values(), old.keys)

    assert receipt.id in ids(old.reader, person)


def test_what_a_release_of_another_definition_reads_is_known_with_its_text(
    old: Service, tmp_path: Path
) -> None:
    """So that workers of one release can follow what processes of another read."""
    new = with_a_comment("feedback", tmp_path)
    install(old.pool, new.values(), old.keys)
    own = [each.definition for each in old.projections.values()]
    found = builds.used_elsewhere(old.pool, own)
    changed = new["feedback"]
    assert ("feedback", changed.source, changed.definition) in found
    assert read_projection("feedback", changed.source) == changed
    others = builds.used_elsewhere(old.pool, [*own, changed.definition])
    assert changed.definition not in {definition for _, _, definition in others}


def test_a_release_that_knows_fewer_events_leaves_anothers_tables_alone(old: Service, tmp_path: Path) -> None:
    """It would pass over those that it does not know, and nobody would notice."""
    newer = projections_dir() / "observations.sql"
    source = newer.read_text(encoding="utf-8") + "-- :on ObservationForgotten\nSELECT 1\n"
    definition = "feedbeefcafe"
    with old.pool.connection() as connection:
        connection.execute(
            "INSERT INTO personakit.builds (schema, name, definition, source) VALUES (%s, %s, %s, %s)",
            ("p_newer", "observations", definition, source),
        )
        connection.execute(
            "INSERT INTO personakit.active VALUES (%s, %s, %s)", ("observations", definition, "p_newer")
        )
        connection.execute(
            "INSERT INTO personakit.definitions_used VALUES (%s, %s)", ("observations", definition)
        )
    Releases(old.pool, old.pool, old.projections.values(), old.keys).follow_others()
    with old.pool.connection() as connection:
        row = connection.execute("SELECT position FROM personakit.builds WHERE schema = 'p_newer'").fetchone()
        connection.execute("DELETE FROM personakit.active WHERE schema = 'p_newer'")
        connection.execute("DELETE FROM personakit.builds WHERE schema = 'p_newer'")
    assert row == {"position": 0}


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("-- :ignore PersonAbducted\n", "PersonAbducted"),
        ("-- :on PersonAbducted\nSELECT 1\n", "PersonAbducted"),
        ("-- :ignore ObservationRecorded\n", "ObservationRecorded"),
    ],
    ids=["ignored", "handled", "handled and ignored"],
)
def test_an_event_that_does_not_exist_or_is_named_twice_is_refused(
    tmp_path: Path, line: str, wrong: str
) -> None:
    file = tmp_path / "observations.sql"
    file.write_text((projections_dir() / file.name).read_text(encoding="utf-8") + line, encoding="utf-8")
    with pytest.raises(
        ValueError, match=rf"observations\.sql must handle or ignore each event once: {wrong}$"
    ):
        load_projection(file)


def test_large_observations_are_taken_in_several_steps(
    postgres: EmbeddedPostgres, template_database: str
) -> None:
    """80 observations of 240 KiB are fewer events than one step takes, and more bytes."""
    quiet = Service(create_database(postgres, template_database), MASTER_KEY)
    create_tenant(quiet.recorder, TENANT, "Default")
    sent = [observation("ada", note=f"{n:04}" * (60 * 1024)) for n in range(80)]
    receipts = quiet.intake.record(TENANT, sent)
    followers = Followers(quiet.pool, [quiet.projections["observations"]], quiet.keys)
    person = quiet.people.register(TENANT, ["ada"])["ada"].surrogate

    reached = [0]
    while followers.step().moved:
        reached.append(len(ids(quiet.reader, person)))

    assert len(reached) > 2
    assert reached == sorted(set(reached))
    with quiet.reader.snapshot_of_all() as snapshot:
        values = {"tenant": TENANT, "person": person, "after": 0, "through": 2**62, "limit": 1000}
        found = {row["id"]: row["content"] for row in snapshot.rows("observations.by_person", **values)}
    quiet.close()
    assert found == {one.id: one.content for one in sent}
    assert {receipt.id for receipt in receipts} == found.keys()
