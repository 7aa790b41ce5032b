"""Who read or changed whose data: every route that touches somebody leaves a row. The rows are made from the
route table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit.agents.service import Service
from personakit.api.touched import _READ_BY_POST, NOBODY_WAITED, note
from personakit.domain.grant import Grant
from personakit.eventlog import audit
from personakit.eventlog.access import create_tenant, grant_key, key_of
from personakit.eventlog.audit import CLI, SOMEBODY, Asked, Audit, Audited
from personakit.eventlog.eraser import Eraser
from personakit.eventlog.erasure_journal import ErasureJournal
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.recorder import LogRecorder
from tests.integration.conftest import Client
from tests.integration.test_authorisation import CALLS, ROUTES, call, mapper, observation, traits
from tests.postgres import MASTER_KEY

TENANT = "default"
NEWEST = 2**63 - 1
OF_NOBODY = {
    "listMappers",
    "getMapper",
    "uploadMapper",
    "updateMapper",
    "withdrawMapper",
    "validateMapper",
    "listMapperVersions",
    "getMapperVersion",
    "diffMapperVersions",
    "publishMapperVersion",
    "changeRuleWeight",
    "getLearnedWeights",
    "adjustLearnedWeights",
    "listComputedTraits",
    "getComputedTraits",
    "uploadComputedTraits",
    "updateComputedTraits",
    "withdrawComputedTraits",
    "validateComputedTraits",
    "listComputedTraitsVersions",
    "getModelUse",
    "getConsentPolicy",
    "setConsentPolicy",
    "createKey",
    "listKeys",
    "revokeKey",
    "rotateKey",
}
"""They are about rules, keys and sums. Every other route is about people, a new one too."""
ERASING = {"erasePerson", "makePerson"}
"""They are about somebody who is not the same before and after."""


@pytest.fixture(scope="module")
def owned(client: Client) -> dict[str, str]:
    """What there is of ada, to fill paths in with."""
    assert client.post("/mappers", json=mapper("focus")).status_code == 201
    assert client.post("/computed-traits", json=traits("counted")).status_code == 201
    told = observation("ada")
    assert client.post("/observations", json=told).status_code == 201
    made = client.post("/personas", json={"name": "team", "people": ["ada"]})
    client.headers["PersonaKit-Min-Position"] = made.headers["PersonaKit-Position"]
    return {"observationId": str(told["id"]), "createdId": str(made.json()["id"])}


def secret_of(service: Service, name: str = "test") -> str:
    return grant_key(service.recorder, TENANT, name, Grant()).secret


def rows(service: Service, **asked: Any) -> list[Audited]:
    return service.audit.page(TENANT, Asked(**asked), NEWEST, 500, datetime.now(UTC))


def pushed() -> dict[str, Any]:
    told = observation("ada")
    item = {
        "id": told["id"],
        "kind": "observation",
        "key": "ada",
        "occurredAt": told["occurredAt"],
        "schema": 1,
        "body": {"type": told["type"], "content": told["content"]},
    }
    return {"clientId": "test", "items": [item]}


def about_ada(operation: str, owned: dict[str, str]) -> Callable[[Any], Any]:
    """The request of an operation, about what there is of ada."""

    def changed(sent: Any) -> Any:
        query, body, places = sent
        if operation in ("redefinePersona", "retirePersona"):
            places = places | {"personaId": owned["createdId"]}
        return [query, pushed() if operation == "push" else body, places | owned]

    return changed


@pytest.mark.parametrize("operation", sorted(CALLS.keys() - OF_NOBODY - ERASING))
def test_every_route_about_people_leaves_a_row_that_names_key_person_and_outcome(
    service: Service, client: Client, owned: dict[str, str], operation: str
) -> None:
    """A new route fails here, unless it notes whom it is about or is said to be about nobody."""
    secret = secret_of(service)
    answer = call(client, operation, secret, about_ada(operation, owned))
    assert answer.status_code < 500, answer.text
    found = rows(service, key=secret[:11])
    assert {(row.person_id, row.operation, row.status) for row in found} >= {
        ("ada", operation, answer.status_code)
    }
    changes = ROUTES[operation][0] != "GET" and operation not in _READ_BY_POST and answer.status_code < 300
    position = int(answer.headers["PersonaKit-Position"]) if changes else None
    assert {row.position for row in found if row.person_id == "ada"} == {position}


def test_who_erased_somebody_and_who_made_them_again_is_told_without_their_names(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    eraser = Eraser(service.recorder, service.keys, ErasureJournal(tmp_path / "erasures.jsonl"))
    eraser.on_erased = service.eraser.on_erased
    monkeypatch.setattr(service, "eraser", eraser)
    headers = {"Authorization": f"Bearer {(secret := secret_of(service))}"}
    assert client.post("/observations", json=observation("cleo")).status_code == 201
    erased = client.delete("/people/cleo", headers=headers)
    assert erased.status_code == 200, erased.text
    (row,) = rows(service, key=secret[:11])
    assert (row.operation, row.person_id, row.position) == ("erasePerson", None, erased.json()["position"])
    made = client.put("/people/cleo", headers=headers)
    assert made.status_code == 201, made.text
    newest, _ = rows(service, key=secret[:11])
    assert (newest.operation, newest.person_id) == ("makePerson", "cleo")
    assert newest.person != row.person


@pytest.mark.parametrize("operation", sorted(OF_NOBODY))
def test_what_is_about_nobody_leaves_none(
    service: Service, client: Client, owned: dict[str, str], operation: str
) -> None:
    secret = secret_of(service)
    call(client, operation, secret, lambda sent: [*sent[:2], sent[2] | owned])
    assert rows(service, key=secret[:11]) == []


def test_what_a_key_may_not_do_and_whom_it_may_not_see_leave_no_row(
    service: Service, client: Client, owned: dict[str, str]
) -> None:
    assert owned
    key = client.post("/keys", json={"name": "of bob", "scopes": ["read"], "people": ["bob"]}).json()
    headers = {"Authorization": f"Bearer {key['secret']}"}
    assert client.get("/mindscapes/ada", headers=headers).status_code == 404
    assert client.post("/observations", json=observation("bob"), headers=headers).status_code == 403
    assert rows(service, key=key["key"]["id"]) == []


def test_a_created_persona_is_of_the_people_whom_it_views(service: Service, client: Client) -> None:
    for person in ("eve", "fay"):
        client.post("/observations", json=observation(person))
    made = client.post("/personas", json={"people": ["eve", "fay"]})
    persona = made.json()["id"]
    now = {"PersonaKit-Min-Position": made.headers["PersonaKit-Position"]}
    assert client.post("/mappers", json=mapper("other")).status_code == 201
    asks: dict[str, Callable[[dict[str, str]], Any]] = {
        "getPersona": lambda key: client.get(f"/personas/{persona}", headers=now | key),
        "mapPersona": lambda key: client.get(
            "/map-persona", params={"personaId": persona, "mapperId": "other"}, headers=now | key
        ),
        "giveFeedback": lambda key: client.post(
            "/feedback",
            json={"personaId": persona, "mapperId": "other", "ruleId": "always", "helpful": True},
            headers=now | key,
        ),
        "listPersonas": lambda key: client.get("/personas", params={"limit": 500}, headers=now | key),
        "sync": lambda key: client.get("/sync", params={"limit": 500}, headers=now | key),
    }
    for operation, ask in asks.items():
        secret = secret_of(service)
        for _ in range(2):  # once from a snapshot, and from the cache where there is one
            assert ask({"Authorization": f"Bearer {secret}"}).status_code < 300
        found = rows(service, key=secret[:11], operation=operation)
        assert {"eve", "fay"} <= {row.person_id for row in found}
        assert sum(row.times for row in found if row.person_id == "eve") == 2


def test_who_waits_for_changes_is_noted_with_what_comes(service: Service, client: Client) -> None:
    client.post("/observations", json=observation("gus"))
    secret = secret_of(service)
    headers = {"Authorization": f"Bearer {secret}"}
    page = client.get("/sync", params={"limit": 500}, headers=headers).json()
    while not page["upToDate"]:
        page = client.get("/sync", params={"limit": 500, "since": page["next"]}, headers=headers).json()
    before = {row.person_id for row in rows(service, key=secret[:11])}
    later = threading.Timer(0.3, lambda: service.people.register(TENANT, ["late"]))
    later.start()
    held = client.get("/sync", params={"wait": 20, "since": page["next"]}, headers=headers).json()
    later.join()
    while "late" not in {item["id"] for item in held["items"]}:
        held = client.get("/sync", params={"wait": 20, "since": held["next"]}, headers=headers).json()
    assert "late" in {row.person_id for row in rows(service, key=secret[:11])} - before


def test_the_audit_is_asked_by_person_key_and_operation_page_after_page(
    service: Service, client: Client, owned: dict[str, str]
) -> None:
    assert owned
    secret = secret_of(service, "nightly job")
    for path in ("/mindscapes/ada", "/personas/ada", "/mindscapes/ada", "/observations?personId=ada"):
        client.get(path, headers={"Authorization": f"Bearer {secret}"})
    asked: dict[str, Any] = {"personId": "ada", "key": secret[:11], "limit": 1}
    listed, after = [], None
    while True:
        page = client.get("/audit", params=asked | ({"after": after} if after else {})).json()
        listed += page["items"]
        after = page["next"]
        if after is None:
            break
    assert {each["operation"] for each in listed} == {"getMindscape", "getPersona", "listObservations"}
    assert {(each["personId"], each["keyName"]) for each in listed} == {("ada", "nightly job")}
    assert sum(each["times"] for each in listed if each["operation"] == "getMindscape") == 2
    of_one = client.get("/audit", params=asked | {"operation": "getPersona", "limit": 9}).json()["items"]
    assert {each["operation"] for each in of_one} == {"getPersona"}
    assert client.get("/audit", params={"personId": "nobody"}).status_code == 404


def test_what_is_rare_is_found_without_looking_through_all(recorder: LogRecorder) -> None:
    tenant, who = f"long-{uuid4().hex[:12]}", ("key", "operation")
    create_tenant(recorder, tenant, "Long")
    asked = {"tenant": tenant, "before": NEWEST, "since": datetime(2020, 1, 1, tzinfo=UTC), "limit": 50}
    with recorder.datastore.get_connection() as connection:
        connection.execute(_MANY, (tenant,))
        connection.execute("ANALYZE personakit.audit")
        cursor = psycopg.ClientCursor(connection)
        for column in who:
            given = asked | dict.fromkeys(who) | {column: "nothing"}
            plan = str(cursor.execute(f"EXPLAIN {SQL['audit']}".encode(), given).fetchall())
            assert f"audit_by_{column}" in plan


_MANY = """
INSERT INTO personakit.audit (tenant, person, key, operation, status, hour, times, first_at, last_at)
SELECT %s, gen_random_uuid(), 'pk_often', 'getPersona', 200, now(), 1, now(), now()
FROM generate_series(1, 5000)
"""


def test_rows_of_the_erased_name_nobody(service: Service, client: Client, database: str) -> None:
    client.post("/observations", json=observation("hal"))
    secret = secret_of(service)
    client.get("/mindscapes/hal", headers={"Authorization": f"Bearer {secret}"})
    assert [row.person_id for row in rows(service, key=secret[:11])] == ["hal"]
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM personakit.person_keys WHERE person_id = 'hal'")
    shown = client.get("/audit", params={"key": secret[:11]}).text
    assert '"personId":null' in shown
    assert "hal" not in shown


def test_a_request_that_was_given_up_has_an_outcome_of_its_own(service: Service) -> None:
    key = key_of(service.recorder, secret_of(service))
    assert key is not None
    handler = SimpleNamespace(operation_id="getPersona")
    scope: Any = {"auth": key, "route_handler": handler, "method": "GET"}
    note(service, scope, 0, None, [PEOPLE[0], PEOPLE[0]])
    assert [(row.status, row.times) for row in rows(service, key=key.prefix)] == [(NOBODY_WAITED, 1)]


def test_what_is_in_memory_is_written_at_the_end(service: Service, database: str) -> None:
    other, person = Service(database, MASTER_KEY), uuid4()
    other.audit.note((TENANT, "pk_ended", "getPersona", 200), [person], 1e9)
    other.close()
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT person FROM personakit.audit WHERE key = 'pk_ended'").fetchall()
    assert found == [(person,)]


HOUR = 3600.0
PEOPLE = [UUID(int=number) for number in range(1, 4)]
NOTES = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["pk_a", "pk_b"]),
        st.sampled_from(["getPersona", "push"]),
        st.sampled_from([200, 404]),
        st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=3, unique=True),
        st.floats(1e9, 1e9 + 3 * HOUR),
        st.none() | st.integers(1, 99),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=15, deadline=None)
@given(NOTES)
def test_however_notes_come_together_their_sums_and_ends_are_those_of_all(
    recorder: LogRecorder, notes: list[Any]
) -> None:
    """From two processes, written whenever; only within which hour a note falls may depend on that, where
    what is kept in memory lies on both sides of its end."""
    tenant = f"law-{uuid4().hex[:12]}"
    create_tenant(recorder, tenant, "Law")
    processes = [Audit(recorder, 36_500) for _ in range(2)]
    expected: dict[Any, list[Any]] = {}
    for process, key, operation, status, people, at, position, kept in notes:
        processes[process].note((tenant, key, operation, status), people, at, position)
        if kept:
            processes[process].keep()
        for person in people:
            known = expected.setdefault((key, operation, status, person), [0, at, at, 0])
            known[0] += 1
            known[1], known[2] = min(known[1], at), max(known[2], at)
            known[3] = max(known[3], position or 0)
    for each in processes:
        each.keep()
    found: dict[Any, list[Any]] = {}
    for row in processes[0].page(tenant, Asked(), NEWEST, 500, datetime.now(UTC)):
        first, last = row.first_at.timestamp(), row.last_at.timestamp()
        known = found.setdefault((row.key, row.operation, row.status, row.person), [0, first, last, 0])
        known[0] += row.times
        known[1], known[2] = min(known[1], first), max(known[2], last)
        known[3] = max(known[3], row.position or 0)
    assert found.keys() == expected.keys()
    for what, known in expected.items():
        assert found[what] == [known[0], pytest.approx(known[1]), pytest.approx(known[2]), known[3]]


def test_where_there_is_no_room_it_is_counted_and_not_named(
    recorder: LogRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST", 3)
    noting, by = Audit(recorder, 400), (TENANT, "pk_full", "sync", 200)
    noting.note(by, [UUID(int=number) for number in range(1, 11)], datetime.now(UTC).timestamp())
    found = noting.page(TENANT, Asked(key="pk_full"), NEWEST, 50, datetime.now(UTC))
    assert sum(row.times for row in found) == 10
    assert [row.times for row in found if row.person == SOMEBODY] == [7]


def test_while_the_database_is_away_notes_are_kept(
    recorder: LogRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    noting, by = Audit(recorder, 400), (TENANT, "pk_away", "getPersona", 200)

    def away() -> Any:
        raise psycopg.OperationalError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(recorder.datastore, "get_connection", away)
        for _ in range(2):
            noting.note(by, [PEOPLE[0]], datetime.now(UTC).timestamp())
            noting.keep()
    found = noting.page(TENANT, Asked(key="pk_away"), NEWEST, 50, datetime.now(UTC))
    assert sum(row.times for row in found) == 2


def test_what_is_older_than_is_kept_is_not_shown_and_goes(recorder: LogRecorder) -> None:
    now = datetime.now(UTC)
    noting, by = Audit(recorder, 10), (TENANT, CLI, "rederive", audit.COMMAND_STATUS)
    for days in (1, 9, 12, 13):
        noting.note(by, [UUID(int=days)], (now - timedelta(days=days)).timestamp())
    shown = noting.page(TENANT, Asked(key=CLI), NEWEST, 50, now)
    assert {row.person.int for row in shown} == {1, 9}
    noting.prune()
    left = Audit(recorder, 400).page(TENANT, Asked(key=CLI), NEWEST, 50, now)
    assert {row.person.int for row in left} == {1, 9}
