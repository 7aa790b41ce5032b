"""Tenants with rules of their own: each derives by its own, all of its people and nobody else, once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar.testing import TestClient
from psycopg import Connection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

from personakit.agents.mindscaper import BATCH
from personakit.agents.own_traits import computed_traits_stream
from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.domain.events import MindscapeUpdated
from personakit.domain.publishing import Provenance
from personakit.domain.trait_tests import accept_traits
from personakit.domain.traits import Trait
from personakit.eventlog.access import create_key, create_tenant
from personakit.eventlog.stored import StreamId
from personakit.projections import builds
from personakit.projections.rebuild import rebuild
from personakit.projections.verify import verify
from personakit_sdk import wire
from tests.integration.conftest import Client, follow
from tests.postgres import MASTER_KEY
from tests.trait_documents import counting

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BY = Provenance("key: me", "to see")
WRITERS = 8


@pytest.fixture(scope="module")
def tenants(quiet: Service) -> None:
    for tenant in ("alder", "birch", "cedar"):
        create_tenant(quiet.recorder, tenant, tenant)


def observe(service: Service, tenant: str, person: str, hours: int, kind: str = "reading_session") -> None:
    service.intake.record(
        tenant,
        [
            wire.Observation(
                id=uuid4(),
                person_id=person,
                type=kind,
                content={"minutes": hour % 60},
                occurred_at=START + timedelta(hours=hour),
            )
            for hour in range(hours)
        ],
    )


def publish(service: Service, tenant: str, document: dict[str, Any]) -> None:
    service.trait_documents.publish(tenant, accept_traits(document), BY, known=False)
    follow(service)


def derive_all(service: Service) -> None:
    """As the agents do it, until nobody is due."""
    follow(service)
    while buckets := due_buckets(service):
        for bucket in buckets:
            service.mindscaper.derive_due(bucket)
        follow(service)


def due_buckets(service: Service) -> list[int]:
    with service.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("derivation_due.due_buckets", **service.rules.asked(snapshot))
    return [row["bucket"] for row in rows]


def surrogate(service: Service, tenant: str, person: str) -> UUID:
    found = service.people.find(tenant, person)
    assert found is not None
    return found.surrogate


def traits(service: Service, tenant: str, person: str) -> dict[str, Any]:
    whose = {"tenant": tenant, "person": surrogate(service, tenant, person)}
    with service.reader.snapshot_of_all() as snapshot:
        row = snapshot.row("mindscapes.by_person", **whose)
    return {path: trait["value"] for path, trait in row["traits"].items()} if row else {}


def versions(service: Service, tenant: str, *people: str) -> list[int]:
    """How many events each person's derivation has appended."""
    return [
        sum(
            len(service.recorder.select_events(str(StreamId(tenant, kind, surrogate(service, tenant, each)))))
            for kind in ("mindscape", "derivation.computed")
        )
        for each in people
    ]


READERS = [f"reader{n}" for n in range(20)]


@pytest.mark.usefixtures("tenants")
def test_two_tenants_derive_the_same_observations_by_different_rules(quiet: Service) -> None:
    minutes = {"path": "reading.minutes", "from": "minutes", "aggregate": "max", "volatility": "low"}
    publish(quiet, "alder", counting("reading", "reading.sessions"))
    publish(quiet, "birch", counting("reading", "x") | {"traits": [minutes]})
    for tenant in ("alder", "birch", "cedar"):
        for reader in READERS:
            observe(quiet, tenant, reader, 3)
            observe(quiet, tenant, reader, 2, "check_in")
    derive_all(quiet)
    for reader in READERS:
        found = [traits(quiet, tenant, reader) for tenant in ("alder", "birch", "cedar")]
        assert found == [
            {"reading.sessions": 3, "wellbeing.check_ins": 2},
            {"reading.minutes": 2, "wellbeing.check_ins": 2},
            {"wellbeing.check_ins": 2},
        ]


def test_a_changed_document_derives_everybody_of_its_tenant_anew_and_nobody_else(quiet: Service) -> None:
    before = {tenant: versions(quiet, tenant, *READERS) for tenant in ("alder", "birch", "cedar")}
    publish(quiet, "alder", counting("reading", "reading.times", version="1.1.0"))
    derive_all(quiet)
    assert [traits(quiet, "alder", each) for each in READERS] == [
        {"reading.times": 3, "wellbeing.check_ins": 2}
    ] * len(READERS)
    after = {tenant: versions(quiet, tenant, *READERS) for tenant in before}
    assert after == before | {"alder": [number + 1 for number in before["alder"]]}


