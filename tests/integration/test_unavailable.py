"""When the service cannot: it says so at once, with what to do, and keeps all that it accepted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from httpx import Response
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api import position_waits
from personakit.api.app import create_app
from personakit.api.shares import Shares
from personakit.eventlog import appender
from personakit.eventlog.access import create_key, create_tenant
from tests.integration.conftest import Client
from tests.postgres import MASTER_KEY

LOG_LOCK = 7165064741
QUEUE, WRITES = 3, 20
LARGE = 100_000
WAITING = 50
"""More than there are threads that answer requests (at most 32): waiters among them would leave none."""


@pytest.fixture
def quiet(database: str) -> Iterator[Service]:
    """A service that nobody set to work: it records, and no follower folds what it recorded."""
    service = Service(database, MASTER_KEY)
    create_tenant(service.recorder, "default", "Default")
    yield service
    service.close()


@pytest.fixture
def caller(quiet: Service) -> Iterator[Client]:
    with TestClient(create_app(quiet), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {create_key(quiet.recorder, 'default', 'test')}"
        yield client


def observation(person: str = "ada") -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "personId": person,
        "type": "note",
        "content": {"a": 1},
        "occurredAt": "2026-03-02T09:00:00Z",
    }


def observe(client: Client, body: dict[str, Any]) -> Response:
    return client.post("/observations", json=body)


def refusal(answer: Response) -> tuple[int, str, str]:
    """Status, Retry-After and what kind of problem it is."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["detail"]
    return answer.status_code, answer.headers["Retry-After"], problem["type"].rpartition(":")[2]


@pytest.fixture
def small_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appender, "QUEUE_SIZE", QUEUE)


@pytest.mark.usefixtures("small_queue")
def test_a_full_queue_refuses_and_stores_once_what_it_took(
    quiet: Service, caller: Client, database: str
) -> None:
    assert observe(caller, observation()).status_code == 201
    bodies = [observation() for _ in range(1 + WRITES)]
    with (
        ThreadPoolExecutor(1 + WRITES) as callers,
        psycopg.connect(database, autocommit=True) as stalling,
    ):
        stalling.execute("SELECT pg_advisory_lock(%s)", (LOG_LOCK,))
        sent = {callers.submit(observe, caller, bodies[0]): bodies[0]}
        until_a_writer_stalls(database)
        sent |= {callers.submit(observe, caller, body): body for body in bodies[1:]}
        # The first is being written and the queue holds its fill; all others are refused.
        refused = list(islice(as_completed(sent, timeout=20), WRITES - QUEUE))
        assert {refusal(future.result()) for future in refused} == {(503, "1", "busy")}
        stalling.execute("SELECT pg_advisory_unlock(%s)", (LOG_LOCK,))
        taken = [future for future in sent if future not in refused and future.result().status_code == 201]
    assert len(taken) == 1 + QUEUE
    assert stored(quiet, bodies) == Counter(sent[future]["id"] for future in taken)
    assert {observe(caller, sent[future]).status_code for future in refused} == {201}
    assert set(stored(quiet, bodies).values()) == {1}


def test_a_queue_of_large_items_is_full_before_it_is_long(
    caller: Client, database: str, monkeypatch: pytest.MonkeyPatch, quiet: Service
) -> None:
    """One is being written and one waits, which are more than may wait: the others are refused."""
    monkeypatch.setattr(appender, "QUEUE_BYTES", 2 * LARGE)
    assert observe(caller, observation()).status_code == 201
    bodies = [observation() | {"content": {"text": "x" * LARGE}} for _ in range(2 + WRITES)]
    with (
        ThreadPoolExecutor(2 + WRITES) as callers,
        psycopg.connect(database, autocommit=True) as stalling,
    ):
        stalling.execute("SELECT pg_advisory_lock(%s)", (LOG_LOCK,))
        sent = [callers.submit(observe, caller, bodies[0])]
        until_a_writer_stalls(database)
        sent += [callers.submit(observe, caller, body) for body in bodies[1:]]
        refused = list(islice(as_completed(sent, timeout=20), WRITES))
        assert {refusal(future.result()) for future in refused} == {(503, "1", "busy")}
        assert 2 * LARGE < quiet.appender.waiting_bytes < 3 * LARGE
        assert quiet.appender.waiting < appender.QUEUE_SIZE
        stalling.execute("SELECT pg_advisory_unlock(%s)", (LOG_LOCK,))
        assert [future.result().status_code for future in sent if future not in refused] == [201] * 2
    assert quiet.appender.waiting_bytes == 0
    assert observe(caller, bodies[-1]).status_code in {200, 201}


