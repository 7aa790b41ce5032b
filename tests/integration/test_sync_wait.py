"""`GET /sync?wait=`: held until something changes for this tenant and these personas, without a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.api.sync.waiting import Waiting
from personakit.eventlog.access import create_key, create_tenant, list_keys, revoke_key
from personakit_sdk import wire
from tests.postgres import data_dir
from tests.processes import installation

SOON = 10.0


def tenant_of(service: Service) -> tuple[str, dict[str, str]]:
    """A tenant of its own, and the headers that open it."""
    tenant = f"t-{uuid4().hex[:12]}"
    create_tenant(service.recorder, tenant, tenant)
    return tenant, {"Authorization": f"Bearer {create_key(service.recorder, tenant, 'test')}"}


def record(service: Service, tenant: str, person: str) -> None:
    sent = wire.Observation(
        id=uuid4(), person_id=person, type="note", content={}, occurred_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    (receipt,) = service.intake.record(tenant, [sent])
    service.reader.wait_for_projections(receipt.position, SOON)  # type: ignore[union-attr]  # it was stored


async def everything(client: httpx.AsyncClient, headers: dict[str, str], **query: Any) -> httpx.Response:
    answer = await client.get("/sync", params=query, headers=headers)
    assert answer.json()["upToDate"], answer.text
    return answer


def run(service: Service, test: Callable[[httpx.AsyncClient, Waiting], Awaitable[None]]) -> None:
    async def running() -> None:
        app = create_app(service)
        transport = httpx.ASGITransport(app)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://sync", timeout=60) as client:
                await asyncio.wait_for(test(client, app.state["waiting"]), 60)
        finally:
            app.state["waiting"].close()

    asyncio.run(running())


async def until(waiting: Waiting, count: int) -> None:
    """Returns when so many requests wait."""
    while waiting.count != count:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


def hold(client: httpx.AsyncClient, headers: dict[str, str], **query: Any) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(client.get("/sync", params={"wait": 25, **query}, headers=headers))


def test_who_waits_is_answered_when_something_changes_for_them(service: Service) -> None:
    tenant, headers = tenant_of(service)
    neighbour, _ = tenant_of(service)

    async def test(client: httpx.AsyncClient, waiting: Waiting) -> None:
        since = (await everything(client, headers)).json()["next"]
        some = (await everything(client, headers, personaId="bob")).json()["next"]
        held = hold(client, headers, since=since)
        filtered = hold(client, headers, since=some, personaId="bob")
        await until(waiting, 2)
        await asyncio.to_thread(record, service, neighbour, "bob")
        assert not held.done()
        await asyncio.to_thread(record, service, tenant, "ada")
        answer = await asyncio.wait_for(held, SOON)
        assert [item["id"] for item in answer.json()["items"]] == ["ada"]
        assert not filtered.done()
        await asyncio.to_thread(record, service, tenant, "bob")
        answer = await asyncio.wait_for(filtered, SOON)
        assert [item["id"] for item in answer.json()["items"]] == ["bob"]
        await until(waiting, 0)

    run(service, test)


def test_nothing_changed_is_said_in_the_end(service: Service) -> None:
    _, headers = tenant_of(service)

    async def test(client: httpx.AsyncClient, _: Waiting) -> None:
        first = await everything(client, headers)
        since, tag = first.json()["next"], {"If-None-Match": first.headers["ETag"]}
        begun = time.monotonic()
        same = await client.get("/sync", params={"since": since, "wait": 1}, headers=headers | tag)
        assert same.status_code == 304
        assert same.headers["PersonaKit-Valid-Until"]
        assert time.monotonic() - begun >= 1
        none = await client.get("/sync", params={"since": since, "wait": 1}, headers=headers)
        assert (none.status_code, none.json()["intent"]) == (200, "none")

    run(service, test)


def test_a_key_that_is_revoked_while_its_request_is_held_is_told_nothing(service: Service) -> None:
    tenant, headers = tenant_of(service)

    async def test(client: httpx.AsyncClient, waiting: Waiting) -> None:
        since = (await everything(client, headers)).json()["next"]
        held = hold(client, headers, since=since)
        await until(waiting, 1)
        (key,) = await asyncio.to_thread(list_keys, service.recorder, tenant, "", 2)
        await asyncio.to_thread(revoke_key, service.recorder, tenant, key.prefix)
        await asyncio.to_thread(record, service, tenant, "ada")
        answer = await asyncio.wait_for(held, SOON)
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:personakit:problem:unauthorized")

    run(service, test)


def test_what_is_there_already_is_not_waited_for(service: Service) -> None:
    tenant, headers = tenant_of(service)
    record(service, tenant, "ada")

    async def test(client: httpx.AsyncClient, waiting: Waiting) -> None:
        answer = await asyncio.wait_for(hold(client, headers), SOON)
        assert [item["id"] for item in answer.json()["items"]] == ["ada"]
        for wrong in (-1, 26):
            refused = await client.get("/sync", params={"wait": wrong}, headers=headers)
            assert refused.status_code == 422

    run(service, test)


def test_many_wait_without_a_thread_each_and_no_more_than_may(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, headers = tenant_of(service)
    monkeypatch.setattr("personakit.api.app.Waiting", lambda given: Waiting(given, most=120))
    _, neighbour = tenant_of(service)

    async def test(client: httpx.AsyncClient, waiting: Waiting) -> None:
        since = (await everything(client, headers)).json()["next"]
        held = [hold(client, headers, since=since)]
        await until(waiting, 1)
        few = threading.active_count()
        held += [hold(client, headers, since=since) for _ in range(59)]
        await until(waiting, 60)
        # Looking before one waits may start the threads that are there for that; waiting takes none.
        assert threading.active_count() - few < 30
        refused = await client.get("/sync", params={"since": since, "wait": 25}, headers=headers)
        assert refused.status_code == 503
        assert refused.json()["type"].endswith(":too-many-waiting")
        assert int(refused.headers["Retry-After"]) >= 1
        others = await client.get("/sync", params={"since": since}, headers=headers)
        assert others.status_code == 200
        theirs = (await everything(client, neighbour)).json()["next"]
        held_by_neighbour = hold(client, neighbour, since=theirs)
        await until(waiting, 61)
        held_by_neighbour.cancel()
        await until(waiting, 60)
        await asyncio.to_thread(record, service, tenant, "ada")
        answers = await asyncio.wait_for(asyncio.gather(*held), 20)
        assert all([item["id"] for item in answer.json()["items"]] == ["ada"] for answer in answers)
        await until(waiting, 0)

    run(service, test)


def test_a_change_between_the_look_and_the_wait_is_not_missed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change comes after a waiter's look was answered and before it waits."""
    tenant, headers = tenant_of(service)
    look = Waiting.look

    async def looked_then_changed(self: Waiting, ask: Callable[[], Any]) -> Any:
        found = await look(self, ask)
        if self._waiters and not changed:
            changed.append(True)
            await asyncio.to_thread(record, service, tenant, "ada")
        return found

    changed: list[bool] = []
    monkeypatch.setattr(Waiting, "look", looked_then_changed)

    async def test(client: httpx.AsyncClient, waiting: Waiting) -> None:
        since = (await everything(client, headers)).json()["next"]
        answer = await asyncio.wait_for(hold(client, headers, since=since), SOON)
        assert [item["id"] for item in answer.json()["items"]] == ["ada"]

    run(service, test)


