"""`/sync` while the read models lag behind each other: nothing is missed, nothing old is the last word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.eventlog.access import create_key
from personakit_sdk import wire
from tests.integration.conftest import Client, follow


@pytest.fixture(scope="module")
def reader(quiet: Service) -> Iterator[Client]:
    with TestClient(create_app(quiet)) as client:
        client.headers["Authorization"] = f"Bearer {create_key(quiet.recorder, 'default', 'test')}"
        yield client


def pull(client: Client, since: str | None = None, limit: int = 100) -> dict[str, Any]:
    query = {"limit": str(limit), **({"since": since} if since else {})}
    return dict(client.get("/sync", params=query).json())


def record(service: Service, person: str) -> Any:
    sent = wire.Observation(
        id=uuid4(),
        person_id=person,
        type="code_commit",
        content={"lines_changed": 3, "languages": ["Python"], "merge": False},
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    service.intake.record("default", [sent])
    found = service.people.find("default", person)
    assert found is not None
    return found.surrogate


def test_a_change_that_is_ahead_of_its_body_is_served_and_served_again(
    quiet: Service, reader: Client
) -> None:
    surrogate = record(quiet, "ada")
    follow(quiet)
    quiet.mindscaper.derive("default", surrogate)
    follow(quiet, "changes")
    early = pull(reader)
    assert [item["id"] for item in early["items"]] == ["ada"]
    assert early["items"][0]["body"]["traits"] == {}
    assert (early["upToDate"], early["hasMore"]) == (False, True)

    follow(quiet)
    late = pull(reader, early["next"])
    assert [item["id"] for item in late["items"]] == ["ada"]
    assert "work.commits" in late["items"][0]["body"]["traits"]
    assert late["upToDate"] is True
    assert pull(reader, late["next"])["items"] == []


def test_a_person_whose_body_is_still_to_come_is_served_when_it_is_there(
    quiet: Service, reader: Client
) -> None:
    follow(quiet)
    before = pull(reader)["next"]
    record(quiet, "new")
    follow(quiet, "changes")
    early = pull(reader, before)
    assert early["items"] == []
    assert early["upToDate"] is False
    follow(quiet)
    assert [item["id"] for item in pull(reader, early["next"])["items"]] == ["new"]


def test_pages_reach_everybody_whatever_moves_meanwhile(quiet: Service, reader: Client) -> None:
    people = [f"p{n}" for n in range(12)]
    surrogates = [record(quiet, person) for person in people]
    follow(quiet)
    seen: set[str] = set()
    page = pull(reader, limit=5)
    for surrogate in surrogates:
        seen |= {item["id"] for item in page["items"]}
        quiet.mindscaper.derive("default", surrogate)
        follow(quiet)
        page = pull(reader, page["next"], limit=5)
    while not page["upToDate"]:
        seen |= {item["id"] for item in page["items"]}
        page = pull(reader, page["next"], limit=5)
    assert set(people) <= seen | {item["id"] for item in page["items"]}