def test_a_document_of_the_release_is_replaced_for_one_tenant_and_comes_back(quiet: Service) -> None:
    before = versions(quiet, "birch", *READERS)
    publish(quiet, "alder", counting("check_in", "wellbeing.answers", observes="check_in"))
    derive_all(quiet)
    assert traits(quiet, "alder", "reader0") == {"reading.times": 3, "wellbeing.answers": 2}
    quiet.trait_documents.withdraw("alder", "check_in", BY)
    derive_all(quiet)
    assert traits(quiet, "alder", "reader0") == {"reading.times": 3, "wellbeing.check_ins": 2}
    assert versions(quiet, "birch", *READERS) == before


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize("alone", [False, True], ids=["with others", "alone"])
def test_more_than_a_batch_is_folded_by_new_rules_in_one_version(quiet: Service, *, alone: bool) -> None:
    """No reader ever sees a part of it."""
    tenant, count = f"long-{int(alone)}", BATCH + 200
    create_tenant(quiet.recorder, tenant, "Long")
    observe(quiet, tenant, "ada", count)
    publish(quiet, tenant, counting("reading", "reading.sessions"))
    derive_all(quiet)
    first = versions(quiet, tenant, "ada")[0]
    publish(quiet, tenant, counting("reading", "reading.times", version="2.0.0"))
    if alone:
        quiet.mindscaper.derive(tenant, surrogate(quiet, tenant, "ada"))
    derive_all(quiet)
    assert traits(quiet, tenant, "ada") == {"reading.times": count}
    assert versions(quiet, tenant, "ada") == [first + 1]


@pytest.mark.usefixtures("tenants")
def test_of_eight_who_define_one_trait_at_once_one_wins(quiet: Service, database: str) -> None:
    """In two services that know of each other by the database only."""
    key = create_key(quiet.recorder, "cedar", "test")
    with ExitStack() as stack:
        services = [stack.enter_context(Service(database, MASTER_KEY)) for _ in range(2)]
        clients = [
            stack.enter_context(TestClient(create_app(each), raise_server_exceptions=False))
            for each in services
        ]

        def upload(number: int) -> tuple[int, list[dict[str, str]]]:
            document = counting(f"claim{number}", f"own.n{number}", "claimed")
            headers = {"Authorization": f"Bearer {key}"}
            answer = clients[number % 2].post("/computed-traits", json=document, headers=headers)
            return answer.status_code, answer.json().get("errors", [])

        with ThreadPoolExecutor(WRITERS) as threads:
            answers = sorted(threads.map(upload, range(WRITERS)), key=lambda answer: answer[0])
    assert [status for status, _ in answers] == [201] + [422] * (WRITERS - 1)
    for _, errors in answers[1:]:
        (error,) = errors
        assert error["pointer"] == "/traits/1/path"
        assert error["message"].startswith("the trait 'claimed' is defined already, by computed:claim")
    assert len(quiet.recorder.select_events(str(computed_traits_stream("cedar")))) == 1


@pytest.mark.parametrize("name", ["computed_traits", "derivation_due", "mindscapes"])
def test_what_is_read_is_what_a_replay_makes(quiet: Service, name: str) -> None:
    follow(quiet)
    assert verify(quiet.pool, quiet.projections[name], quiet.keys).clean
    rebuild(quiet.pool, quiet.projections[name], quiet.keys)
    assert verify(quiet.pool, quiet.projections[name], quiet.keys).clean
    assert due_buckets(quiet) == []


MANY = 50_000
FILL = """
INSERT INTO derivation_due (tenant, person, derivation, due, read_through, definition)
SELECT tenant, gen_random_uuid(), 'computed', 1, 1, definition
FROM unnest(%(tenants)s::text[], %(definitions)s::text[]) AS t(tenant, definition)
CROSS JOIN generate_series(1, %(many)s)
"""


@pytest.fixture
def crowded(quiet: Service) -> Iterator[Connection[DictRow]]:
    """`derivation_due` with many people in tenants with rules of their own and in one without, all derived
    by the rules of today; taken back at the end."""
    with quiet.pool.connection() as connection, connection.transaction(force_rollback=True):
        schema = builds.active(connection, quiet.projections["derivation_due"])
        connection.execute(SQL("SET LOCAL search_path TO {}").format(Identifier(str(schema))))
        asked = {"tenants": ["big", "large", "plain"], "definitions": ["own:1", "own:2", "abc"]}
        connection.execute(FILL, asked | {"many": MANY})
        connection.execute("ANALYZE derivation_due")
        yield connection


