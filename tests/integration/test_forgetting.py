"""A person is erased over HTTP: refused from then on, until made again on purpose, and nobody else's loss."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from eventsourcing.postgres import PostgresDatastore
from httpx import Response
from litestar.testing import TestClient
from psycopg import Connection

from personakit.agents.service import Service
from personakit.api import erasures
from personakit.api.app import create_app
from personakit.domain.events import PersonaDefined
from personakit.domain.grant import granted
from personakit.eventlog.access import create_key, create_tenant, grant_key
from personakit.eventlog.eraser import Eraser
from personakit.eventlog.erasure_journal import Erasure, ErasureJournal
from personakit.eventlog.intake import OfErased
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.people import People, persona_id
from personakit.eventlog.person_keys import PersonErased, PersonKeys
from personakit.eventlog.recorder import Appended, LogRecorder, open_datastore
from personakit.projections import builds
from personakit.projections.rebuild import rebuild
from personakit.projections.verify import verify
from personakit_sdk import wire
from personakit_sdk.rules import suggestion_id
from tests.integration.conftest import Client
from tests.mapper_documents import mapper
from tests.postgres import MASTER_KEY

TENANT = "default"
START = datetime(2026, 3, 2, 21, 15, tzinfo=UTC)
POOL = 20
"""Connections of a pool of the log: four, and sixteen more for a while."""
WHO_WAITS = """SELECT pid FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'"""
ERASED = "urn:personakit:problem:person-erased"


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / "erasures.jsonl"


@pytest.fixture(scope="module")
def service(database: str, journal: Path) -> Iterator[Service]:
    with Service(database, MASTER_KEY, erasure_journal=journal) as service:
        create_tenant(service.recorder, TENANT, "Default")
        yield service


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[Client]:
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {create_key(service.recorder, TENANT, 'test')}"
        assert client.post("/mappers", json=mapper("focus", always=1.0)).status_code == 201
        yield client


def observation(person: str, id_: str | None = None, **other: Any) -> dict[str, Any]:
    return {
        "id": id_ or str(uuid4()),
        "personId": person,
        "type": "code_commit",
        "content": {"lines_changed": 40, "files_changed": 2, "languages": [person], "merge": False},
        "occurredAt": START.isoformat(),
        **other,
    }


def record(client: Client, *people: str, times: int = 3) -> list[str]:
    """Observations of each; what is read afterwards reflects them. Their ids."""
    sent = [observation(person) for person in people for _ in range(times)]
    answer = client.post("/observations/batch", json=sent)
    assert {each["status"] for each in answer.json()["results"]} == {"stored"}, answer.text
    reach(client, answer)
    return [each["id"] for each in sent]


def reach(client: Client, answer: Response) -> None:
    client.headers["PersonaKit-Min-Position"] = answer.headers["PersonaKit-Position"]


