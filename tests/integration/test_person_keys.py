"""People's keys: wrapped at rest, checked with every append, and with them goes all that they sealed."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from litestar.testing import TestClient
from psycopg import sql

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.domain.events import MindscapeUpdated
from personakit.eventlog import codec
from personakit.eventlog.access import create_key
from personakit.eventlog.appender import Appender, NewEvent
from personakit.eventlog.intake import Receipt
from personakit.eventlog.people import People
from personakit.eventlog.person_keys import MasterKeyWrong, Person, PersonErased, PersonKey, PersonKeys
from personakit.eventlog.recorder import LogRecorder
from personakit.eventlog.stored import StreamId
from personakit.projections import builds
from personakit.projections.follow import Followers
from personakit.projections.rebuild import rebuild
from personakit.projections.verify import verify
from personakit_sdk import wire
from tests.integration.conftest import Client, follow
from tests.people import somebody
from tests.postgres import MASTER_KEY, data_dir, url_of
from tests.processes import Installation

TENANT = "default"
OTHER_MASTER_KEY = bytes(range(1, 33))
CANARY = "canary-5e1f"


def observation(person: str, content: object = CANARY) -> wire.Observation:
    return wire.Observation(
        id=uuid4(),
        person_id=person,
        type=f"note-{CANARY}",
        content={"said": content},
        occurred_at=datetime(2026, 3, 2, tzinfo=UTC),
        source=CANARY,
        metadata={CANARY: CANARY},
    )


def updated(person: Person, version: int = 1) -> NewEvent:
    event = MindscapeUpdated(traits={}, derivation="computed", definition="x", read_through=0)
    return NewEvent(StreamId(TENANT, "mindscape", person.surrogate), version, event, person)


def forget(conninfo: str, person: Person) -> None:
    """What erasing does to a key: its row goes, under the lock of the log."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(7165064741)")
        connection.execute("DELETE FROM personakit.person_keys WHERE person = %s", [person.surrogate])


def test_a_key_is_wrapped_in_its_row(recorder: LogRecorder, keys: PersonKeys, database: str) -> None:
    """By the master key, as AES-256-GCM under its tenant and surrogate; no two people have one key."""
    people = [somebody(recorder, keys, TENANT) for _ in range(20)]
    found = set()
    with psycopg.connect(database) as connection:
        for person in people:
            query = "SELECT k.key, k::text FROM personakit.person_keys AS k WHERE person = %s"
            row = connection.execute(query, [person.surrogate]).fetchone()
            assert row is not None
            owner = TENANT.encode() + b"\n" + person.surrogate.bytes
            key = AESGCM(MASTER_KEY).decrypt(row[0][:12], row[0][12:], owner)
            assert len(key) == 32
            assert key not in row[0]
            assert key.hex() not in row[1]
            assert PersonKey(key).digest(person_sent) == person.key.digest(person_sent)
            found.add(key)
    assert len(found) == 20


person_sent = observation("any")


def test_a_key_moved_to_another_persons_row_does_not_open(
    recorder: LogRecorder, keys: PersonKeys, database: str
) -> None:
    ada, bo = (somebody(recorder, keys, TENANT) for _ in range(2))
    with psycopg.connect(database) as connection:
        swap = """UPDATE personakit.person_keys SET key =
                  (SELECT key FROM personakit.person_keys WHERE person = %s) WHERE person = %s"""
        connection.execute(swap, [ada.surrogate, bo.surrogate])
    fresh = PersonKeys(recorder.datastore.get_connection, MASTER_KEY)
    theirs = fresh.of(ada.surrogate)
    sealed = codec.seal(b"{}", theirs, StreamId(TENANT, "observation", bo.surrogate), 1, "T.1")
    with pytest.raises(MasterKeyWrong):
        fresh.of(bo.surrogate).cipher.encrypt(bytes(12), b"{}", None)
    with pytest.raises(codec.SealBroken):
        codec.unseal(sealed, fresh.of(bo.surrogate), StreamId(TENANT, "observation", bo.surrogate), 1, "T.1")


@pytest.mark.usefixtures("keys")
def test_another_master_key_opens_nothing_and_is_told_at_once(recorder: LogRecorder) -> None:
    with pytest.raises(MasterKeyWrong, match="PERSONAKIT_MASTER_KEY"):
        PersonKeys(recorder.datastore.get_connection, OTHER_MASTER_KEY)