def test_a_read_that_takes_too_long_is_given_up(
    quiet: Service, caller: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert observe(caller, observation()).status_code == 201
    monkeypatch.setitem(quiet.reader._entering, "timeout", "200ms")
    schema = next(state.schema for state in quiet.reader.states() if state.name == "mappers")
    with psycopg.connect(database) as stalling:
        stalling.execute(f"LOCK TABLE {schema}.mappers IN ACCESS EXCLUSIVE MODE")
        answer = caller.get("/mappers")
    assert refusal(answer) == (503, "1", "storage-unavailable")
    assert caller.get("/mappers").status_code == 200


def test_only_so_many_wait_for_a_position(
    caller: Client, monkeypatch: pytest.MonkeyPatch, quiet: Service
) -> None:
    monkeypatch.setattr(position_waits, "MIN_POSITION_SECONDS", 60.0)
    position = observe(caller, observation()).headers["PersonaKit-Position"]
    waits = caller.app.state["position_waits"]
    monkeypatch.setattr(waits, "shares", Shares(4))
    wanted = {"PersonaKit-Min-Position": position}
    with ThreadPoolExecutor(2) as callers:
        waiting = [callers.submit(caller.get, "/mappers", headers=wanted) for _ in range(2)]
        deadline = time.monotonic() + 20
        while waits.shares.taken < 2:
            assert time.monotonic() < deadline, "nobody waits"
            time.sleep(0.005)
        answer = caller.get("/mappers", headers=wanted)
        assert refusal(answer) == (503, "5", "too-many-waiting")
        with quiet:
            assert {future.result(60).status_code for future in waiting} == {200}
    assert waits.shares.taken == 0


def until_a_writer_stalls(database: str) -> None:
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    deadline = time.monotonic() + 20
    with psycopg.connect(database, autocommit=True) as connection:
        while not connection.execute(waiting).fetchone():
            assert time.monotonic() < deadline, "nobody waits for the lock of the log"
            time.sleep(0.005)


def stored(service: Service, bodies: list[dict[str, Any]]) -> Counter[str]:
    """How often each of these observations is in the log."""
    ids = {body["id"] for body in bodies}
    rows = service.recorder.select_notifications(None, 10_000)
    streams = [str(row.originator_id).rpartition("/")[2] for row in rows]
    return Counter(stream for stream in streams if stream in ids)


def test_a_position_that_is_not_reached_in_time_is_tried_again(
    quiet: Service, caller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(position_waits, "MIN_POSITION_SECONDS", 0.1)
    position = observe(caller, observation()).headers["PersonaKit-Position"]
    wanted = {"PersonaKit-Min-Position": position}
    assert refusal(caller.get("/mappers", headers=wanted)) == (503, "1", "not-there-yet")
    monkeypatch.setattr(position_waits, "MIN_POSITION_SECONDS", 10.0)
    with quiet:
        assert caller.get("/mappers", headers=wanted).status_code == 200


def test_those_who_wait_keep_nobody_else_from_being_served(
    quiet: Service, caller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No follower runs until the others were answered, so whoever waits waits for that."""
    monkeypatch.setattr(position_waits, "MIN_POSITION_SECONDS", 60.0)
    position = observe(caller, observation()).headers["PersonaKit-Position"]

    def wait() -> Response:
        return caller.get("/mappers", headers={"PersonaKit-Min-Position": position})

    with ThreadPoolExecutor(WAITING) as callers:
        waiting: list[Future[Response]] = [callers.submit(wait) for _ in range(WAITING)]
        until_all_lookers_are_taken()
        with ThreadPoolExecutor(3) as others:
            answers = [
                others.submit(caller.get, "/health/live"),
                others.submit(caller.get, "/mappers"),
                others.submit(observe, caller, observation()),
            ]
            try:
                assert [answer.result(20).status_code for answer in answers] == [200, 200, 201]
                assert not any(future.done() for future in waiting)
            finally:
                quiet.__enter__()
        assert {future.result(60).status_code for future in waiting} == {200}


def until_all_lookers_are_taken() -> None:
    deadline = time.monotonic() + 20
    while sum(thread.name.startswith("looker") for thread in threading.enumerate()) < position_waits.LOOKERS:
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.005)


def test_a_service_that_is_shutting_down_reads_but_writes_no_more(quiet: Service, caller: Client) -> None:
    assert observe(caller, observation()).status_code == 201
    assert caller.get("/health/ready").json()["status"] == "ok"
    head = quiet.reader.head()

    quiet.appender.close()

    ready = caller.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert caller.get("/health/live").status_code == 200
    assert refusal(observe(caller, observation("ada"))) == (503, "1", "shutting-down")
    assert refusal(observe(caller, observation("stranger"))) == (503, "1", "shutting-down")
    batch = caller.post("/observations/batch", json=[observation(), observation()])
    assert refusal(batch) == (503, "1", "shutting-down")
    assert caller.get("/mappers").status_code == 200
    assert quiet.reader.head() == head
