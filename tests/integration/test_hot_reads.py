"""Reads that come from the cache: they say their position, see what they must, and need no cache."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from personakit.agents.service import Service
from tests.integration.conftest import Client

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MAPPER = "work_rhythm"


def commit(client: Client, person: str, number: int) -> int:
    """Records a commit; its position."""
    sent = {
        "id": str(uuid4()),
        "personId": person,
        "type": "code_commit",
        "content": {"lines_changed": 10 + number, "languages": ["Python"], "merge": False},
        "occurredAt": (START + timedelta(hours=number)).isoformat(),
    }
    return int(client.post("/observations", json=sent).headers["PersonaKit-Position"])


def at_least(position: int) -> dict[str, str]:
    return {"PersonaKit-Min-Position": str(position)}


def mapped(client: Client, person: str, **headers: str) -> httpx.Response:
    query = {"mapperId": MAPPER, "personaId": person, "at": "2026-03-09T10:00:00Z"}
    answer = client.get("/map-persona", params=query, headers=headers)
    assert answer.status_code == 200
    return answer


def cached(service: Service, person: str) -> Any:
    found = service.people.find("default", person)
    assert found is not None
    return service.freshness.get(("persona", "default", found.surrogate))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def settled(client: Client, service: Service, person: str) -> None:
    """A person with a core, in the cache."""
    for number in range(12):
        last = commit(client, person, number)
    client.get(f"/mindscapes/{person}", headers=at_least(last))
    wait_until(lambda: mapped(client, person).json()["persona"]["coreVersion"] == 1)
    wait_until(lambda: mapped(client, person).is_success and cached(service, person) is not None)


def test_a_cached_answer_is_what_a_snapshot_answers(client: Client, service: Service) -> None:
    settled(client, service, "ada")
    warm = mapped(client, "ada").json()
    cold = mapped(client, "ada", **at_least(0)).json()
    for answer in (warm, cold):
        answer["persona"]["core"]["traits"] = {
            path: trait | {"confidence": None} for path, trait in answer["persona"]["core"]["traits"].items()
        }
        answer["persona"]["overlay"] = sorted(answer["persona"]["overlay"])
        del answer["freshness"]["position"]
    assert warm == cold


def test_whoever_asks_for_a_position_sees_it_though_the_cache_may_not_have_heard(client: Client) -> None:
    for number in range(30):
        position = commit(client, "bob", number)
        answer = client.get("/mindscapes/bob", headers=at_least(position))
        assert int(answer.headers["PersonaKit-Position"]) >= position
        assert answer.json()["traits"]["work.commits"]["samples"] == number + 1
        assert answer.json()["derivedThrough"]["computed"] >= position


def test_an_answer_holds_all_that_its_position_says(client: Client, service: Service) -> None:
    """Whatever comes from the cache: what is derived by the position that an answer bears is in it."""
    settled(client, service, "cy")
    for number in range(12, 60):
        commit(client, "cy", number)
        answer = client.get("/mindscapes/cy")
        position = int(answer.headers["PersonaKit-Position"])
        then = client.get("/mindscapes/cy", params={"asOf": str(position)})
        assert answer.json()["version"] == then.json()["version"]


def test_the_position_of_a_cached_answer_rises_with_the_log(client: Client, service: Service) -> None:
    settled(client, service, "dan")
    before = int(mapped(client, "dan").headers["PersonaKit-Position"])
    elsewhere = commit(client, "eve", 0)
    wait_until(lambda: int(mapped(client, "dan").headers["PersonaKit-Position"]) >= elsewhere)
    assert elsewhere > before
    assert cached(service, "dan") is not None


def test_a_lost_connection_empties_the_cache_and_nobody_notices(
    client: Client, service: Service, database: str
) -> None:
    settled(client, service, "fay")
    with psycopg.connect(database, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query IN ('SELECT 1', 'LISTEN moved')"
        )
        assert ended.rowcount >= 1
    wait_until(lambda: cached(service, "fay") is None)
    position = commit(client, "fay", 12)
    answer = client.get("/mindscapes/fay", headers=at_least(position))
    assert answer.json()["traits"]["work.commits"]["samples"] == 13
    wait_until(lambda: mapped(client, "fay").is_success and cached(service, "fay") is not None)


def test_what_was_published_is_used_at_once(client: Client) -> None:
    """A mapper's author sees the new version in the next answer, and not what is cached of the old one."""
    document = client.get(f"/mappers/{MAPPER}").json()["document"]
    document["metadata"] |= {"id": "mine", "version": "1.0.0"}
    commit(client, "gil", 0)
    for number in range(5):
        document["metadata"]["version"] = f"1.0.{number}"
        version = client.post("/mappers", json=document).json()["version"]
        answer = client.get("/map-persona", params={"mapperId": "mine", "personaId": "gil"})
        assert answer.json()["mapper"]["version"] == version == number + 1