def test_the_first_master_key_is_the_one_though_nobody_is_known_yet(recorder: LogRecorder) -> None:
    """Two processes that start at once with different keys cannot both go on."""
    with recorder.datastore.get_connection() as connection:
        connection.execute("UPDATE personakit.log_identity SET master_check = NULL")
    PersonKeys(recorder.datastore.get_connection, MASTER_KEY)
    with pytest.raises(MasterKeyWrong):
        PersonKeys(recorder.datastore.get_connection, OTHER_MASTER_KEY)


@pytest.mark.parametrize(
    "command", [["projections", "list"], ["projections", "verify", "--all"], ["tenants", "create", "acme"]]
)
@pytest.mark.usefixtures("keys")
def test_a_wrong_master_key_is_one_sentence_and_exit_2(database: str, command: list[str]) -> None:
    done = run(database, OTHER_MASTER_KEY, *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "PERSONAKIT_MASTER_KEY" in done.stderr


@pytest.mark.usefixtures("keys")
def test_a_log_of_another_format_is_one_sentence_and_exit_2(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE personakit.log_identity SET format = 99")
    try:
        done = run(database, MASTER_KEY, "projections", "list")
    finally:
        with psycopg.connect(database) as connection:
            connection.execute("UPDATE personakit.log_identity SET format = 2")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "format 99" in done.stderr


def run(database: str, master_key: bytes, *command: str) -> subprocess.CompletedProcess[str]:
    with data_dir() as folder:
        environ = {
            "PERSONAKIT_DATABASE_URL": url_of(database),
            "PERSONAKIT_MASTER_KEY": base64.b64encode(master_key).decode(),
        }
        return Installation(folder, **environ).run(*command)


def test_an_append_about_somebody_who_is_gone_is_refused_and_the_others_of_its_group_are_stored(
    recorder: LogRecorder, keys: PersonKeys, appender: Appender, database: str
) -> None:
    people = People(recorder, appender, keys).register(TENANT, ["erased", "spared"])
    gone, there = people["erased"], people["spared"]
    forget(database, gone)
    with psycopg.connect(database) as holder:  # one group: the log's lock is held until all are handed in
        holder.execute("SELECT pg_advisory_xact_lock(7165064741)")
        first = appender.append([updated(there, 1)])
        refused = appender.append([updated(gone, 1)])
        mixed = appender.append([updated(gone, 2), updated(there, 2)])
        stored = appender.append([updated(there, 2)])
    first.result(10)
    for future in (refused, mixed):
        with pytest.raises(PersonErased):
            future.result(10)
    assert not stored.result(10)[0].duplicate
    assert recorder.select_events(str(StreamId(TENANT, "mindscape", gone.surrogate))) == []
    versions = recorder.select_events(str(StreamId(TENANT, "mindscape", there.surrogate)))
    assert [event.originator_version for event in versions] == [1, 2]


def test_a_key_that_goes_while_an_append_waits_its_turn_is_seen(
    recorder: LogRecorder, keys: PersonKeys, appender: Appender, database: str
) -> None:
    """Whoever erases holds the log's lock, and the check comes after the lock: there is no gap between."""
    ada = People(recorder, appender, keys).register(TENANT, ["quick"])["quick"]
    with psycopg.connect(database) as erasing:
        erasing.execute("SELECT pg_advisory_xact_lock(7165064741)")
        waiting = appender.append([updated(ada)])
        until_a_writer_waits(database)
        erasing.execute("DELETE FROM personakit.person_keys WHERE person = %s", [ada.surrogate])
    with pytest.raises(PersonErased):
        waiting.result(10)


def until_a_writer_waits(database: str) -> None:
    query = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(database, autocommit=True) as connection:
        while not connection.execute(query).fetchone():
            pass


class Forgotten(NamedTuple):
    """A service where one of two people was forgotten, after the read models had both."""

    service: Service
    gone: Person
    there: Person


@pytest.fixture(scope="module")
def forgotten(quiet: Service, database: str) -> Forgotten:
    for n in range(3):
        quiet.intake.record(TENANT, [observation(person, n) for person in ("gone", "there")])
    people = quiet.people.register(TENANT, ["gone", "there"])
    follow(quiet)
    forget(database, people["gone"])
    return Forgotten(quiet, people["gone"], people["there"])


def test_the_plaintext_of_what_is_about_people_is_nowhere_in_the_log(
    forgotten: Forgotten, database: str
) -> None:
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT state, e::text, kind FROM personakit.events AS e WHERE person IS NOT NULL"
        ).fetchall()
    kinds = {kind for _, _, kind in rows}
    assert {"observation", "person"} <= kinds
    for state, text, _ in rows:
        assert CANARY.encode() not in state
        assert b"said" not in state
        assert state[:1] == b"\x01"
        assert CANARY not in text


def ids(service: Service, person: Person) -> int:
    values = {"tenant": TENANT, "person": person.surrogate, "after": 0, "through": 2**62, "limit": 100}
    with service.reader.snapshot_of_all() as snapshot:
        return len(snapshot.rows("observations.by_person", **values))


def test_rebuilt_without_their_key_somebody_was_never_there(forgotten: Forgotten) -> None:
    service = forgotten.service
    fresh = PersonKeys(service.recorder.datastore.get_connection, MASTER_KEY)
    for name, projection in service.projections.items():
        made = rebuild(service.pool, projection, fresh)
        assert made is not None
        assert made.position == service.reader.head()
        assert forgotten.gone.surrogate.hex not in everything_in(service, name).replace("-", "")
        assert verify(service.pool, projection, fresh).clean
    assert ids(service, forgotten.gone) == 0
    assert ids(service, forgotten.there) == 3


def everything_in(service: Service, name: str) -> str:
    """Every row of a projection's build that is read, as text."""
    with service.pool.connection() as connection:
        schema = builds.active(connection, service.projections[name])
        assert schema is not None
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
        found = []
        for row in tables.fetchall():
            query = sql.SQL("SELECT t::text AS text FROM {} AS t").format(
                sql.Identifier(schema, row["tablename"])
            )
            found += [each["text"] for each in connection.execute(query).fetchall()]
    return "\n".join(found)


def test_followers_pass_over_what_is_about_somebody_who_is_gone(quiet: Service, database: str) -> None:
    """Recorded while the key was there, followed after it went; nobody is quarantined for it."""
    people = quiet.people.register(TENANT, ["late", "in time"])
    late, there = people["late"], people["in time"]
    quiet.appender.append([updated(late), updated(there)]).result(10)
    forget(database, late)
    fresh = Service(database, MASTER_KEY)
    follow(fresh)
    with fresh.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("mindscapes.by_people", tenant=TENANT, people=[late.surrogate, there.surrogate])
        assert snapshot.position == fresh.reader.head()
    quarantined = {state.name: state.quarantined for state in fresh.reader.states() if state.quarantined}
    fresh.close()
    assert [row["person"] for row in rows] == [there.surrogate]
    assert quarantined == {}


@pytest.fixture
def caller(quiet: Service) -> Iterator[Client]:
    with TestClient(create_app(quiet), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {create_key(quiet.recorder, TENANT, 'test')}"
        yield client


def test_the_service_answers_410_about_somebody_who_is_gone(
    quiet: Service, caller: Client, database: str
) -> None:
    """By a process that has their key still: the log does not take anything about them any more."""
    (receipt,) = quiet.intake.record(TENANT, [observation("leaver")])
    assert isinstance(receipt, Receipt)
    forget(database, quiet.people.register(TENANT, ["leaver"])["leaver"])
    body = {
        "personId": "leaver",
        "type": "note",
        "content": {},
        "occurredAt": "2026-03-02T09:00:00Z",
    }
    answer = caller.post("/observations", json=body)
    assert answer.status_code == 410
    assert answer.json()["type"].endswith(":person-erased")


def test_a_damaged_key_is_one_persons_trouble_and_nobody_elses(quiet: Service, database: str) -> None:
    for person in ("damaged", "sound"):
        quiet.intake.record("default", [observation(person)])
    damaged, sound = (quiet.people.find("default", person) for person in ("damaged", "sound"))
    assert damaged is not None
    assert sound is not None
    with psycopg.connect(database) as connection:
        spoil = "UPDATE personakit.person_keys SET key = decode(repeat('00', 60), 'hex') WHERE person = %s"
        connection.execute(spoil, [damaged.surrogate])
    fresh = PersonKeys(quiet.recorder.datastore.get_connection, MASTER_KEY)
    Followers(quiet.pool, quiet.projections.values(), fresh).catch_up()
    with quiet.reader.snapshot_of_all() as snapshot:
        seen = [
            len(
                snapshot.rows(
                    "observations.by_person", tenant="default", person=each, after=0, through=2**62, limit=9
                )
            )
            for each in (damaged.surrogate, sound.surrogate)
        ]
    assert seen == [0, 1]
    assert {each.lag_events for each in quiet.reader.states() if each.state == "active"} == {0}
