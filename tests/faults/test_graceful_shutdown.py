"""SIGTERM under load: what was read is answered, what was answered is stored, and the exit code is 0."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from personakit.api.gate import BODY_SECONDS
from personakit.cli.ending import DRAIN_SECONDS
from personakit.embedded import EmbeddedPostgres
from tests.postgres import MASTER_KEY_TEXT, create_database, data_dir, url_of
from tests.processes import installation
from tests.production import production

LOG_LOCK = 7165064741
WRITERS = 32


class Serving(msgspec.Struct):
    """A service under test: where it listens, the key, its database, how to end it and see its end."""

    port: int
    key: str
    database: str
    terminate: Callable[[], None]
    wait: Callable[[float], int]


@contextmanager
def serving_up(database: str) -> Iterator[Serving]:
    """`personakit up`, on a database of the tests'."""
    own = {"PERSONAKIT_DATABASE_URL": url_of(database), "PERSONAKIT_MASTER_KEY": MASTER_KEY_TEXT}
    with data_dir() as folder, installation(folder, **own) as made:
        made.start()
        up, key = made.up, (folder / "api-key").read_text().strip()
        assert up is not None
        yield Serving(made.port, key, database, up.terminate, up.wait)


@contextmanager
def serving_api(database: str) -> Iterator[Serving]:
    """`personakit api` with two processes, and no worker: nobody else appends."""
    with production(url_of(database)) as made:
        key = made.first_key()
        api = made.start_api(workers=2)
        yield Serving(api.port, key, database, api.terminate, api.popen.wait)


@pytest.fixture(params=[serving_up, serving_api], ids=["up", "api"])
def serving(request: pytest.FixtureRequest, postgres: EmbeddedPostgres) -> Iterator[Serving]:
    with request.param(create_database(postgres)) as made:
        yield made


def observation() -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "personId": "ada",
        "type": "note",
        "content": {"a": 1},
        "occurredAt": "2026-03-02T09:00:00Z",
    }


class Caller:
    """A client with one connection that it keeps."""

    def __init__(self, serving: Serving) -> None:
        self._headers = {"Authorization": f"Bearer {serving.key}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=60)

    def post(self, body: dict[str, Any]) -> int | None:
        """The status; None when the service closed the connection with no byte of an answer."""
        try:
            self._connection.request("POST", "/observations", msgspec.json.encode(body), self._headers)
            answer = self._connection.getresponse()
        except (ConnectionError, http.client.RemoteDisconnected):
            self._connection.close()
            return None
        assert msgspec.json.decode(answer.read())  # the whole of it: `read` fails on a part
        return answer.status

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def post_once(serving: Serving, body: dict[str, Any]) -> int | None:
    """`Caller.post` over a connection of its own."""
    with closing(Caller(serving)) as caller:
        return caller.post(body)


class Writer(threading.Thread):
    """Writes over one connection until it is closed and none can be had any more."""

    def __init__(self, serving: Serving) -> None:
        super().__init__()
        self._serving = serving
        self.answered: dict[str, int] = {}
        self.unanswered: set[str] = set()

    def run(self) -> None:
        with closing(Caller(self._serving)) as caller:
            self._write(caller)

    def _write(self, caller: Caller) -> None:
        while len(self.unanswered) < 2:
            body = observation()
            status = caller.post(body)
            if status is None:
                self.unanswered.add(body["id"])
            else:
                self.answered[body["id"]] = status


def commit() -> dict[str, Any]:
    content = {"lines_changed": 10, "languages": ["Python"], "merge": False}
    return observation() | {"type": "code_commit", "content": content}


def until_somebody_waits(log: psycopg.Connection[Any]) -> None:
    deadline = time.monotonic() + 20
    while not log.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone():
        assert time.monotonic() < deadline, "nobody waits for the log"
        time.sleep(0.005)


def stored(database: str) -> set[str]:
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT stream FROM personakit.events WHERE kind = 'observation'")
        return {str(row[0]) for row in rows}


def test_what_was_read_is_answered_and_what_was_answered_is_stored(serving: Serving) -> None:
    """A request without an answer was not read: it may be sent again, and is not in the log."""
    writers = [Writer(serving) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    time.sleep(1.5)
    serving.terminate()
    began = time.monotonic()
    assert serving.wait(60) == 0
    took = time.monotonic() - began
    for writer in writers:
        writer.join()
    statuses = {status for writer in writers for status in writer.answered.values()}
    recorded = {id_ for writer in writers for id_, status in writer.answered.items() if status == 201}
    found = stored(serving.database)
    assert statuses <= {201, 503}
    assert len(recorded) > WRITERS
    assert recorded <= found
    assert not {id_ for writer in writers for id_ in writer.unanswered} & found
    assert took < 15


def test_requests_under_way_are_waited_for(serving: Serving) -> None:
    """The log is held up, so that all of them are under way when the signal comes."""
    bodies = [observation() for _ in range(WRITERS)]
    with (
        closing(Caller(serving)) as idle,
        ThreadPoolExecutor(WRITERS) as callers,
        psycopg.connect(serving.database, autocommit=True) as log,
    ):
        assert idle.post(observation()) == 201
        log.execute("SELECT pg_advisory_lock(%s)", (LOG_LOCK,))
        answers = [callers.submit(post_once, serving, body) for body in bodies]
        time.sleep(1.0)
        serving.terminate()
        time.sleep(2.0)
        assert not any(answer.done() for answer in answers)
        assert post_once(serving, observation()) is None, "it takes new connections while it ends"
        assert idle.post(observation()) is None, "it takes new requests while it ends"
        log.execute("SELECT pg_advisory_unlock(%s)", (LOG_LOCK,))
        assert [answer.result(30) for answer in answers] == [201] * WRITERS
    assert serving.wait(30) == 0
    assert {body["id"] for body in bodies} <= stored(serving.database)


@pytest.mark.soak
def test_a_request_that_never_ends_holds_the_end_up_for_a_bounded_time(serving: Serving) -> None:
    """Its head has come, and half of its body, which is given up as it is at any time."""
    head = (
        f"POST /observations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {serving.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    with socket.create_connection(("127.0.0.1", serving.port)) as half:
        half.sendall(head.encode())
        time.sleep(0.5)
        serving.terminate()
        began = time.monotonic()
        assert serving.wait(60) == 0
        assert BODY_SECONDS - 2 < time.monotonic() - began < DRAIN_SECONDS


def test_a_worker_ends_what_it_is_at(postgres: EmbeddedPostgres) -> None:
    """It is at the log, which is held up, when the signal comes."""
    database = create_database(postgres)
    with production(url_of(database)) as made:
        key = made.first_key()
        api = made.start_api()
        serving = Serving(api.port, key, database, api.terminate, api.popen.wait)
        assert post_once(serving, commit()) == 201
        with psycopg.connect(database, autocommit=True) as log:
            log.execute("SELECT pg_advisory_lock(%s)", (LOG_LOCK,))
            worker = made.start_worker()
            until_somebody_waits(log)
            worker.terminate()
            time.sleep(1.0)
            assert worker.popen.poll() is None
            log.execute("SELECT pg_advisory_unlock(%s)", (LOG_LOCK,))
            assert worker.popen.wait(15) == 0
            derived = log.execute("SELECT 1 FROM personakit.events WHERE kind = 'mindscape'").fetchall()
        assert derived == [(1,)]