@pytest.mark.parametrize("query", ["due", "due_buckets"])
def test_asking_who_is_due_reads_nobody_who_is_not(
    quiet: Service, crowded: Connection[DictRow], query: str
) -> None:
    sql = quiet.projections["derivation_due"].queries[query]
    asked = {
        "definition": "abc",
        "tenants": ["big", "large"],
        "definitions": ["own:1", "own:2"],
        "bucket": 3,
        "limit": 50,
    }
    row = crowded.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + sql.encode(), asked).fetchone()
    assert row is not None
    plan = row["QUERY PLAN"][0]["Plan"]
    assert read(plan) < 1000, plan  # what the tests before left, not the crowd


def read(plan: dict[str, Any]) -> int:
    """How many rows the scans of a plan looked at."""
    seen = plan["Actual Rows"] + sum(
        plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck")
    )
    own = int(seen * plan["Actual Loops"]) if "Scan" in plan["Node Type"] else 0
    return own + sum(read(each) for each in plan.get("Plans", ()))


def test_who_has_other_rules_in_a_crowd_is_found(quiet: Service, crowded: Connection[DictRow]) -> None:
    """Below and above the fingerprint, of a tenant with rules of its own and of one without."""
    odd = [("big", "own:0"), ("big", "own:3"), ("big", "abc"), ("plain", "abb"), ("plain", "abd")]
    crowded.execute(FILL, {"tenants": [t for t, _ in odd], "definitions": [d for _, d in odd], "many": 1})
    sql = quiet.projections["derivation_due"].queries["due"]
    asked = {"definition": "abc", "tenants": ["big", "large"], "definitions": ["own:1", "own:2"], "limit": 50}
    found = [
        (row["tenant"], row["definition"])
        for bucket in range(16)
        for row in crowded.execute(sql, asked | {"bucket": bucket}).fetchall()
    ]
    assert sorted(each for each in found if each[0] in ("big", "large", "plain")) == sorted(odd)


@pytest.fixture(scope="module")
def http(quiet: Service) -> Iterator[Client]:
    """A client of a tenant whose agents sleep."""
    create_tenant(quiet.recorder, "elm", "elm")
    with TestClient(create_app(quiet), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {create_key(quiet.recorder, 'elm', 'test')}"
        yield client


def test_evidence_and_lint_of_mappers_go_by_the_rules_of_the_tenant(quiet: Service, http: Client) -> None:
    when = {"context_check": {"field": "minutes", "operator": "greater", "value": 1}}
    document = counting("reading", "reading.long")
    document["traits"][0]["when"] = when
    publish(quiet, "elm", document)
    observe(quiet, "elm", "ada", 4)
    derive_all(quiet)
    shown = http.get("/mindscapes/ada/traits/reading.long/evidence").json()
    assert [item["content"]["minutes"] for item in shown["items"]] == [3, 2]
    check = {"trait_check": {"path": "reading.long", "operator": "exists"}}
    suggestion = {"type": "t", "title": "T", "description": "D"}
    rule = {"id": "r", "conditions": check, "actions": [{"generate_suggestion": suggestion}]}
    metadata = {"id": "m", "version": "1.0.0", "description": "D"}
    asked = http.post("/mappers/validate", json={"metadata": metadata, "rules": [rule]})
    assert asked.json()["warnings"] == []


def test_a_trait_by_a_model_shows_its_evidence_whatever_rule_was_published_at_its_path(
    quiet: Service, http: Client
) -> None:
    observe(quiet, "elm", "kim", 1)
    derive_all(quiet)
    person = quiet.people.register("elm", ["kim"])["kim"].surrogate
    (item,) = http.get("/observations", params={"personId": "kim"}).json()["items"]
    event = MindscapeUpdated(
        traits={"reading.worth": Trait(value=1, source="anthropic:m", evidence=(UUID(item["id"]),))},
        derivation="anthropic",
        definition="m",
        read_through=item["position"],
    )
    stream = StreamId("elm", "mindscape", person)
    version = quiet.streams.last(stream).version + 1
    quiet.streams.offer(stream, version, event, person=person).result(10)
    document = counting("worth", "reading.worth")
    document["traits"][0]["when"] = {"context_check": {"field": "worth", "operator": "exists"}}
    publish(quiet, "elm", document)
    derive_all(quiet)
    shown = http.get("/mindscapes/kim/traits/reading.worth/evidence").json()
    assert (shown["trait"]["source"], [each["id"] for each in shown["items"]]) == (
        "anthropic:m",
        [item["id"]],
    )
