"""The faults of the sync protocol that are the server's: each with the real thing that goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from litestar.testing import TestClient
from psycopg.conninfo import conninfo_to_dict

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.domain.events import PersonRegistered
from personakit.embedded import EmbeddedPostgres
from personakit.eventlog import codec
from personakit.eventlog.access import PREFIX_LENGTH, create_key, create_tenant, revoke_key
from personakit.eventlog.person_keys import Person
from personakit.eventlog.recorder import LogRecorder
from personakit.eventlog.stored import Row, StreamId
from personakit.projections.read import Snapshot
from tests.integration.conftest import Client, follow
from tests.mapper_changes import publish_mapper, withdraw_mapper
from tests.people import somebody
from tests.postgres import MASTER_KEY, create_database

TENANT = "default"
AT = "2026-03-02T09:00:00Z"


@contextmanager
def open_service(database: str) -> Iterator[tuple[Service, Client]]:
    """A service on a database whose parts are moved by hand, and a client of it."""
    with closing(Service(database, MASTER_KEY)) as service:
        create_tenant(service.recorder, TENANT, "Default")
        with TestClient(create_app(service), raise_server_exceptions=False) as client:
            client.headers["Authorization"] = f"Bearer {create_key(service.recorder, TENANT, 'test')}"
            yield service, client


@pytest.fixture
def served(postgres: EmbeddedPostgres, template_database: str) -> Iterator[tuple[Service, Client]]:
    with open_service(create_database(postgres, template_database)) as both:
        yield both


def item(key: str, **body: Any) -> dict[str, Any]:
    content = {"type": "note", "content": {"n": 1}, **body}
    return {"id": str(uuid4()), "kind": "observation", "key": key, "occurredAt": AT, "body": content}


def push(client: Client, *items: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post("/sync", json={"clientId": "c", "items": list(items)})
    assert answer.status_code == 200, answer.text
    return [answer.json()["results"][each["id"]] for each in items]


def pull(client: Client, since: str | None = None) -> dict[str, Any]:
    answer = client.get("/sync", params={} if since is None else {"since": since})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ids(page: dict[str, Any]) -> list[str]:
    return [each["id"] for each in page["items"]]


def gone(client: Client, since: str) -> tuple[int, str, str | None]:
    answer = client.get("/sync", params={"since": since})
    return answer.status_code, answer.json()["type"].rpartition(":")[2], answer.headers.get("Cache-Control")


# --- 1. a transaction takes its position and stalls; another one tries to commit first


def test_a_change_that_stalled_before_its_commit_is_not_passed_over(served: tuple[Service, Client]) -> None:
    service, client = served
    before = pull(client)["next"]
    person = somebody(service.recorder, service.keys, TENANT)
    with ThreadPoolExecutor(1) as threads:
        with service.recorder.datastore.get_connection() as connection, connection.transaction():
            (stalled,) = service.recorder.append(connection, [registration(person)], uuid4())
            later = threads.submit(push, client, item("bob"))
            waits_for_the_log(service.recorder)
            follow(service)
            meanwhile = pull(client, before)
            assert (meanwhile["items"], later.done()) == ([], False)
        (result,) = later.result(10)
    assert result["position"] > stalled.position
    follow(service)
    page = pull(client, meanwhile["next"])
    assert [each["version"] for each in page["items"]] == sorted(each["version"] for each in page["items"])
    assert len(page["items"]) == 2
    assert stalled.position in {each["version"] for each in page["items"]}
    assert pull(client, page["next"])["items"] == []


def registration(person: Person) -> Row:
    """The event that makes somebody known, as the appender would write it."""
    stream, topic = StreamId(TENANT, "person", person.surrogate), codec.topic(PersonRegistered)
    state = codec.seal(codec.encode(PersonRegistered()), person.key, stream, 1, topic)
    return Row(stream, 1, topic, state, person.surrogate, once=True)


def waits_for_the_log(recorder: LogRecorder) -> None:
    """Returns when an append waits for the one that stalled."""
    query = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    for _ in range(1000):
        with recorder.datastore.get_connection() as connection:
            if connection.execute(query).fetchone():
                return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")


# --- 2. a commit between the look at the head and the look at the rows


def test_a_commit_between_head_and_rows_is_told_next_time(
    served: tuple[Service, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, client = served
    push(client, item("ada"))
    follow(service)
    before = pull(client)
    rows, committed = Snapshot.rows, False

    def commits_first(snapshot: Snapshot, query: str, **values: Any) -> list[dict[str, Any]]:
        nonlocal committed
        if query == "changes.since" and not committed:
            committed = True
            push(client, item("bob"))
            follow(service)
        return rows(snapshot, query, **values)

    with monkeypatch.context() as patch:
        patch.setattr(Snapshot, "rows", commits_first)
        meanwhile = pull(client, before["next"])
    assert committed
    assert (meanwhile["items"], meanwhile["position"]) == ([], before["position"])
    assert ids(pull(client, meanwhile["next"])) == ["bob"]


# --- 3. the server's clock steps back; a burst in one microsecond


def test_a_clock_that_steps_back_passes_over_nothing(served: tuple[Service, Client]) -> None:
    service, client = served
    push(client, item("ada"))
    with service.pool.connection() as connection:  # as if the clock had been an hour ahead
        connection.execute(
            "UPDATE personakit.events SET recorded_at = recorded_at + interval '1 hour' "
            "WHERE position = (SELECT max(position) FROM personakit.events)"
        )
    follow(service)
    before = pull(client)
    assert datetime.fromisoformat(before["asOf"]) > datetime.now(UTC) + timedelta(minutes=50)
    push(client, *(item(f"p{n}") for n in range(40)))
    follow(service)
    by_cursor, by_time = pull(client, before["next"]), pull(client, before["asOf"])
    assert sorted(ids(by_cursor)) == sorted(f"p{n}" for n in range(40))
    assert set(ids(by_cursor)) <= set(ids(by_time))
    recorded = [row.recorded_at for row in service.recorder.select_notifications(None, 1000)]  # type: ignore[attr-defined]
    assert recorded == sorted(set(recorded))
    later = pull(client)
    assert datetime.fromisoformat(later["asOf"]) > datetime.fromisoformat(before["asOf"])
    push(client, item("zoe"))
    follow(service)
    assert "zoe" in ids(pull(client, later["asOf"]))


# --- 4. a restore: into a new cluster, and from an older backup


def test_a_restored_backup_is_another_log(postgres: EmbeddedPostgres, template_database: str) -> None:
    database = create_database(postgres, template_database)
    with open_service(database) as (service, client):
        push(client, item("ada"))
        follow(service)
        kept = pull(client)["next"]
        pushed = item("lost")
    backup = copy(postgres, database)
    with open_service(database) as (service, client):
        stored = push(client, pushed)
        follow(service)
        cursor = pull(client)["next"]
    with open_service(backup) as (restored, client):
        assert restored.epoch == service.epoch
        assert gone(client, cursor) == (410, "epoch-changed", "no-store")
        assert pull(client, kept)["items"] == []
        push(client, *(item("others") for _ in range(5)))
        follow(restored)
        assert restored.reader.head() > stored[0]["position"]
        assert gone(client, cursor) == (410, "epoch-changed", "no-store")
        assert ids(pull(client, kept)) == ["others"]
        assert push(client, pushed)[0]["status"] == "stored"


def test_a_log_that_was_set_up_anew_is_another_one(
    postgres: EmbeddedPostgres, template_database: str
) -> None:
    database = create_database(postgres, template_database)
    with open_service(database) as (_, client):
        cursor = pull(client)["next"]
    with open_service(create_database(postgres, template_database)) as (_, client):
        assert gone(client, cursor) == (410, "epoch-changed", "no-store")
    restored = copy(postgres, database)
    with psycopg.connect(restored) as connection:
        connection.execute("UPDATE personakit.log_identity SET epoch = gen_random_uuid()")
    with open_service(restored) as (_, client):
        assert gone(client, cursor) == (410, "epoch-changed", "no-store")


def copy(postgres: EmbeddedPostgres, database: str) -> str:
    """A backup of the database, to which nobody is connected."""
    return create_database(postgres, str(conninfo_to_dict(database)["dbname"]))


# --- 7. the server commits, and the answer is lost


def test_what_was_committed_and_not_heard_of_is_a_duplicate_when_it_comes_again(
    served: tuple[Service, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, client = served
    sent = [item("ada"), item("bob")]
    with monkeypatch.context() as patch:
        patch.setattr("personakit.api.sync.push._retry_after", lose)
        lost = client.post("/sync", json={"clientId": "c", "items": sent})
    assert lost.status_code == 500
    head = service.reader.head()
    again = push(client, *sent)
    assert [result["status"] for result in again] == ["duplicate", "duplicate"]
    assert service.reader.head() == head


def lose(*_: Any) -> None:
    raise RuntimeError("the answer is lost")


# --- 8. a poison item among 500; an item too large; one key failing


def test_one_poison_item_among_500_is_refused_alone(served: tuple[Service, Client]) -> None:
    _, client = served
    sent = [item(f"p{n % 7}") for n in range(498)]
    sent.insert(123, item("p3", content={"a": "\x00"}))
    sent.insert(321, item("p4", supersedes=str(uuid4())))
    results = push(client, *sent)
    bad = [number for number, result in enumerate(results) if result["status"] != "stored"]
    assert bad == [123, 321]
    assert {results[number]["status"] for number in bad} == {"rejected"}
    positions = [result["position"] for number, result in enumerate(results) if number not in bad]
    assert positions == sorted(positions)


# --- 9. the same id with another body


def test_another_body_under_an_id_never_takes_the_place_of_the_first(served: tuple[Service, Client]) -> None:
    service, client = served
    first = item("ada")
    other = {**first, "body": {"type": "note", "content": {"n": 2}}}
    push(client, first)
    (result,) = push(client, other)
    assert (result["status"], result["problem"]["type"].rpartition(":")[2]) == ("rejected", "id-taken")
    follow(service)
    (stored,) = client.get("/observations", params={"personId": "ada"}).json()["items"]
    assert stored["content"] == {"n": 1}


# --- 14. delete and recreate; a revoked grant; offline beyond retention


@pytest.mark.parametrize("together", [True, False])
def test_of_a_delete_and_a_recreate_the_later_one_counts(
    served: tuple[Service, Client], *, together: bool
) -> None:
    service, client = served

    def step() -> None:
        if not together:
            follow(service)

    publish_mapper(service, TENANT, "m")
    publish_mapper(service, TENANT, "drafted", "draft")
    follow(service)
    page = pull(client)
    assert ids(page) == ["m"]
    withdraw_mapper(service, TENANT, "m")
    follow(service)
    deleted = pull(client, page["next"])
    assert [(each["id"], each["op"], "body" in each) for each in deleted["items"]] == [("m", "delete", False)]
    for change in (publish_mapper, withdraw_mapper, publish_mapper):
        change(service, TENANT, "m")
        step()
    follow(service)
    for since in (page["next"], deleted["next"]):
        back = pull(client, since)
        assert [(each["id"], each["op"]) for each in back["items"]] == [("m", "put")]
    assert ids(pull(client)) == ["m"]
    publish_mapper(service, TENANT, "drafted")
    withdraw_mapper(service, TENANT, "m")
    follow(service)
    last = pull(client, back["next"])
    assert [(each["id"], each["op"]) for each in last["items"]] == [("drafted", "put"), ("m", "delete")]


def test_a_revoked_key_is_shown_nothing_and_the_cursor_of_another_tenant_neither(
    served: tuple[Service, Client],
) -> None:
    service, client = served
    cursor = pull(client)["next"]
    create_tenant(service.recorder, "other", "Other")
    secret = create_key(service.recorder, "other", "test")
    theirs = {"Authorization": f"Bearer {secret}"}
    moved = client.get("/sync", params={"since": cursor}, headers=theirs)
    assert (moved.status_code, moved.json()["type"].rpartition(":")[2]) == (410, "scope-changed")
    revoke_key(service.recorder, "other", secret[:PREFIX_LENGTH])
    threading.Event().wait(1.0)  # a key is believed for 0.9 seconds
    for answer in (client.get("/sync", headers=theirs), client.post("/sync", json={}, headers=theirs)):
        assert answer.status_code == 401


def test_who_was_away_for_longer_than_is_promised_begins_again(
    served: tuple[Service, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = served
    cursor = pull(client)["next"]

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + away

    monkeypatch.setattr("personakit.api.sync.pull.datetime", Later)
    away = timedelta(days=89, hours=23)
    assert pull(client, cursor)["intent"] == "none"
    away = timedelta(days=90, hours=1)
    assert gone(client, cursor) == (410, "cursor-expired", "no-store")
    assert pull(client)["upToDate"]
