"""Bad input: the right status, a problem document that says what to do, and nothing written."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from httpx import Response

from personakit.agents.service import Service
from personakit_sdk.rules import suggestion_id
from tests.integration.conftest import Client

OBSERVATION: dict[str, Any] = {
    "personId": "zoe",
    "type": "note",
    "content": {"a": 1},
    "occurredAt": "2026-03-02T09:00:00Z",
}
MAPPER: dict[str, Any] = {
    "metadata": {"id": "bad", "version": "1.0.0", "description": "For tests"},
    "rules": [
        {
            "id": "r",
            "conditions": {"trait_check": {"path": "a", "operator": "exists"}},
            "actions": [{"generate_suggestion": {"type": "t", "title": "T", "description": "D"}}],
        }
    ],
}
SUGGESTION = suggestion_id.encode("zoe", "bad", 1, "r", 1, datetime(2026, 3, 2, 9, tzinfo=UTC))


@pytest.fixture(autouse=True)
def nothing_written(service: Service) -> Iterator[None]:
    before = service.recorder.max_notification_id()
    yield
    assert service.recorder.max_notification_id() == before


DEEP: Any = functools.reduce(lambda inner, _: [inner], range(40), 1)
Call = Callable[[Client], Response]


def post(path: str, **options: Any) -> Call:
    return lambda client: client.post(path, **options)


def get(path: str, **options: Any) -> Call:
    return lambda client: client.get(path, **options)


def observe(**changes: Any) -> Call:
    return post("/observations", json=OBSERVATION | changes)


def rule(**changes: Any) -> dict[str, Any]:
    return MAPPER | {"rules": [MAPPER["rules"][0] | changes]}


CASES: dict[str, tuple[Call, int, str, str]] = {
    "no key": (get("/mappers", headers={"Authorization": ""}), 401, "unauthorized", "Bearer pk_"),
    "wrong scheme": (get("/mappers", headers={"Authorization": "Basic abc"}), 401, "unauthorized", "Bearer"),
    "wrong key": (
        get("/mappers", headers={"Authorization": f"Bearer pk_{'x' * 43}"}),
        401,
        "unauthorized",
        "personakit keys create",
    ),
    "malformed JSON": (
        post("/observations", content=b'{"personId": '),
        400,
        "malformed-json",
        "quotes and brackets",
    ),
    "not UTF-8": (
        post("/observations", content=b'{"personId": "\xff\xfe"}'),
        400,
        "malformed-json",
        "not JSON",
    ),
    "deep JSON": (
        post("/observations", content=b'{"content": ' + b'{"a": ' * 5000),
        400,
        "malformed-json",
        "not JSON",
    ),
    "unknown field": (observe(mood="good"), 422, "invalid-input", "/mood"),
    "missing field": (post("/observations", json={"personId": "zoe"}), 422, "invalid-input", "/type"),
    "wrong type": (observe(content=[1]), 422, "invalid-input", "/content"),
    "bad person id": (observe(personId="zoe smith"), 422, "invalid-input", "/personId"),
    "time without offset": (observe(occurredAt="2026-03-02T09:00:00"), 422, "invalid-input", "/occurredAt"),
    "time before time": (
        observe(occurredAt="0001-01-01T00:00:00+01:00"),
        422,
        "invalid-input",
        "/occurredAt",
    ),
    "NUL": (observe(content={"a": "x\x00"}), 422, "invalid-input", "/content/a"),
    "huge number": (observe(content={"n": 2**70}), 422, "invalid-input", "64 bits"),
    "deep content": (
        observe(content={"a": DEEP}),
        422,
        "invalid-input",
        "nested deeper than 32",
    ),
    "oversized body": (
        post("/observations", json=OBSERVATION | {"content": {"a": "x" * 1_100_000}}),
        413,
        "too-large",
        "1048576",
    ),
    "oversized item": (observe(content={"a": "x" * 300_000}), 413, "too-large", "262144"),
    "NUL in the address": (get("/mappers/%00"), 422, "invalid-input", "NUL"),
    "newline in a person id": (observe(personId="zoe\n"), 422, "invalid-input", "/personId"),
    "offset of a day": (observe(occurredAt="2026-03-02T09:00:00+23:59"), 422, "invalid-input", "/occurredAt"),
    "persona that was never made": (
        get("/personas/~00000000-0000-0000-0000-000000000000"),
        404,
        "not-found",
        "no persona",
    ),
    "endless rule id": (
        post("/feedback", json={"mapperId": "m", "ruleId": "r" * 300, "personaId": "p", "rating": 1}),
        422,
        "invalid-input",
        "/ruleId",
    ),
    "unknown status": (get("/mappers", params={"status": "foo"}), 400, "invalid-request", "status"),
    "empty batch": (post("/observations/batch", json=[]), 422, "invalid-input", "1 to 500"),
    "large batch": (post("/observations/batch", json=[{}] * 501), 422, "invalid-input", "1 to 500"),
    "unknown person": (get("/mindscapes/nobody"), 404, "not-found", "first observation"),
    "unknown persona": (
        get("/map-persona", params={"mapperId": "work_rhythm", "personaId": "nobody"}),
        404,
        "not-found",
        "nobody",
    ),
    "unknown created persona": (get("/personas/~nonsense"), 404, "not-found", "~nonsense"),
    "unknown mapper": (get("/mappers/nothing"), 404, "not-found", "GET /mappers"),
    "unknown mapper's history": (get("/mappers/nothing/versions"), 404, "not-found", "nothing"),
    "update of no mapper": (
        lambda client: client.put("/mappers/bad", json=MAPPER),
        404,
        "not-found",
        "POST /mappers",
    ),
    "unknown route": (get("/nowhere"), 404, "not-found", "/docs"),
    "wrong method": (lambda client: client.delete("/sync"), 405, "method-not-allowed", "/docs"),
    "missing parameter": (get("/map-persona", params={"mapperId": "x"}), 400, "invalid-request", "personaId"),
    "bad detail level": (
        get("/map-persona", params={"mapperId": "x", "personaId": "y", "detailLevel": "all"}),
        400,
        "invalid-request",
        "detailLevel",
    ),
    "bad context": (
        get("/map-persona", params={"mapperId": "x", "personaId": "y", "context": "[1]"}),
        422,
        "invalid-input",
        "JSON object",
    ),
    "unknown time zone": (
        get("/map-persona", params={"mapperId": "work_rhythm", "personaId": "known", "timezone": "Mars/X"}),
        422,
        "invalid-input",
        "Europe/Berlin",
    ),
    "bad instant": (
        get("/map-persona", params={"mapperId": "x", "personaId": "y", "at": "noon"}),
        422,
        "invalid-input",
        "/at",
    ),
    "unknown operator": (
        post(
            "/mappers", json=rule(conditions={"trait_check": {"path": "a", "operator": "greatr", "value": 1}})
        ),
        422,
        "document-invalid",
        "/rules/0/conditions",
    ),
    "unknown key in a mapper": (post("/mappers", json=rule(wieght=1.0)), 422, "document-invalid", "weight"),
    "failing inline test": (
        post(
            "/mappers",
            json=MAPPER | {"tests": [{"name": "fires", "given": {"traits": {}}, "expect": {"rules": ["r"]}}]},
        ),
        422,
        "document-invalid",
        "'fires' fails",
    ),
    "mapper under another id": (
        lambda client: client.put("/mappers/other", json=MAPPER),
        422,
        "document-invalid",
        "/metadata/id",
    ),
    "mapper as text": (
        post("/mappers", content="hello", headers={"Content-Type": "text/plain"}),
        415,
        "unknown-media-type",
        "application/yaml",
    ),
    "YAML with an alias bomb": (
        post(
            "/mappers",
            content="a: &a [x, x]\n" + "".join(f"b{n}: [*a, *a, *a]\n" for n in range(2000)),
            headers={"Content-Type": "application/yaml"},
        ),
        422,
        "document-invalid",
        "alias",
    ),
    "feedback that says nothing": (
        post("/feedback", json={"suggestionId": "sug_x"}),
        422,
        "invalid-input",
        "helpful",
    ),
    "feedback on nothing": (post("/feedback", json={"helpful": True}), 422, "invalid-input", "suggestionId"),
    "feedback on two suggestions": (
        post("/feedback", json={"suggestionId": SUGGESTION, "ruleId": "other", "helpful": True}),
        422,
        "invalid-input",
        "the suggestion's is 'r'",
    ),
    "damaged suggestion id": (
        post("/feedback", json={"suggestionId": "sug_AAAA", "helpful": True}),
        422,
        "invalid-input",
        "suggestion",
    ),
    "made-up exposure": (
        post("/feedback", json={"suggestionId": SUGGESTION, "exposure": "AAAA", "helpful": True}),
        400,
        "exposure-invalid",
        "not the one that came with this suggestion",
    ),
    "damaged cursor": (get("/sync", params={"since": "AAAA"}), 410, "cursor-expired", "without `since`"),
    "since in the future": (
        get("/sync", params={"since": "2999-01-01T00:00:00Z"}),
        400,
        "since-ahead",
        "future",
    ),
    "bad page size": (get("/mappers", params={"limit": "1000"}), 422, "invalid-input", "1 to 500"),
    "position beyond the log": (
        get("/mappers", headers={"PersonaKit-Min-Position": "999999999"}),
        400,
        "beyond-head",
        "beyond the end",
    ),
    "position that is none": (
        get("/mappers", headers={"PersonaKit-Min-Position": "soon"}),
        422,
        "invalid-input",
        "PersonaKit-Position",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_a_problem_document_that_says_what_to_do(client: Client, case: str) -> None:
    call, status, type_, said = CASES[case]
    answer = call(client)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (status, f"urn:personakit:problem:{type_}")
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert said in answer.text
    assert problem["status"] == status
    assert problem["title"]


def test_a_refused_request_says_which_key_scheme_is_wanted(client: Client) -> None:
    answer = client.get("/mappers", headers={"Authorization": ""})
    assert answer.headers["WWW-Authenticate"] == "Bearer"
