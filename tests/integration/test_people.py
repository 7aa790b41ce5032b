"""Who is known, and everything that is held about one of them: `GET /people`, `GET /people/{id}/export`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
import pytest
from litestar.testing import TestClient
from psycopg import sql

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.api.gate import Gate
from personakit.api.person_export import export
from personakit.api.shares import Shares
from personakit.api.streamed import Streamed, Streams
from personakit.domain.events import EVENT_TYPES, PersonaDefined, TraitTrustAdjusted
from personakit.domain.grant import granted
from personakit.eventlog import codec
from personakit.eventlog.access import create_key, grant_key, key_of
from personakit.eventlog.intake import About
from personakit.eventlog.people import persona_id
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.recorder import notification_of
from personakit.eventlog.stored import StreamId
from personakit.projections import about_people
from personakit_sdk import wire
from tests.history import START, TENANT, a_little_of_everything, follow, observation, surrogate
from tests.integration.conftest import Client

CANARY = "canary2c7d"
"""Stands in all that is said of several people together, and of bo."""


class World(NamedTuple):
    """Somebody's surrogate, the personas that view nobody else, and one that views bo too."""

    ada: UUID
    alone: list[UUID]
    shared: UUID


@pytest.fixture(scope="module")
def world(quiet: Service) -> World:
    a_little_of_everything(quiet, "ada", "bo")
    quiet.intake.record(TENANT, [observation("bo", 200, told=CANARY)])
    ada, bo = surrogate(quiet, "ada"), surrogate(quiet, "bo")
    both = PersonaDefined(people=(bo, ada), name=CANARY, paths=("work.*",), origin="key: me")
    shared = quiet.personas.create(TENANT, both).persona
    follow(quiet)
    quiet.regenerator.regenerate(TENANT, shared)
    trust(quiet, ada)
    persona = quiet.people.find(TENANT, persona_id(shared))
    assert persona is not None
    said = wire.Feedback(helpful=True, comment=CANARY)
    quiet.intake.receive(TENANT, said, About(mapper_id="work_rhythm", rule_id="any"), persona)
    with quiet.recorder.datastore.get_connection() as connection:
        connection.execute(
            "INSERT INTO personakit.leases (tenant, kind, entity, until, failures, failed_at, error) "
            "VALUES (%s, 'inference', %s, clock_timestamp(), 2, clock_timestamp(), 'no answer')",
            (TENANT, ada),
        )
        connection.execute(
            "INSERT INTO personakit.quarantine SELECT b.schema, e.tenant, e.kind, e.stream, e.position, 'no' "
            "FROM personakit.events AS e, personakit.builds AS b "
            "WHERE e.person = %s AND b.name = 'votes' ORDER BY e.position LIMIT 1",
            (ada,),
        )
    for people, personas in ((["ada", "bo"], None), (None, [persona_id(shared)]), (["bo"], None)):
        grant_key(quiet.recorder, TENANT, "app", granted(["read"], people, personas))
    follow(quiet)
    with quiet.reader.snapshot_of_all() as snapshot:
        viewing = snapshot.rows("changes.viewing", tenant=TENANT, person=ada)
    alone = [row["persona"] for row in viewing if row["persona"] != shared]
    assert len(alone) == 3  # one of them viewed somebody who was erased
    return World(ada, alone, shared)


def trust(service: Service, person: UUID) -> None:
    """As if feedback had moved how far a trait is believed."""
    day = START.date()
    event = TraitTrustAdjusted(
        trust={"work.commits": 0.9}, day=day, morning={}, settled=True, read_through=1, reason="so"
    )
    stream = StreamId(TENANT, "mindscape", person)
    start = service.streams.last(stream)
    service.streams.update(stream, start, lambda _, each: each, lambda _: event, person=person)


