"""Another master key: all that the old one wrapped is wrapped by the new one, whoever writes meanwhile."""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.cli.main import personakit
from personakit.config import Settings
from personakit.embedded import EmbeddedPostgres
from personakit.eventlog.access import create_key, create_tenant
from personakit.eventlog.eraser import Eraser
from personakit.eventlog.erasure_journal import ErasureJournal
from personakit.eventlog.people import People
from personakit.eventlog.person_keys import MasterKeyRotated, MasterKeyWrong, PersonKeys
from personakit.eventlog.recorder import LogRecorder, open_datastore
from personakit.eventlog.rewrap import Rewrapped, opens_database, rotate
from personakit.master_key import begin_rotation, end_rotation, master_key, pending_rotation
from personakit.projections.verify import verify
from tests.history import TENANT, follow, observation, surrogate
from tests.postgres import MASTER_KEY, create_database, url_of
from tests.processes import Installation

NEW = bytes(range(100, 132))


@pytest.fixture
def fresh(postgres: EmbeddedPostgres) -> str:
    """A database of its own: a rotation leaves none as it was."""
    return create_database(postgres)


@pytest.fixture
def before(fresh: str) -> Iterator[Service]:
    """A service that runs with the old master key, and has met ada."""
    service = Service(fresh, MASTER_KEY)
    create_tenant(service.recorder, TENANT, "Default")
    service.intake.record(TENANT, [observation("ada", text="said")])
    yield service
    service.close()


def opened(database: str, master: bytes) -> Service:
    return Service(database, master)


def test_all_is_as_it_was_under_the_new_key_and_nothing_under_the_old(before: Service) -> None:
    sent = observation("ada", 1)
    before.intake.record(TENANT, [sent])
    ada = before.people.register(TENANT, ["ada"])["ada"]
    tombstone = before.keys.tombstone(TENANT, "ada")
    assert rotate(before.logins.owner, MASTER_KEY, lambda: NEW) == Rewrapped(people=1, damaged=0)
    with pytest.raises(MasterKeyWrong):
        opened(before.logins.owner, MASTER_KEY)
    with closing(opened(before.logins.owner, NEW)) as after:
        assert after.keys.tombstone(TENANT, "ada") == tombstone
        assert after.keys.of(ada.surrogate).digest(sent) == ada.key.digest(sent)
        (fate,) = after.intake.record(TENANT, [sent])
        assert getattr(fate, "status", None) == "duplicate"
        for projection in after.projections.values():
            assert verify(after.pool, projection, after.keys).clean
        assert not any(state.quarantined for state in after.reader.states())


def test_a_rotation_with_a_wrong_key_changes_nothing(before: Service) -> None:
    with pytest.raises(MasterKeyWrong):
        rotate(before.logins.owner, NEW, lambda: bytes(32))
    assert opens_database(before.logins.owner, MASTER_KEY)


def test_a_key_that_was_damaged_is_left_so(before: Service) -> None:
    before.intake.record(TENANT, [observation("damaged")])
    with psycopg.connect(before.logins.owner) as connection:
        connection.execute("UPDATE personakit.person_keys SET key = '\\x00' WHERE person_id = 'damaged'")
    assert rotate(before.logins.owner, MASTER_KEY, lambda: NEW) == Rewrapped(people=1, damaged=1)


def test_who_runs_with_the_old_key_goes_on_with_whom_it_knows_and_adds_nobody(
    before: Service, tmp_path: Path
) -> None:
    """Of whom it cannot open the key nothing goes into quarantine, and nothing is lost."""
    with closing(opened(before.logins.owner, MASTER_KEY)) as other:
        other.intake.record(TENANT, [observation("bob")])
    rotate(before.logins.owner, MASTER_KEY, lambda: NEW)
    assert len(before.intake.record(TENANT, [observation("ada")])) == 1
    eraser = Eraser(before.recorder, before.keys, ErasureJournal(tmp_path / "journal"))
    for refused in (
        lambda: before.intake.record(TENANT, [observation("bob")]),
        lambda: before.intake.record(TENANT, [observation("somebody new")]),
        lambda: eraser.erase(TENANT, "ada"),
        lambda: follow(before),
    ):
        with pytest.raises(MasterKeyRotated):
            refused()
    assert not (tmp_path / "journal").exists()
    with TestClient(create_app(before), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {create_key(before.recorder, TENANT, 'test')}"
        body = {"personId": "new", "type": "note", "content": {}, "occurredAt": "2026-03-02T09:00:00Z"}
        answer = client.post("/observations", json=body)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "master-key-rotated")
    assert not any(state.quarantined for state in before.reader.states())
    with closing(opened(before.logins.owner, NEW)) as after:
        assert {surrogate(after, each) for each in ("ada", "bob")}
        assert after.people.find(TENANT, "new") is None
        assert not any(state.quarantined for state in after.reader.states())


