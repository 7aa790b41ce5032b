"""Requests as somebody would send them who means harm, to the whole service: each is refused, or taken and
done no harm by. What only reads is fuzzed in `tests/fuzz`."""

from __future__ import annotations

import base64
import binascii
import json
import logging
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from personakit.agents.service import Service
from personakit.log_lines import FORMAT, Discreet
from personakit_sdk.rules.suggestion_id import decode, encode
from tests.fuzz.bodies import forged, forged_cursor, raw
from tests.fuzz.hostile import texts, words
from tests.integration.conftest import Client, follow
from tests.integration.test_authorisation import mapper, observation

SHORT = settings(
    max_examples=25, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module", autouse=True)
def ada(client: Client) -> None:
    assert client.post("/mappers", json=mapper("focus")).status_code == 201
    recorded = client.post("/observations", json=observation("ada"))
    position = recorded.headers["PersonaKit-Position"]
    assert client.get("/mindscapes/ada", headers={"PersonaKit-Min-Position": position}).json()["traits"]


def refused(answer: Any) -> bool:
    """Whether it is a problem, and no failure of the service's."""
    assert answer.status_code < 500, answer.text
    if answer.status_code < 400:
        return False
    assert answer.json()["type"].startswith("urn:personakit:problem:")
    return True


def test_the_largest_rank_version_and_instant_of_a_suggestion_are_taken_and_no_stream_stands_still(
    service: Service, client: Client
) -> None:
    ids = [
        pack(["ada", "focus", version, "always", rank, at])
        for version in (0, 1, 2**63 - 1)
        for rank in (0, 2**31 - 1)
        for at in (-62_135_596_800 * 10**6, 0, 253_402_300_799 * 10**6)
    ]
    for id_ in ids:
        assert encode(**msgspec.structs.asdict(decode(id_))) == id_
        assert client.post("/feedback", json={"suggestionId": id_, "helpful": True}).status_code == 201
        assert client.get(f"/suggestions/{id_}").status_code < 500
    follow(service)
    assert [state.name for state in service.reader.states() if state.quarantined] == []


@pytest.mark.parametrize("beyond", [{"rank": 2**31}, {"rank": -1}, {"version": 2**63}, {"at": 10**18}])
def test_one_beyond_them_is_no_suggestion(client: Client, beyond: dict[str, int]) -> None:
    fields = {"version": 1, "rank": 1, "at": 0} | beyond
    id_ = pack(["ada", "focus", fields["version"], "always", fields["rank"], fields["at"]])
    assert client.post("/feedback", json={"suggestionId": id_, "helpful": True}).status_code == 422


def test_nor_one_with_a_name_that_no_database_could_be_asked_for(client: Client) -> None:
    id_ = pack(["ada\x00", "focus", 1, "always", 1, 0])
    assert client.get(f"/suggestions/{id_}").status_code == 422
    assert client.post("/feedback", json={"suggestionId": id_, "helpful": True}).status_code == 422


@SHORT
@given(id_=forged | texts)
def test_no_forged_suggestion_fails_the_service(client: Client, id_: str) -> None:
    body = msgspec.json.encode({"suggestionId": "?", "helpful": True})
    sent = body.replace(b'"?"', _quoted(id_))
    refused(client.post("/feedback", content=sent))
    item = {"id": str(uuid4()), "kind": "feedback", "key": "ada", "occurredAt": "2026-03-02T09:00:00Z"}
    pushed = msgspec.json.encode(
        {"clientId": "c", "items": [item | {"schema": 1, "body": {"helpful": True}}]}
    )
    refused(
        client.post("/sync", content=pushed.replace(b'"helpful":true', b'"suggestionId":' + _quoted(id_)))
    )


@SHORT
@given(text=words.map(lambda text: text[:3_000]), cursor=raw.map(lambda said: forged_cursor(said[:20_000])))
def test_no_address_and_no_header_fails_the_service(client: Client, text: str, cursor: str) -> None:
    told = text.encode("latin-1", errors="replace").replace(b"\x00", b"")
    header = bytes(each for each in told if each >= 32 and each != 127)[:4_000]
    refused(client.get("/sync", params={"since": cursor}))
    refused(client.get("/sync", params={"since": text, "personaId": text}))
    refused(client.get("/map-persona", params={"mapperId": text, "personaId": text, "context": text}))
    refused(client.get("/mindscapes/ada", params={"asOf": text}))
    refused(client.get("/mappers", params={"trait": text[:2_000], "after": text}))
    for name in ("PersonaKit-Min-Position", "Idempotency-Key", "If-Match", "If-None-Match", "Accept"):
        refused(client.get("/mappers/focus", headers=[(name.encode(), header)]))
        refused(client.post("/observations", json={}, headers=[(name.encode(), header)]))


def test_a_path_of_many_names_is_refused_before_it_is_looked_into(client: Client) -> None:
    pinned = client.put(f"/mindscapes/ada/traits/{'a.' * 10_000}b", json={"value": 1, "reason": "so"})
    assert pinned.status_code == 422
    document = mapper("dotted")
    document["rules"][0]["conditions"]["trait_check"]["path"] = "." * 200_000
    assert client.post("/mappers", json=document).status_code == 422


def test_what_fails_is_logged_without_whom_it_is_about(
    service: Service, client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("about ada")

    monkeypatch.setattr(service.people, "find", fail)
    with caplog.at_level(logging.ERROR):
        answer = client.get("/mindscapes/ada%0Aforged%20line")
    assert answer.status_code == 500
    assert "ada" not in answer.text
    (record,) = (each for each in caplog.records if each.name == "personakit.api.problems")
    assert "GET /mindscapes/{personId} failed (tenant default): RuntimeError" in record.getMessage()
    record.exc_text = None  # as the test's own handler wrote it
    written = Discreet(FORMAT).format(record)
    assert "in fail" in written
    assert not {"ada", "forged"} & set(written.replace("\n", " ").split())


def test_a_host_and_a_line_break_in_a_header_name_nothing_that_is_sent_back(
    client: Client,
) -> None:
    answer = client.get(
        "/mappers/focus", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    )
    assert "evil" not in answer.text + str(answer.headers)
    gone = client.get("/mappers/a%0D%0ASet-Cookie:%20x=1")
    assert gone.status_code == 404
    assert "set-cookie" not in gone.headers


def pack(fields: list[Any]) -> str:
    """A suggestion's id, made without the SDK."""
    body = msgspec.msgpack.encode([1, *fields])
    return "sug_" + base64.urlsafe_b64encode(body + binascii.crc32(body).to_bytes(4, "big")).decode().rstrip(
        "="
    )


def _quoted(text: str) -> bytes:
    return json.dumps(text).encode()