def test_a_real_server_serves_others_while_more_wait_than_it_had_connections_for() -> None:
    """The embedded server takes 128 connections unless it is told otherwise."""
    with data_dir() as folder, installation(folder) as installed, ExitStack() as sockets:
        transport = installed.start()
        page = transport.request("GET", "/sync", query={"since": _ahead()}).decode(wire.SyncAnswer)
        key = (folder / "api-key").read_text().strip()
        held = [sockets.enter_context(ask(installed.port, key, page.next)) for _ in range(200)]
        item = {
            "id": str(uuid4()),
            "kind": "observation",
            "key": "ada",
            "occurredAt": "2026-03-02T09:00:00Z",
            "body": {"type": "note", "content": {}},
        }
        pushed = transport.request("POST", "/sync", body={"clientId": "c", "items": [item]}, idempotent=True)
        (result,) = pushed.decode(wire.PushAnswer).results.values()
        assert result.status == "stored"
        answers = [received(each) for each in held]
    assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
    assert all(b'"intent":"changes"' in answer and b'"id":"ada"' in answer for answer in answers)


def _ahead() -> str:
    """An instant that counts as now, so that nothing of what is there is told."""
    return (datetime.now(UTC) + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")


def ask(port: int, key: str, since: str) -> socket.socket:
    """A request that waits, on a connection of its own."""
    asking = socket.create_connection(("127.0.0.1", port), timeout=40)
    head = f"GET /sync?wait=25&since={since} HTTP/1.1\r\nHost: sync\r\nAuthorization: Bearer {key}\r\n"
    asking.sendall(f"{head}Connection: close\r\n\r\n".encode())
    return asking


def received(asked: socket.socket) -> bytes:
    """All of an answer."""
    return b"".join(iter(lambda: asked.recv(65536), b""))
