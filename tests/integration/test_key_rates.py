"""How fast keys may go, over HTTP and through the database; and what becomes of those who guess keys."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.api.guesses import A_SECOND
from personakit.api.key_ring import KeyRing
from personakit.api.problems import TooManyGuesses
from personakit.api.rates import Rates
from personakit.cli.main import personakit
from personakit.config import WebSettings
from personakit.domain.rate import BURST_SECONDS, Rate
from personakit.eventlog.access import create_key, key_of, revoke_key
from tests.integration.conftest import Client
from tests.postgres import MASTER_KEY_TEXT, url_of

LIMIT = re.compile(r'"requests";r=(\d+);t=(\d+)')
GUESSES = int(A_SECOND * BURST_SECONDS)


def made(client: Client, **rate: float) -> str:
    body = {"name": "slow", "scopes": ["observe", "read", "map", "feedback"], "rate": rate}
    answer = client.post("/keys", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["key"]["rate"] == rate
    return str(answer.json()["secret"])


def observation() -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "personId": "ada",
        "type": "note",
        "content": {},
        "occurredAt": "2026-03-02T09:00:00Z",
    }


def bearing(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_a_key_that_asks_too_fast_is_told_when_to_come_again(client: Client) -> None:
    slow = bearing(made(client, requests=0.3, items=100.0))
    answers = [client.get("/mappers", headers=slow) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    left = [LIMIT.fullmatch(answer.headers["RateLimit"]) for answer in answers]
    assert [match and match[1] for match in left] == ["2", "1", "0", "0"]
    policy = '"requests";q=3;w=10, "items";q=1000;qu="personakit-items";w=10'
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {policy}
    refused = answers[-1]
    assert refused.json()["type"] == "urn:personakit:problem:rate-exceeded"
    assert "0.3 requests a second" in refused.json()["detail"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 4
    assert client.get("/mappers").status_code == 200


def test_items_are_counted_however_they_come(client: Client) -> None:
    slow = bearing(made(client, requests=100.0, items=0.5))
    batch = [observation() for _ in range(20)]
    assert client.post("/observations/batch", json=batch, headers=slow).status_code == 200
    item = observation()
    pushed = {
        "clientId": "phone",
        "items": [
            {
                "id": item["id"],
                "kind": "observation",
                "key": "ada",
                "occurredAt": item["occurredAt"],
                "schema": 1,
                "body": {"type": "note", "content": {}},
            }
        ],
    }
    refused = [
        client.post("/observations", json=item, headers=slow),
        client.post("/observations/batch", json=[item], headers=slow),
        client.post("/sync", json=pushed, headers=slow),
        client.post("/feedback", json={"suggestionId": "sug_x", "helpful": True}, headers=slow),
    ]
    assert [answer.status_code for answer in refused] == [429] * 4
    assert all("0.5 items a second" in answer.json()["detail"] for answer in refused)
    assert all(re.search(r', "items";r=0;t=\d+$', answer.headers["RateLimit"]) for answer in refused)
    assert all(int(answer.headers["Retry-After"]) >= 30 for answer in refused)
    assert client.get("/mappers", headers=slow).status_code == 200


def test_without_a_rate_of_its_own_a_key_has_the_one_that_is_set(service: Service, key: str) -> None:
    with TestClient(create_app(service, WebSettings(requests_rate=0.2))) as client:
        answers = [client.get("/mappers", headers=bearing(key)).status_code for _ in range(3)]
        assert answers == [200, 200, 429]
        assert client.get("/health/live").status_code == 200
        assert "RateLimit" not in client.get("/openapi.json").headers


def test_a_rate_is_set_by_command_and_kept_by_a_rotation(
    service: Service, database: str, client: Client, tmp_path: Any
) -> None:
    environ = {
        "PERSONAKIT_DATABASE_URL": url_of(database),
        "PERSONAKIT_DATA_DIR": str(tmp_path),
        "PERSONAKIT_MASTER_KEY": MASTER_KEY_TEXT,
    }
    runner = CliRunner(env=environ)
    done = runner.invoke(personakit, ["keys", "create", "--rate", "5"])
    assert done.exit_code == 0, done.output
    key = key_of(service.recorder, done.output.strip())
    assert key is not None
    assert key.rate == Rate(5, 50)
    rotated = client.post(f"/keys/{key.prefix}/rotate", json={})
    assert rotated.json()["key"]["rate"] == {"requests": 5.0, "items": 50.0}
    for wrong in ("0", "-1", "many", "5,", "1,2,3", "nan", "1e9"):
        refused = runner.invoke(personakit, ["keys", "create", "--rate", wrong])
        assert (refused.exit_code, "is no rate" in refused.output) == (2, True), wrong


@pytest.mark.parametrize(
    "rate", [{"requests": 0, "items": 1}, {"requests": 1}, {"requests": 1, "items": 1e9}]
)
def test_what_is_no_rate_is_refused(client: Client, rate: dict[str, float]) -> None:
    body = {"name": "x", "scopes": ["read"], "rate": rate}
    assert client.post("/keys", json=body).status_code == 422


def test_two_processes_tell_each_other_what_a_key_has_spent(service: Service) -> None:
    secret = create_key(service.recorder, "default", "busy")
    key = key_of(service.recorder, secret)
    assert key is not None
    here, there = Rates(Rate(10, 10)), Rates(Rate(10, 10))
    with closing(listening(service, here)), closing(listening(service, there)):
        for rates in (here, there):
            rates.admit({}, key)  # type: ignore[typeddict-item]  # nothing of it is looked at
        until_told(here, key, 6)
        until_told(there, key, 6)
        before = left(here)
        until_told(there, key, 60)
        until_told(here, key, 6)
    assert left(here) < before - 40


def until_told(rates: Rates, key: Any, times: int) -> None:
    """Spends so many requests, and returns when others were told of them."""
    for _ in range(times):
        rates.admit({}, key)  # type: ignore[typeddict-item]
    deadline = time.monotonic() + 20
    while rates._of[key.prefix]._spent_requests:
        assert time.monotonic() < deadline, "nobody was told"
        time.sleep(0.01)


def left(rates: Rates) -> float:
    (allowance,) = rates._of.values()
    return allowance._requests._level


def listening(service: Service, rates: Rates) -> KeyRing:
    ring = KeyRing(service, rates)
    ring.listen()
    return ring


@pytest.fixture
def ring(service: Service) -> Iterator[KeyRing]:
    with closing(listening(service, Rates(Rate(1, 1)))) as ring:
        yield ring


async def guess(ring: KeyRing, host: str, secret: Callable[[int], str]) -> None:
    """Tries what opens nothing until that is refused: as often as is borne, and not for ever."""
    for number in range(10 * GUESSES):
        try:
            assert await ring.find(secret(number), host) is None
        except TooManyGuesses:
            assert number >= GUESSES
            return
    raise AssertionError("nobody minds")


def test_whoever_guesses_keys_is_slowed_down_and_hurts_nobody_who_has_one(
    service: Service, ring: KeyRing
) -> None:
    good, fresh = (create_key(service.recorder, "default", name) for name in ("good", "fresh"))

    async def run() -> None:
        assert await ring.find(good, "192.0.2.1")
        await guess(ring, "192.0.2.1", lambda number: f"pk_{number:043}")
        assert await ring.find("no key at all", "192.0.2.1") is None
        ring._forget()  # as on a revocation: all have to be looked up again
        assert await ring.find(good, "192.0.2.1")
        assert await ring.find(fresh, "192.0.2.2")
        assert await ring.find(fresh, "192.0.2.1")

    asyncio.run(run())


def test_a_key_that_was_revoked_is_a_guess_from_then_on(service: Service, ring: KeyRing) -> None:
    secret = create_key(service.recorder, "default", "gone")

    async def run() -> None:
        assert await ring.find(secret, "192.0.2.9")
        revoke_key(service.recorder, "default", secret[:11])
        ring._forget()
        await guess(ring, "192.0.2.9", lambda _: secret)

    asyncio.run(run())


def test_guesses_over_http_are_429_in_the_end(client: Client) -> None:
    statuses = [
        client.get("/mappers", headers=bearing(f"pk_{number:043}")).status_code
        for number in range(GUESSES + 30)
    ]
    assert statuses[:GUESSES] == [401] * GUESSES
    assert 429 in statuses
    assert client.get("/mappers").status_code == 200
