"""Two API processes and two workers on one database: nothing lost or doubled, versions consecutive."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from personakit.shipped import mappers_dir
from personakit_sdk.transport import Transport
from personakit_sdk.wire import BatchAnswer, MapperList, Mindscape, Persona
from tests.postgres import url_of
from tests.production import ApiProcess, Production, production

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PEOPLE = ("ada", "bo", "cy")
WRITERS, ROUNDS, SIZE = 8, 5, 10


@pytest.fixture(scope="module")
def shared(database: str) -> Iterator[Production]:
    with production(url_of(database)) as made:
        for _ in range(2):
            made.start_api(workers=2)
            made.start_worker()
        yield made


@pytest.fixture(scope="module")
def key(shared: Production) -> str:
    return shared.first_key()


def batch(person: str, size: int) -> list[dict[str, Any]]:
    return [
        {
            "id": str(uuid4()),
            "personId": person,
            "type": "code_commit",
            "content": {"lines_changed": n, "languages": ["Python"], "merge": False},
            "occurredAt": (START + timedelta(hours=n)).isoformat(),
        }
        for n in range(size)
    ]


class Writer(threading.Thread):
    """Sends batches about everybody, now to one API and now to the other, and remembers every id."""

    def __init__(self, apis: list[ApiProcess], key: str, number: int) -> None:
        super().__init__()
        self.transports = [api.transport(key, patience=10.0) for api in apis]
        self.number = number
        self.acknowledged: dict[str, list[str]] = {person: [] for person in PEOPLE}
        self.position = 0

    def run(self) -> None:
        for round_ in range(ROUNDS):
            for n, person in enumerate(PEOPLE):
                transport = self.transports[(self.number + round_ + n) % len(self.transports)]
                self._send(transport, person)

    def _send(self, transport: Transport, person: str) -> None:
        items = batch(person, SIZE)
        reply = transport.request("POST", "/observations/batch", body=items, idempotent=True)
        results = reply.decode(BatchAnswer).results
        assert {result.status for result in results} <= {"stored", "duplicate"}
        self.acknowledged[person] += [str(result.id) for result in results]
        self.position = int(reply.headers["PersonaKit-Position"])


def rows(database: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(database, row_factory=dict_row) as connection:
        return connection.execute(query).fetchall()  # type: ignore[call-overload]  # a plain string


def mindscape(transport: Transport, person: str, position: int) -> Mindscape:
    headers = {"PersonaKit-Min-Position": str(position)}
    return transport.request("GET", f"/mindscapes/{person}", headers=headers).decode(Mindscape)


def test_a_tenant_made_by_an_operator_has_the_shipped_mappers(shared: Production, key: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        found = shared.apis[0].transport(key).request("GET", "/mappers").decode(MapperList)
        if {item.id for item in found.items} == {path.stem for path in mappers_dir().glob("*.yaml")}:
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_concurrent_writers_lose_nothing_and_double_nothing(
    shared: Production, key: str, database: str
) -> None:
    writers = [Writer(shared.apis, key, number) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    sent = [id_ for writer in writers for ids in writer.acknowledged.values() for id_ in ids]
    assert len(sent) == WRITERS * ROUNDS * SIZE * len(PEOPLE)
    stored = rows(database, "SELECT stream::text FROM personakit.events WHERE kind = 'observation'")
    assert sorted(row["stream"] for row in stored) == sorted(sent)

    reader = shared.apis[0].transport(key, patience=30.0)
    newest = max(writer.position for writer in writers)
    for person in PEOPLE:
        found = mindscape(reader, person, newest)
        assert found.traits["work.commits"].value == WRITERS * ROUNDS * SIZE
        assert reader.request("GET", f"/personas/{person}").decode(Persona).core is not None


def test_positions_rise_and_versions_are_consecutive(shared: Production, key: str, database: str) -> None:
    found = rows(database, "SELECT position FROM personakit.events ORDER BY recorded_at")
    assert found
    assert all(later["position"] > earlier["position"] for earlier, later in pairwise(found))
    versions = rows(
        database,
        "SELECT count(*) AS events, max(version) AS newest FROM personakit.events "
        "GROUP BY tenant, kind, stream",
    )
    assert all(row["events"] == row["newest"] for row in versions)


def test_one_process_answers_for_all_that_serve_its_port(shared: Production, key: str) -> None:
    """Each `api` has two of them, and every writer wrote to both."""
    counted = 0
    for api in shared.apis:
        page = api.transport(key).request("GET", "/metrics").body.decode()
        found = re.search(
            r'requests_total{method="POST",route="/observations/batch",status="200",tenant="default"} (\S+)',
            page,
        )
        assert found is not None, page
        counted += int(float(found[1]))
    assert counted == WRITERS * ROUNDS * len(PEOPLE)


def test_a_flushed_redis_costs_nothing(shared: Production, key: str) -> None:
    writer = shared.apis[0].transport(key, patience=10.0)
    before = mindscape(writer, "ada", 0).traits["work.commits"].value
    for _ in range(5):
        position = writer.request(
            "POST", "/observations/batch", body=batch("ada", 2), idempotent=True
        ).headers["PersonaKit-Position"]
        shared.redis.flush()
    assert mindscape(writer, "ada", int(position)).traits["work.commits"].value == before + 10


def test_work_goes_on_without_redis(shared: Production, key: str) -> None:
    writer = shared.apis[1].transport(key, patience=10.0)
    before = mindscape(writer, "bo", 0).traits["work.commits"].value
    shared.redis.kill()
    for _ in range(3):
        reply = writer.request("POST", "/observations/batch", body=batch("bo", 2), idempotent=True)
        position = int(reply.headers["PersonaKit-Position"])
        before += 2
        assert mindscape(writer, "bo", position).traits["work.commits"].value == before
    shared.redis.restart()


def test_each_process_can_be_killed_and_started_again(shared: Production, key: str) -> None:
    writer = shared.apis[0].transport(key, patience=30.0)
    before = mindscape(writer, "cy", 0).traits["work.commits"].value
    for process in [*shared.apis, *shared.workers]:
        process.kill()
        process.restart()
        process.until_ready()
        reply = writer.request("POST", "/observations/batch", body=batch("cy", 2), idempotent=True)
    position = int(reply.headers["PersonaKit-Position"])
    assert mindscape(writer, "cy", position).traits["work.commits"].value == before + 8


def test_every_process_ends_with_exit_code_0(shared: Production) -> None:
    assert [process.stop() for process in [*shared.apis, *shared.workers]] == [0, 0, 0, 0]