@pytest.fixture(scope="module")
def client(quiet: Service) -> Iterator[Client]:
    key = create_key(quiet.recorder, TENANT, "test")
    with TestClient(create_app(quiet), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


@pytest.fixture(scope="module")
def text(client: Client, world: World) -> str:
    assert world.ada
    assert client.get("/mindscapes/ada").status_code == 200
    answer = client.get("/people/ada/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.text


@pytest.fixture(scope="module")
def exported(text: str) -> wire.PersonExport:
    return msgspec.json.decode(text, type=wire.PersonExport)


def rows_about(service: Service, people: list[UUID]) -> list[dict[str, Any]]:
    query = "SELECT * FROM personakit.events WHERE person = ANY (%s) ORDER BY position"
    with service.recorder.datastore.get_connection() as connection:
        return connection.execute(query, (people,)).fetchall()


def test_every_event_about_them_is_in_it_as_it_was_recorded(
    quiet: Service, world: World, exported: wire.PersonExport
) -> None:
    about = [notification_of(row) for row in rows_about(quiet, [world.ada, *world.alone])]
    rows = [row for row in about if row.id > quiet.keys.of(row.person or uuid4()).sealed_after]
    assert len(about) - len(rows) == 2  # of the persona that viewed somebody who was erased
    payloads = [codec.open_state(row, quiet.keys.of(row.person or uuid4())) for row in rows]
    told = [payload.decode().replace(str(world.ada), "ada") for payload in payloads]
    assert [each.content for each in exported.events] == [msgspec.json.decode(each) for each in told]
    assert [(each.position, each.recorded_at, each.version, each.topic) for each in exported.events] == [
        (row.id, row.recorded_at, row.originator_version, row.topic) for row in rows
    ]
    assert exported.position == quiet.reader.head()


def test_every_kind_of_event_is_in_it_or_is_about_nobody(quiet: Service, exported: wire.PersonExport) -> None:
    """A new kind fails here, until `tests/history.py` has one and it is told."""
    with quiet.recorder.datastore.get_connection() as connection:
        rows = connection.execute("SELECT DISTINCT topic FROM personakit.events WHERE person IS NULL")
        of_nobody = {row["topic"].partition(".")[0] for row in rows.fetchall()}
    told = {each.topic.partition(".")[0] for each in exported.events}
    assert told.isdisjoint(of_nobody)
    assert told | of_nobody == EVENT_TYPES.keys()


TAKEN: dict[str, Callable[[wire.PersonExport], Any]] = {
    "events": lambda told: told.events,
    "audit": lambda told: told.audit,
    "person_keys": lambda told: told.registered_at,
    "api_keys": lambda told: told.keys,
    "leases": lambda told: told.pending.leases,
    "quarantine": lambda told: told.pending.quarantined,
    "derivation_due": lambda told: told.pending.derivations,
    "inference_due": lambda told: told.pending.texts,
    "inference_texts": lambda told: told.pending.texts,
    "mindscapes": lambda told: told.mindscape.traits,
    "personas": lambda told: told.persona.core.traits,
    "persona_weights": lambda told: told.persona.learned,
    "model_use": lambda told: told.model_use.items,
    "model_dropped": lambda told: told.model_use.dropped,
    "persona_people": lambda told: told.shared_personas,
    "viewers": lambda told: told.shared_personas,
    "defined": lambda told: told.shared_personas,
    "observations": lambda told: about(told, "ObservationRecorded"),
    "feedback": lambda told: about(told, "FeedbackReceived"),
    "votes": lambda told: about(told, "FeedbackReceived"),
    "voted": lambda told: about(told, "FeedbackReceived"),
    "consents": lambda told: about(told, "ConsentChanged"),
    "persona_changes": lambda told: about(told, "MindscapeUpdated"),
    "changes": lambda told: about(told, "MindscapeUpdated"),
}
"""Of each table that has something of a person: what of the export says it."""
OF_THE_ERASED = {"erased", "erased_personas"}
"""They say that somebody is gone, and which personas began anew then: of whom is there nothing else."""


def about(told: wire.PersonExport, name: str) -> list[wire.ExportedEvent]:
    return [each for each in told.events if each.topic.startswith(f"{name}.")]


def tables(service: Service) -> list[tuple[str, str]]:
    """All tables of the service, by schema and name, as the catalogue has them; of each projection those that
    are read."""
    query = (
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = 'personakit' "
        "OR schemaname IN (SELECT schema FROM personakit.active)"
    )
    with service.recorder.datastore.get_connection() as connection:
        return [(row["schemaname"], row["tablename"]) for row in connection.execute(query).fetchall()]


def naming(service: Service, pattern: str) -> set[str]:
    """The tables that have rows in which something matches."""
    counted = sql.SQL("SELECT count(*) AS found FROM {} AS t WHERE t::text ~ %s")
    found: set[str] = set()
    with service.recorder.datastore.get_connection() as connection:
        for schema, table in tables(service):
            query = counted.format(sql.Identifier(schema, table))
            row = connection.execute(query, (pattern,)).fetchone()
            found |= {table} if row and row["found"] else set()
    return found


def test_every_table_that_says_anything_of_them_is_taken(
    quiet: Service, world: World, exported: wire.PersonExport
) -> None:
    """A new table fails here, until the export takes it, or takes what it is made of."""
    names = "|".join([r"\mada\M", *map(str, (world.ada, *world.alone))])
    found = naming(quiet, names)
    assert found == TAKEN.keys() | OF_THE_ERASED
    assert [table for table, told in TAKEN.items() if not told(exported)] == []


def test_every_column_that_may_name_somebody_belongs_to_a_table_that_is_taken(quiet: Service) -> None:
    query = (
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE (table_schema = 'personakit' OR table_schema IN (SELECT schema FROM personakit.active)) "
        "AND column_name IN ('person', 'people', 'person_id', 'persona', 'personas', 'entity', 'stream')"
    )
    with quiet.recorder.datastore.get_connection() as connection:
        found = {row["table_name"] for row in connection.execute(query).fetchall()}
    assert found >= {"events", "observations", "leases"}
    assert found - TAKEN.keys() == OF_THE_ERASED


def test_of_others_it_tells_nothing(
    quiet: Service, world: World, text: str, exported: wire.PersonExport
) -> None:
    bo = surrogate(quiet, "bo")
    theirs = {str(row["stream"]) for row in rows_about(quiet, [bo])} - {str(bo)}
    assert len(theirs) > 40
    assert [each for each in theirs if each in text] == []
    assert CANARY not in text
    assert '"bo"' not in text
    (shared,) = exported.shared_personas
    (view,) = shared.views
    (core,) = shared.cores
    assert (shared.id, view.uses, view.until) == (persona_id(world.shared), ["work.*"], None)
    assert core.mindscape_version <= exported.mindscape.version
    assert shared.held_back == {"FeedbackReceived.2": 1, "PersonaCoreGenerated.4": 1, "PersonaDefined.1": 1}
    named = {(each.name, each.person, tuple(each.personas)) for each in exported.keys}
    assert named == {("app", True, ()), ("app", False, (persona_id(world.shared),))}


def test_who_read_or_changed_their_data_is_in_it(exported: wire.PersonExport) -> None:
    assert {(each.operation, each.key_name, each.person_id) for each in exported.audit} == {
        ("getMindscape", "test", "ada")
    }


def test_no_surrogate_outlives_the_person_in_it(quiet: Service, world: World, text: str) -> None:
    assert str(world.ada) not in text
    assert str(surrogate(quiet, "bo")) not in text


def test_what_is_derived_is_what_the_events_come_to(client: Client, exported: wire.PersonExport) -> None:
    live = msgspec.json.decode(client.get("/mindscapes/ada").content, type=wire.Mindscape)
    persona = msgspec.json.decode(client.get("/personas/ada").content, type=wire.Persona)
    assert {path: each.value for path, each in exported.mindscape.traits.items()} == {
        path: each.value for path, each in live.traits.items()
    }
    assert (
        exported.mindscape.version
        == live.version
        == len([each for each in exported.events if each.kind == "mindscape"])
    )
    assert exported.mindscape.pins == live.pins
    assert exported.persona.learned == persona.learned
    assert exported.persona.core.summary == persona.core.summary


def test_a_page_of_people_has_no_created_personas_and_no_end_before_the_last(
    client: Client, world: World
) -> None:
    assert world.alone
    listed, after, pages = [], "", 0
    while after is not None:
        page = client.get("/people", params={"limit": 1, "after": after}).json()
        listed += page["items"]
        after, pages = page["next"], pages + 1
    assert [each["id"] for each in listed] == ["ada", "bo"]
    assert pages == 3
    assert all(each["registeredAt"] for each in listed)


@pytest.fixture
def limited(quiet: Service, world: World) -> str:
    assert world.shared
    grant = granted(["read"], ["nobody", "bo"], [persona_id(world.shared), "ada"])
    return grant_key(quiet.recorder, TENANT, "limited", grant).secret


def test_a_limited_key_lists_and_exports_its_own_alone(client: Client, limited: str) -> None:
    headers = {"Authorization": f"Bearer {limited}"}
    page = client.get("/people", params={"limit": 1}, headers=headers).json()
    assert [each["id"] for each in page["items"]] == ["bo"]
    assert client.get("/people", params={"limit": 1, "after": "bo"}, headers=headers).json()["items"] == []
    found = {
        each: client.get(f"/people/{each}/export", headers=headers).status_code
        for each in ("bo", "ada", "nobody")
    }
    assert found == {"bo": 200, "ada": 404, "nobody": 404}


@pytest.mark.parametrize(("people", "told"), [(["ada"], 0), (["ada", "bo"], 1)])
def test_a_limited_key_is_told_of_shared_personas_that_it_may_see(
    quiet: Service, client: Client, world: World, people: list[str], told: int
) -> None:
    assert world.shared
    secret = grant_key(quiet.recorder, TENANT, "limited", granted(["read"], people, None)).secret
    answer = client.get("/people/ada/export", headers={"Authorization": f"Bearer {secret}"})
    assert len(answer.json()["sharedPersonas"]) == told
    assert len(answer.json()["events"]) > 40


def test_only_so_many_exports_are_read_at_a_time(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.ada
    monkeypatch.setattr(client.app.state["streams"], "shares", Shares(0))
    refused = client.get("/people/ada/export")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert refused.json()["type"].endswith(":busy")
    monkeypatch.undo()
    assert client.get("/people/ada/export").status_code == 200


def test_a_created_persona_is_nobody_to_be_exported(client: Client, world: World) -> None:
    assert client.get(f"/people/{persona_id(world.alone[0])}/export").status_code == 404


def pieces_of(service: Service, person: str) -> Iterator[bytes]:
    caller = key_of(service.recorder, create_key(service.recorder, TENANT, "test"))
    assert caller is not None
    return export(service, caller, person, surrogate(service, person), START).pieces


def test_what_is_recorded_while_it_is_read_is_not_in_it(
    quiet: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.ada
    monkeypatch.setattr(about_people, "PAGE", 7)
    quiet.intake.record(TENANT, [observation("cleo", hour) for hour in range(40)])
    follow(quiet)
    before = quiet.reader.head()
    pieces = pieces_of(quiet, "cleo")
    begun = [next(pieces), next(pieces)]
    quiet.intake.record(TENANT, [observation("cleo", hour) for hour in range(40)])
    follow(quiet)
    told = msgspec.json.decode(b"".join([*begun, *pieces]), type=wire.PersonExport)
    assert told.position == before
    assert len(about(told, "ObservationRecorded")) == 40
    assert max(each.position for each in told.events) == before


def test_a_page_is_read_when_the_one_before_has_been_sent(
    quiet: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow a client is, there is one page in memory and no transaction open."""
    assert world.ada
    monkeypatch.setattr(about_people, "PAGE", 7)
    read, sent, ended = 0, 0, asyncio.Event()

    def counted() -> Iterator[bytes]:
        nonlocal read
        for piece in pieces_of(quiet, "ada"):
            read += 1
            yield piece

    async def send(message: Any) -> None:
        nonlocal sent
        await asyncio.sleep(0.001)
        if message["type"] == "http.response.body":
            if message["more_body"]:
                sent += 1
                assert read == sent
            else:
                ended.set()

    async def receive() -> Any:
        await ended.wait()
        return {"type": "http.disconnect"}

    answer = Streamed[Any](Streams(Gate()), counted(), {}).to_asgi_response()
    scope: Any = {"type": "http", "method": "GET"}
    asyncio.run(answer(scope, receive, send))
    assert read == sent > 10


def test_what_a_read_model_could_not_take_is_told_all_the_same(quiet: Service, world: World) -> None:
    assert world.ada
    told = observation("eve")
    quiet.intake.record(TENANT, [told, observation("eve")])
    follow(quiet)
    with quiet.recorder.datastore.get_connection() as connection:  # as if the followers had passed it over
        (row,) = connection.execute(
            "INSERT INTO personakit.quarantine SELECT b.schema, e.tenant, e.kind, e.stream, e.position, 'no' "
            "FROM personakit.events AS e, personakit.builds AS b "
            "WHERE e.stream = %s AND b.name = 'observations' RETURNING schema",
            (told.id,),
        ).fetchall()
        remove = sql.SQL("DELETE FROM {} WHERE id = %s").format(sql.Identifier(row["schema"], "observations"))
        connection.execute(remove, (told.id,))
    exported = msgspec.json.decode(b"".join(pieces_of(quiet, "eve")), type=wire.PersonExport)
    assert str(told.id) in {each.id for each in about(exported, "ObservationRecorded")}
    assert [each.name for each in exported.pending.quarantined] == ["observations"]


def test_who_is_erased_meanwhile_is_not_told_to_the_end(
    quiet: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although this process knows their key."""
    assert world.ada
    monkeypatch.setattr(about_people, "PAGE", 7)
    quiet.intake.record(TENANT, [observation("dora", hour) for hour in range(40)])
    follow(quiet)
    pieces = pieces_of(quiet, "dora")
    begun = [next(pieces), next(pieces)]
    with quiet.recorder.datastore.get_connection() as connection:
        connection.execute("DELETE FROM personakit.person_keys WHERE person_id = 'dora'")
    with pytest.raises(PersonErased):
        begun += list(pieces)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(b"".join(begun))
