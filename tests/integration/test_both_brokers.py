"""The agents over the in-process broker and over a real Redis-protocol server: the same outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from personakit.agents.service import Service
from personakit.eventlog.access import create_tenant
from personakit.eventlog.intake import Receipt
from personakit_sdk import wire
from tests.postgres import MASTER_KEY
from tests.production import RedisServer

TENANT = "default"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["in-process", "redis"])
def flush(request: pytest.FixtureRequest) -> Callable[[], None] | None:
    """What empties the broker that the service runs over; None for the one in the process."""
    return request.getfixturevalue("redis").flush if request.param == "redis" else None


@pytest.fixture(scope="module")
def service(
    database: str, request: pytest.FixtureRequest, flush: Callable[[], None] | None
) -> Iterator[Service]:
    redis_url = request.getfixturevalue("redis").url if flush else None
    with Service(database, MASTER_KEY, redis_url) as service:
        create_tenant(service.recorder, TENANT, "Default")
        yield service


def commit(service: Service, person: str) -> int:
    """Records one; its position."""
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


def row(service: Service, query: str, person: str) -> dict[str, Any] | None:
    known = service.people.find(TENANT, person)
    assert known is not None
    names = {"personas": [known.surrogate]} if query.startswith("personas") else {"person": known.surrogate}
    with service.reader.snapshot_of_all() as snapshot:
        return snapshot.row(query, tenant=TENANT, **names)


def commits(service: Service, person: str) -> float:
    found = row(service, "mindscapes.by_person", person)
    return float(found["traits"]["work.commits"]["value"]) if found else 0.0


def wait_until(reached: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def made_core(service: Service, person: str) -> bool:
    found = row(service, "personas.by_id", person)
    return found is not None and found["core_version"] == 1


def test_an_observation_becomes_a_mindscape_and_that_a_core(service: Service) -> None:
    person = f"ada-{uuid4()}"
    for _ in range(3):
        last = commit(service, person)
    service.reader.wait_for(TENANT, last, 20)
    assert commits(service, person) == 3
    wait_until(lambda: made_core(service, person))


def test_each_observation_is_seen_soon_whatever_is_on_its_way(service: Service) -> None:
    """One after another: a wake-up that was sent must not hide the next one until the sweep."""
    person = f"bo-{uuid4()}"
    for number in range(1, 6):
        service.reader.wait_for(TENANT, commit(service, person), 1.8)
        assert commits(service, person) == number


@pytest.mark.parametrize("flush", ["redis"], indirect=True)
def test_a_broker_that_forgets_loses_nothing(service: Service, flush: Callable[[], None]) -> None:
    person = f"cy-{uuid4()}"
    for _ in range(10):
        last = commit(service, person)
        flush()
    service.reader.wait_for(TENANT, last, 20)
    assert commits(service, person) == 10
    wait_until(lambda: made_core(service, person))