def test_nobody_is_lost_who_is_added_while_the_key_is_rotated(before: Service) -> None:
    """Each is there under the new key, or was refused."""
    ended = threading.Event()

    def add(worker: int) -> list[str]:
        added = []
        with closing(open_datastore(before.logins.owner, pool_size=2)) as datastore:
            recorder = LogRecorder(datastore)
            try:
                keys = PersonKeys(datastore.get_connection, MASTER_KEY)
                people = People(recorder, before.appender, keys)
                for number in range(10_000):
                    if ended.is_set():
                        break
                    people.register(TENANT, [f"p{worker}-{number}"])
                    added.append(f"p{worker}-{number}")
            except (MasterKeyRotated, MasterKeyWrong):  # it had begun already, or begins afterwards
                pass
            return added

    with ThreadPoolExecutor(3) as pool:
        workers = [pool.submit(add, worker) for worker in range(3)]
        while before.reader.head() < 20:
            assert not any(worker.done() for worker in workers), [worker.result() for worker in workers]
        done = rotate(before.logins.owner, MASTER_KEY, lambda: NEW)
        added = [person for worker in workers for person in worker.result(60)]
        ended.set()
    assert done.damaged == 0
    with closing(open_datastore(before.logins.owner, pool_size=2)) as datastore:
        keys = PersonKeys(datastore.get_connection, NEW)
        with datastore.get_connection() as connection:
            rows = connection.execute("SELECT person_id, person FROM personakit.person_keys").fetchall()
        assert {row["person_id"] for row in rows} == {*added, "ada"}
        assert done.people == len(rows)
        for row in rows:
            keys.of(row["person"]).digest(observation("any"))  # opens, or raises


# --- the files, killed at every point


def test_at_every_point_one_of_the_two_files_opens_the_database(before: Service, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url=before.logins.owner)
    (tmp_path / "master-key").write_bytes(base64.b64encode(MASTER_KEY))

    class Killed(Exception):
        pass

    def killed_before_the_commit() -> bytes:
        begin_rotation(tmp_path, None)
        raise Killed

    with pytest.raises(Killed):
        rotate(before.logins.owner, MASTER_KEY, killed_before_the_commit)
    pending = pending_rotation(tmp_path)
    assert pending is not None
    assert opens_database(before.logins.owner, master_key(settings))
    assert not opens_database(before.logins.owner, pending)
    rotate(before.logins.owner, MASTER_KEY, lambda: begin_rotation(tmp_path, None))
    pending = pending_rotation(tmp_path)
    assert pending is not None
    assert not opens_database(before.logins.owner, master_key(settings))
    assert opens_database(before.logins.owner, pending)
    end_rotation(tmp_path)
    assert opens_database(before.logins.owner, master_key(settings))


def test_a_rotation_that_is_killed_at_any_moment_is_finished_by_another(
    before: Service, tmp_path: Path
) -> None:
    """kill -9 of the command, with 3,000 people to wrap anew, after it has written the new key down."""
    ada = surrogate(before, "ada")
    settings = Settings(data_dir=tmp_path)
    with psycopg.connect(before.logins.owner) as connection:
        connection.execute(
            """INSERT INTO personakit.person_keys (tenant, person_id, person, key)
               SELECT tenant, 'p' || n, gen_random_uuid(), key
               FROM personakit.person_keys, generate_series(1, 3000) AS n WHERE person_id = 'ada'"""
        )
    installed = Installation(tmp_path, PERSONAKIT_DATABASE_URL=url_of(before.logins.owner))
    (tmp_path / "master-key").write_bytes(base64.b64encode(MASTER_KEY))
    for _ in range(2):
        process = installed.begin("master-key", "rotate")
        while not (tmp_path / "master-key.new").exists() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.15))
        process.kill()
        process.wait()
        held = [key for key in (master_key(settings), pending_rotation(tmp_path)) if key is not None]
        assert [opens_database(before.logins.owner, key) for key in held].count(True) == 1
    done = CliRunner(env=installed.environ).invoke(personakit, ["master-key", "rotate"])
    assert done.exit_code == 0, done.output
    assert pending_rotation(tmp_path) is None
    with closing(open_datastore(before.logins.owner, pool_size=1)) as datastore:
        keys = PersonKeys(datastore.get_connection, master_key(settings))
        keys.of(ada).digest(observation("ada"))
