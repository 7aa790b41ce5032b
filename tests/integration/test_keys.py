"""API keys: made, listed, rotated, revoked and expired, over HTTP and in the process that believes them."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from types import FrameType
from typing import Any
from unittest import mock

import psycopg
import pytest

from personakit.agents.service import Service
from personakit.api import key_ring
from personakit.api.key_ring import BELIEVED_SECONDS, KeyRing
from personakit.api.rates import Rates
from personakit.domain.grant import SCOPES, granted
from personakit.domain.rate import Rate
from personakit.eventlog.access import (
    ApiKey,
    create_key,
    create_tenant,
    grant_key,
    key_of,
    list_keys,
    revoke_key,
    rotate_key,
)
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.recorder import LogRecorder
from tests.integration.conftest import Client


def made(client: Client, **changes: Any) -> dict[str, Any]:
    answer = client.post("/keys", json={"name": "made", "scopes": ["read"]} | changes)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return dict(answer.json())


def with_key(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def status(client: Client, secret: str) -> int:
    return client.get("/mappers", headers=with_key(secret)).status_code


def test_a_secret_is_shown_once_and_kept_nowhere(client: Client, database: str) -> None:
    created = made(client, name="laptop", expiresAt="2999-01-01T00:00:00Z")
    secret, key = created["secret"], created["key"]
    assert secret.startswith(key["id"])
    assert (key["name"], key["scopes"], key["people"]) == ("laptop", ["read"], None)
    assert key["endsAt"] == key["expiresAt"] == "2999-01-01T00:00:00Z"
    assert secret not in client.get("/keys").text
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT k::text FROM personakit.api_keys AS k").fetchall()
    assert any(key["id"] in text for (text,) in rows)
    assert not any(secret in text for (text,) in rows)


def test_a_key_of_the_right_beginning_and_another_end_opens_nothing(client: Client) -> None:
    secret = made(client)["secret"]
    other = secret[:-4] + ("AAAA" if secret[-4:] != "AAAA" else "BBBB")
    assert [status(client, each) for each in (secret, other)] == [200, 401]


def test_keys_are_listed_in_pages_those_too_that_open_nothing(client: Client) -> None:
    ids = {made(client)["key"]["id"] for _ in range(3)}
    gone = ids.copy().pop()
    assert client.delete(f"/keys/{gone}").json()["revokedAt"] is not None
    listed, after = [], ""
    while after is not None:
        page = client.get("/keys", params={"limit": 2, "after": after}).json()
        listed += page["items"]
        after = page["next"]
    found = [each["id"] for each in listed]
    assert found == sorted(set(found))
    assert ids <= set(found)
    assert {each["id"] for each in listed if each["revokedAt"]} & ids == {gone}


def test_a_revoked_key_opens_nothing_and_revoking_again_changes_nothing(client: Client) -> None:
    created = made(client)
    assert status(client, created["secret"]) == 200
    first = client.delete(f"/keys/{created['key']['id']}").json()
    time.sleep(BELIEVED_SECONDS)
    assert status(client, created["secret"]) == 401
    assert client.delete(f"/keys/{created['key']['id']}").json() == first


def test_an_expired_key_opens_nothing_and_says_since_when(client: Client) -> None:
    expired = made(client, expiresAt="2020-01-01T00:00:00Z")["secret"]
    answer = client.get("/mappers", headers=with_key(expired))
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:personakit:problem:unauthorized")
    assert "expired at 2020-01-01" in answer.json()["detail"]


def test_a_rotated_key_goes_on_beside_the_new_one_until_it_ends(client: Client) -> None:
    old = made(client, name="app", people=["ada"], expiresAt="2999-01-01T00:00:00Z")
    rotated = client.post(f"/keys/{old['key']['id']}/rotate", json={"overlapSeconds": 3600})
    assert rotated.status_code == 201
    new = rotated.json()
    assert [status(client, each["secret"]) for each in (old, new)] == [200, 200]
    same = ("name", "scopes", "people", "personas", "expiresAt", "endsAt")
    assert [new["key"][field] for field in same] == [old["key"][field] for field in same]
    ends = {each["id"]: each["endsAt"] for each in client.get("/keys", params={"limit": 500}).json()["items"]}
    left = datetime.fromisoformat(ends[old["key"]["id"]]) - datetime.now(UTC)
    assert timedelta(minutes=50) < left <= timedelta(hours=1)


def test_without_overlap_the_old_key_ends_at_once(client: Client) -> None:
    old = made(client)
    assert status(client, old["secret"]) == 200
    new = client.post(f"/keys/{old['key']['id']}/rotate", json={}).json()
    time.sleep(BELIEVED_SECONDS)
    assert [status(client, each["secret"]) for each in (old, new)] == [401, 200]
    again = client.post(f"/keys/{old['key']['id']}/rotate", json={})
    assert (again.status_code, again.json()["type"]) == (409, "urn:personakit:problem:key-over")


def test_a_key_that_is_rotated_during_an_erasure_names_nobody_who_was_erased(
    service: Service, database: str
) -> None:
    recorder = service.recorder
    old = grant_key(recorder, "default", "limited", granted(["read"], ["zoe", "yan"], [])).key.prefix
    now = datetime.now(UTC)
    struck = {"tenant": "default", "person_id": "zoe"}
    with psycopg.connect(database) as erasing, ThreadPoolExecutor(1) as pool:
        erasing.execute(SQL["hold_people"])
        erasing.execute(SQL["strike_from_keys"], struck)
        rotating = pool.submit(rotate_key, recorder, "default", old, timedelta(0), now)
        while not erasing.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount:
            assert not rotating.done()
        erasing.commit()
        limits = rotating.result().key.grant.limits
    assert limits is not None
    assert limits.people == {"yan"}


def test_what_is_no_key_cannot_be_made(client: Client) -> None:
    good = {"name": "x", "scopes": ["read"]}
    refused = {
        "unknown scope": good | {"scopes": ["write"]},
        "no scope": good | {"scopes": []},
        "limited and of all": good | {"scopes": ["admin"], "people": ["ada"]},
        "no name": good | {"name": ""},
        "no person's id": good | {"people": ["a b"]},
        "time without offset": good | {"expiresAt": "2030-01-01T00:00:00"},
    }
    before = len(client.get("/keys", params={"limit": 500}).json()["items"])
    assert {
        name: client.post("/keys", json=body).status_code for name, body in refused.items()
    } == dict.fromkeys(refused, 422)
    assert len(client.get("/keys", params={"limit": 500}).json()["items"]) == before


def test_a_key_that_was_made_before_there_were_scopes_has_them_all(service: Service, database: str) -> None:
    secret = create_key(service.recorder, "default", "old")
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO personakit.api_keys (prefix, tenant, hash, name) "
            "SELECT 'pk_old', tenant, hash, name FROM personakit.api_keys WHERE prefix = %s",
            (secret[:11],),
        )
    (old,) = (key for key in list_keys(service.recorder, "default", "", 500) if key.prefix == "pk_old")
    assert old.grant.scopes == frozenset(SCOPES)
    assert (old.grant.limits, old.ends_at) == (None, None)


def test_a_tenants_keys_are_its_own(service: Service, client: Client) -> None:
    create_tenant(service.recorder, "elsewhere", "Elsewhere")
    theirs = create_key(service.recorder, "elsewhere", "theirs")
    assert theirs[:11] not in client.get("/keys", params={"limit": 500}).text
    assert client.delete(f"/keys/{theirs[:11]}").status_code == 404
    assert client.post(f"/keys/{theirs[:11]}/rotate", json={}).status_code == 404
    assert status(client, theirs) == 200


@pytest.fixture
def ring(service: Service) -> Iterator[KeyRing]:
    ring = opened(service)
    ring.listen()
    yield ring
    ring.close()


def asked(ring: KeyRing, secret: str) -> bool:
    return asyncio.run(ring.find(secret, "127.0.0.1")) is not None


def opened(service: Service) -> KeyRing:
    return KeyRing(service, Rates(Rate(1e6, 1e6)))


def until_believed(ring: KeyRing, secret: str) -> None:
    """Returns when the ring answers from what it remembers."""
    while time.monotonic() >= ring._believed_until or secret not in ring._known:
        assert asked(ring, secret)
        time.sleep(0.01)


def test_what_is_believed_is_asked_of_no_database(service: Service, ring: KeyRing, database: str) -> None:
    secret = create_key(service.recorder, "default", "remembered")
    until_believed(ring, secret)
    with psycopg.connect(database) as connection:  # which nobody is told of
        connection.execute("DELETE FROM personakit.api_keys WHERE prefix = %s", (secret[:11],))
    assert asked(ring, secret)
    assert key_of(service.recorder, secret) is None


def test_a_ring_that_hears_nothing_any_more_believes_nothing(service: Service, ring: KeyRing) -> None:
    secret = create_key(service.recorder, "default", "unheard")
    until_believed(ring, secret)
    ring._closing.set()  # as if the connection were dead and did not say so
    revoke_key(service.recorder, "default", secret[:11])
    time.sleep(BELIEVED_SECONDS)
    assert not asked(ring, secret)


def test_a_ring_whose_connection_is_cut_listens_again(service: Service, ring: KeyRing, database: str) -> None:
    secret = create_key(service.recorder, "default", "cut")
    until_believed(ring, secret)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query IN ('SELECT 1')"
        )
    until_believed(ring, secret)
    revoke_key(service.recorder, "default", secret[:11])
    time.sleep(BELIEVED_SECONDS)
    assert not asked(ring, secret)


def lines_after(read: Callable[[], bool], hear: Callable[[], None], moment: int) -> Callable[..., Any]:
    """Traces `_look_up`: before the line of this number, of those that run once the key was read, `hear` is
    called."""
    lines = count()

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if frame.f_code is not KeyRing._look_up.__code__:
            return None
        if event == "line" and read() and next(lines) == moment:
            hear()
        return trace

    return trace


@pytest.mark.parametrize("moment", [-1, 0, 1, 2, 3])
def test_a_key_that_is_revoked_while_it_is_looked_up_is_not_remembered(service: Service, moment: int) -> None:
    """Whenever that is heard of: while the key is read (-1), or before any line that runs after it."""
    secret = create_key(service.recorder, "default", "raced")
    ring, heard, before = opened(service), [], sys.gettrace()

    def hear() -> None:
        heard.append(ring._forget())

    def key(recorder: LogRecorder, secret: str) -> ApiKey | None:
        found = key_of(recorder, secret)
        read.append(hear() if moment < 0 else None)
        return found

    read: list[None] = []
    sys.settrace(lines_after(lambda: bool(read), hear, moment))
    try:
        with mock.patch.object(key_ring, "key_of", key):
            assert asked(ring, secret)
    finally:
        sys.settrace(before)
    assert (secret in ring._known) is (not heard)
    assert heard or moment > 1


def test_when_a_key_was_used_is_written_once_and_never_set_back(service: Service) -> None:
    ring = opened(service)
    ring.listen()
    key = key_of(service.recorder, create_key(service.recorder, "default", "used"))
    assert key is not None
    newest = datetime.now(UTC)
    for seconds in (60, 30, 0):
        ring.used(key, newest - timedelta(seconds=seconds))
    while time.monotonic() >= ring._believed_until:
        time.sleep(0.01)
    ring.close()
    late = opened(service)
    late.listen()
    while time.monotonic() >= late._believed_until:
        time.sleep(0.01)
    late.used(key, newest - timedelta(hours=1))
    late.close()
    (found,) = (each for each in list_keys(service.recorder, "default", "", 500) if each.prefix == key.prefix)
    assert found.last_used_at == newest