def create(client: Client, *people: str, key: str | None = None, **more: Any) -> str:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = client.post("/personas", json={"name": "A team", "people": people, **more}, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def erase(client: Client, person: str) -> dict[str, Any]:
    answer = client.delete(f"/people/{person}")
    assert answer.status_code == 200, answer.text
    reach(client, answer)
    return dict(answer.json())


def is_erased(answer: Response) -> bool:
    return (answer.status_code, answer.json()["type"]) == (410, ERASED)


def is_of_erased(answer: Response) -> bool:
    """Whether it says so of the id alone, and nothing of whoever the new body is about."""
    return (answer.status_code, answer.json()["type"]) == (410, "urn:personakit:problem:id-of-erased")


def clean(service: Service) -> bool:
    """Whether every read model is what a replay makes."""
    service.reader.wait_for_projections(service.reader.head(), 10)
    return all(
        verify(service.pool, projection, service.keys).clean for projection in service.projections.values()
    )


def test_a_receipt_is_the_same_whenever_it_is_asked_for_and_signed(client: Client, journal: Path) -> None:
    record(client, "rex")
    receipt = erase(client, "rex")
    assert (receipt["personId"], receipt["personas"]) == ("rex", [])
    assert client.delete("/people/rex").json() == receipt
    said = {name: value for name, value in receipt.items() if name != "signature"}
    signed = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    public = Ed25519PublicKey.from_public_bytes(b64decode(receipt["publicKey"]))
    public.verify(b64decode(receipt["signature"]), signed)
    journalled = [each for each in ErasureJournal(journal).read() if str(each.id) == receipt["id"]]
    assert [each.erased_at.isoformat() for each in journalled] == [
        datetime.fromisoformat(receipt["erasedAt"]).isoformat()
    ]
    assert "rex" not in journal.read_text()


def test_who_was_never_heard_of_is_not_there_to_be_erased(client: Client, journal: Path) -> None:
    before = list(ErasureJournal(journal).read())
    for nobody in ("nobody", f"~{uuid4()}"):
        assert client.delete(f"/people/{nobody}").status_code == 404
    assert list(ErasureJournal(journal).read()) == before


def test_a_created_persona_is_nobody_who_could_be_erased(client: Client, service: Service) -> None:
    record(client, "zoe", "yan")
    pair = create(client, "zoe", "yan")
    answer = client.delete(f"/people/{pair}")
    assert (answer.status_code, "is no person" in answer.text) == (404, True)
    assert service.eraser.erase(TENANT, pair) is None
    assert client.get(f"/personas/{pair}").json()["people"] == ["zoe", "yan"]
    assert clean(service)


def test_what_is_written_or_asked_about_the_erased_is_refused(client: Client, service: Service) -> None:
    ids = record(client, "eve", "bob")
    pair = create(client, "eve", "bob", key="the pair")
    alone = create(client, "eve", key="alone")
    receipt = erase(client, "eve")
    assert receipt["personas"] == sorted([pair, alone])
    suggestion = suggestion_id.encode("eve", "focus", 1, "always", 1, START)
    refused = [
        client.post("/observations", json=observation("eve")),
        client.post("/observations", json=observation("eve", supersedes=ids[0])),
        client.post("/observations", json=observation("eve", ids[0])),
        client.delete(f"/observations/{ids[0]}"),
        client.get("/observations", params={"personId": "eve"}),
        client.get("/mindscapes/eve"),
        client.get("/mindscapes/eve", params={"asOf": receipt["position"] - 1}),
        client.get("/mindscapes/eve/history"),
        client.put("/mindscapes/eve/traits/diet", json={"value": "vegan", "reason": "told"}),
        client.delete("/mindscapes/eve/traits/diet", params={"reason": "told"}),
        client.get("/people/eve/consent"),
        client.put("/people/eve/consent", json={"purposes": ["learning"]}),
        client.get("/personas/eve"),
        client.post("/personas/eve/regenerate"),
        client.get("/map-persona", params={"personaId": "eve", "mapperId": "focus"}),
        client.get(f"/suggestions/{suggestion}"),
        client.post("/feedback", json={"suggestionId": suggestion, "helpful": True}),
        client.post("/personas", json={"name": "x", "people": ["bob", "eve"]}),
        client.post(
            "/personas", json={"name": "A team", "people": ["bob"]}, headers={"Idempotency-Key": "alone"}
        ),
        client.put(f"/personas/{pair}", json={"name": "x", "people": ["eve"]}),
    ]
    assert [each.status_code for each in refused if not is_erased(each)] == []
    assert is_of_erased(client.post("/observations", json=observation("bob", ids[0])))
    batch = client.post(
        "/observations/batch", json=[observation("bob"), observation("eve"), observation("bob")]
    )
    fates = batch.json()["results"]
    assert [each["status"] for each in fates] == ["stored", "rejected", "stored"]
    assert fates[1]["problem"]["type"] == ERASED
    items = [
        {
            "id": str(uuid4()),
            "kind": "observation",
            "key": person,
            "occurredAt": START.isoformat(),
            "schema": 1,
            "body": {"type": "note", "content": {"n": 1}},
        }
        for person in ("eve", "bob")
    ]
    pushed = client.post("/sync", json={"clientId": "c", "items": items}).json()["results"]
    assert pushed[items[0]["id"]]["problem"]["type"] == ERASED
    assert pushed[items[1]["id"]]["status"] == "stored"
    assert clean(service)


def test_a_persona_loses_the_part_and_everybody_elses_stays(client: Client, service: Service) -> None:
    record(client, "ann", "ben", "cat")
    assert client.post("/personas/ben/regenerate").status_code == 200
    shared = create(client, "ann", "ben", uses=["work.*"])
    once = create(client, "ann", "cat")
    apart = create(client, "ben", "cat")
    assert client.put(f"/personas/{once}", json={"name": "Cat", "people": ["cat"]}).status_code == 200
    for persona in (shared, once, apart):
        assert client.post(f"/personas/{persona}/regenerate").status_code == 200
    voted = {"mapperId": "focus", "ruleId": "always", "personaId": shared, "helpful": True}
    assert client.post("/feedback", json=voted).status_code == 201
    at = client.get("/personas/ben").headers["PersonaKit-Position"]
    others = [
        "/observations?personId=ben",
        "/mindscapes/ben/history",
        f"/mindscapes/ben?asOf={at}",
        f"/personas/ben?asOf={at}",
        f"/personas/{apart}?asOf={at}",
    ]
    before = [client.get(each).content for each in others]
    assert "ann" in client.get(f"/personas/{shared}").text

    receipt = erase(client, "ann")

    assert receipt["personas"] == sorted([shared, once])
    assert [client.get(each).content for each in others] == before
    left = client.get(f"/personas/{shared}").json()
    assert (left["people"], left.get("name"), left["uses"], left["coreVersion"]) == (
        ["ben"],
        None,
        ["work.*"],
        0,
    )
    assert "ann" not in client.get(f"/personas/{shared}").text
    assert client.get(f"/personas/{once}").json()["people"] == ["cat"]
    assert client.get(f"/personas/{shared}", params={"asOf": at}).status_code == 404
    assert client.post(f"/personas/{shared}/regenerate").json()["coreVersion"] == 1
    assert client.post("/feedback", json=voted).status_code == 201
    assert client.put(f"/personas/{shared}", json={"name": "B", "people": ["ben", "cat"]}).status_code == 200
    assert client.get(f"/personas/{shared}").json()["people"] == ["ben", "cat"]
    assert clean(service)


def test_a_persona_that_viewed_nobody_else_is_gone(client: Client) -> None:
    record(client, "fay")
    alone, retired = create(client, "fay"), create(client, "fay")
    assert client.delete(f"/personas/{retired}").status_code == 200
    assert erase(client, "fay")["personas"] == sorted([alone, retired])
    assert client.get(f"/personas/{alone}").status_code == 404
    assert alone not in client.get("/personas", params={"limit": 500}).text


def test_made_again_on_purpose_somebody_new_has_the_id(client: Client, service: Service) -> None:
    (first, *_) = record(client, "gus")
    persona = create(client, "gus", key="of gus")
    erase(client, "gus")
    assert is_erased(client.get("/mindscapes/gus"))
    made = client.put("/people/gus")
    assert made.status_code == 201
    assert client.put("/people/gus").status_code == 200
    reach(client, made)
    assert client.get("/mindscapes/gus").json()["traits"] == {}
    assert client.get("/observations", params={"personId": "gus"}).json()["items"] == []
    assert is_of_erased(client.post("/observations", json=observation("gus", first)))
    assert client.get(f"/personas/{persona}").status_code == 404
    again = client.post(
        "/personas", json={"name": "A team", "people": ["gus"]}, headers={"Idempotency-Key": "of gus"}
    )
    assert is_erased(again)
    record(client, "gus")
    assert len(client.get("/observations", params={"personId": "gus"}).json()["items"]) == 3
    second = erase(client, "gus")
    assert client.delete("/people/gus").json() == second
    assert is_erased(client.post("/observations", json=observation("gus")))
    assert clean(service)


def test_only_an_id_can_be_made_a_person(client: Client) -> None:
    assert client.put("/people/hal").status_code == 201
    assert client.put("/people/hal").status_code == 200
    assert client.put("/people/~hal").status_code == 422


def test_a_key_may_erase_those_whom_it_is_limited_to(client: Client, service: Service) -> None:
    record(client, "ida", "jon")
    limited = grant_key(
        service.recorder, TENANT, "app", granted(["people:erase", "read"], ["ida"], None)
    ).secret
    with_key = {"Authorization": f"Bearer {limited}"}
    for call in (client.delete, client.put):
        assert call("/people/jon", headers=with_key).status_code == 404
    assert client.delete("/people/ida", headers=with_key).status_code == 200
    shown = [each for each in client.get("/keys").json()["items"] if each["id"] == limited[:11]]
    assert (shown[0]["people"], shown[0]["personas"]) == ([], [])
    assert client.get("/observations", params={"personId": "jon"}).status_code == 200


def test_tables_that_nobody_follows_do_not_keep_the_erased(client: Client, service: Service) -> None:
    """Those that a rebuild replaced stay for a while for who reads them: not when somebody was erased."""
    record(client, "joy")  # so that the build about to be replaced has moved since the last erasure
    own = [projection.definition for projection in service.projections.values()]
    assert rebuild(service.pool, service.projections["observations"], service.keys) is not None
    retired = {each.schema for each in service.reader.states() if each.state == "retired"}
    assert retired
    assert builds.drop_unused(service.pool, own, unfollowed="0 seconds") == []
    erase(client, "joy")
    builds.drop_unused(service.pool, own, unfollowed="0 seconds")
    assert not retired & {each.schema for each in service.reader.states()}


def test_without_a_journal_nobody_is_erased(database: str, service: Service, client: Client) -> None:
    record(client, "kim")
    bare = Service(database, MASTER_KEY)
    try:
        with TestClient(create_app(bare), raise_server_exceptions=False) as other:
            other.headers["Authorization"] = client.headers["Authorization"]
            answer = other.delete("/people/kim")
    finally:
        bare.close()
    assert (answer.status_code, answer.json()["type"]) == (501, "urn:personakit:problem:no-erasure-journal")
    assert "PERSONAKIT_ERASURE_JOURNAL" in answer.json()["detail"]
    assert client.get("/mindscapes/kim").status_code == 200


def test_a_journal_that_cannot_be_written_keeps_everybody(
    client: Client, service: Service, tmp_path: Path
) -> None:
    record(client, "liv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.eraser, "_journal", ErasureJournal(tmp_path / "gone" / "erasures.jsonl"))
        answer = client.delete("/people/liv")
    assert (answer.status_code, answer.json()["type"]) == (
        503,
        "urn:personakit:problem:erasure-journal-unusable",
    )
    assert client.get("/mindscapes/liv").status_code == 200


def test_every_process_forgets_the_key(database: str, service: Service, client: Client) -> None:
    """Another one that knew the person hears of it, and answers as this one does."""
    record(client, "mia", "nell")
    pair = create(client, "mia", "nell")
    with (
        Service(database, MASTER_KEY) as other,
        TestClient(create_app(other), raise_server_exceptions=False) as far,
    ):
        far.headers["Authorization"] = client.headers["Authorization"]
        assert far.get("/mindscapes/mia").status_code == 200
        assert far.get(f"/personas/{pair}").json()["people"] == ["mia", "nell"]
        mia = other.people.find(TENANT, "mia")
        assert mia is not None
        heard = threading.Event()
        forget = other.people.forget
        other.people.forget = lambda gone: (forget(gone), heard.set())  # type: ignore[method-assign,assignment]
        receipt = erase(client, "mia")
        assert heard.wait(5)
        assert mia.surrogate not in other.keys._known
        assert is_erased(far.get("/mindscapes/mia"))
        assert is_erased(far.get("/mindscapes/mia/history"))
        assert is_erased(far.post("/observations", json=observation("mia")))
        reached = {"PersonaKit-Min-Position": str(receipt["position"] + 2)}
        assert far.get(f"/personas/{pair}", headers=reached).json()["people"] == ["nell"]
        assert far.post(f"/personas/{pair}/regenerate").status_code == 200


def test_a_process_that_has_not_heard_writes_nothing_by_the_old_key(service: Service, client: Client) -> None:
    """Its key of a persona that began anew seals nothing more, though the persona is there."""
    record(client, "oda", "pat")
    pair = create(client, "oda", "pat")
    stale = service.people.find(TENANT, pair)
    assert stale is not None
    erase(client, "oda")
    fresh = service.people.find(TENANT, pair)
    assert fresh is not None
    assert (stale.surrogate, stale.key.sealed_after) == (fresh.surrogate, 0)
    assert fresh.key.sealed_after > 0
    said = wire.Feedback(helpful=True)
    assert stale.key.digest(said) != fresh.key.digest(said)  # it is another one, and not only said to be
    service.keys._known[fresh.surrogate] = stale.key
    voted = {"mapperId": "focus", "ruleId": "always", "personaId": pair, "helpful": True}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.people, "find", lambda *_: stale)
        assert is_erased(client.post("/feedback", json=voted))
    service.keys.forget()
    assert persona_id(fresh.surrogate) == pair


def test_what_the_journal_has_and_the_database_has_not_is_done_at_the_next_start(
    database: str, service: Service, client: Client, journal: Path
) -> None:
    """As after a kill between the two, or with a backup from before the erasure."""
    record(client, "quin", "rob")
    pair = create(client, "quin", "rob")
    quin, rob = (service.people.find(TENANT, each) for each in ("quin", "rob"))
    assert quin is not None
    assert rob is not None
    never = uuid4()
    for person, name in ((quin.surrogate, "quin"), (never, "from another time")):
        ErasureJournal(journal).append(
            Erasure(
                id=uuid4(),
                erased_at=datetime.now(UTC),
                tenant=TENANT,
                surrogates=(person,),
                tombstone=service.keys.tombstone(TENANT, name).hex(),
            )
        )
    Service(database, MASTER_KEY, erasure_journal=journal).close()
    client.headers["PersonaKit-Min-Position"] = str(service.reader.head())
    service.people.forget(None)
    assert is_erased(client.get("/mindscapes/quin"))
    assert client.get(f"/personas/{pair}").json()["people"] == ["rob"]
    assert service.people.erased(TENANT, "from another time") == [never]
    head = service.reader.head()
    assert service.eraser.complete() == 0
    Service(database, MASTER_KEY, erasure_journal=journal).close()
    assert service.reader.head() == head
    assert clean(service)


def test_who_erases_needs_one_connection_and_who_waits_for_it_none(
    database: str, service: Service, client: Client, tmp_path: Path
) -> None:
    """The keys of the personas that may view somebody are not known, and the pool is nearly empty."""
    people = ["sid", "tom", "uma"]
    record(client, *people, "val", times=1)
    for person in people:
        create(client, person, "val")
    with closing(open_datastore(database)) as datastore, ExitStack() as taken:
        keys = PersonKeys(datastore.get_connection, MASTER_KEY)
        eraser = Eraser(LogRecorder(datastore), keys, ErasureJournal(tmp_path / "journal"))
        *_, spare = [taken.enter_context(_held(datastore)) for _ in range(POOL - 1)]
        assert eraser.erase(TENANT, "sid") is not None
        spare.close()
        with service.pool.connection() as connection, ThreadPoolExecutor() as pool:
            with connection.transaction():
                connection.execute(SQL["hold_log"])
                erasing = [pool.submit(eraser.erase, TENANT, person) for person in people[1:]]
                until_waiting(connection, 1, erasing)
                with datastore.get_connection():
                    assert not any(each.done() for each in erasing)
            assert all(each.result() is not None for each in erasing)


def test_nothing_comes_in_about_somebody_while_they_are_erased(
    service: Service, client: Client, tmp_path: Path
) -> None:
    """By a process that met them before, nor by one that did not: after the keys went, before the commit."""
    record(client, "yao", "zed")
    yao, zed = (service.people.find(TENANT, each) for each in ("yao", "zed"))
    assert yao is not None
    assert zed is not None
    stranger = People(service.recorder, service.appender, service.keys)
    sent = msgspec.convert(observation("yao"), wire.Observation)
    team = PersonaDefined(people=(yao.surrogate, zed.surrogate))
    with service.pool.connection() as connection, ThreadPoolExecutor() as pool:
        stalled = Stalled(service.recorder.datastore)
        eraser = Eraser(stalled, service.keys, ErasureJournal(tmp_path / "journal"))
        erasing = pool.submit(eraser.erase, TENANT, "yao")
        assert stalled.reached.wait(10)
        met = pool.submit(stranger.register, TENANT, ["yao"])
        taken = pool.submit(service.intake.record, TENANT, [sent])
        until_waiting(connection, 2, [met, taken])
        created = pool.submit(service.personas.create, TENANT, team)
        stalled.going.set()
        assert erasing.result() is not None
        assert met.result() == {}
        assert [type(fate) for fate in taken.result()] == [OfErased]
        with pytest.raises(PersonErased):
            created.result()
    service.people.forget(None)
    assert is_erased(client.get("/mindscapes/yao"))
    assert clean(service)


class Stalled(LogRecorder):
    """Appends when it is let."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        super().__init__(datastore)
        self.reached, self.going = threading.Event(), threading.Event()

    def append(self, connection: Connection[Any], rows: Any, append_id: UUID) -> list[Appended]:
        self.reached.set()
        assert self.going.wait(60)
        return super().append(connection, rows, append_id)


def until_waiting(connection: Connection[Any], many: int, tasks: Sequence[Future[Any]]) -> None:
    """Returns when so many wait for a lock of the database, or one of the tasks did not have to."""
    while len(connection.execute(WHO_WAITS).fetchall()) < many and not any(task.done() for task in tasks):
        time.sleep(0.01)


def test_an_erasure_is_answered_when_nothing_that_is_read_has_the_person(
    service: Service, client: Client
) -> None:
    record(client, "abe", "bea")
    pair = create(client, "abe", "bea")
    assert "abe" in client.get(f"/personas/{pair}").text
    del client.headers["PersonaKit-Min-Position"]
    with pytest.MonkeyPatch.context() as patch, service.pool.connection() as connection:
        patch.setattr(erasures, "WAIT_SECONDS", 0.1)
        with connection.transaction():  # no read model moves on
            connection.execute("LOCK TABLE personakit.builds IN SHARE MODE")
            early = client.delete("/people/abe")
    assert (early.status_code, early.json()["type"]) == (503, "urn:personakit:problem:not-there-yet")
    assert client.delete("/people/abe").status_code == 200
    assert client.get(f"/personas/{pair}").json()["people"] == ["bea"]
    assert clean(service)


def _held(datastore: PostgresDatastore) -> ExitStack:
    """A connection of the pool, until it is closed."""
    held = ExitStack()
    held.enter_context(datastore.get_connection())
    return held
