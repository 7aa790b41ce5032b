"""The description of the API, held against the API: `/openapi.json` and the page at `/docs`."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from litestar.routes import HTTPRoute

from personakit_sdk.rules import suggestion_id
from tests.integration.conftest import Client

JSON_TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}
CONTAINERS = {"object": dict, "array": list}
UNDESCRIBED = ("/openapi.json", "/docs", "/metrics", "/schemas/mapper.json", "/-")
READ = {
    "/observations": {"personId": "ada"},
    "/mindscapes/{personId}": {},
    "/mindscapes/{personId}/history": {},
    "/mindscapes/{personId}/traits/{path}/evidence": {},
    "/audit": {},
    "/people": {},
    "/people/{personId}/export": {},
    "/personas": {},
    "/personas/{personaId}": {},
    "/map-persona": {"mapperId": "work_rhythm", "personaId": "ada", "explain": "true"},
    "/suggestions/{suggestionId}": {},
    "/mappers": {},
    "/mappers/{mapperId}": {},
    "/mappers/{mapperId}/versions": {},
    "/mappers/{mapperId}/weights": {},
    "/model-use": {},
    "/mappers/{mapperId}/versions/{version}": {},
    "/mappers/{mapperId}/versions/{version}/diff": {},
    "/computed-traits": {},
    "/computed-traits/{documentId}": {},
    "/computed-traits/{documentId}/versions": {},
    "/keys": {},
    "/people/{personId}/consent": {},
    "/consent-policy": {},
    "/sync": {},
    "/health/live": {},
    "/health/ready": {},
}
IDS = {
    "{personId}": "ada",
    "{personaId}": "ada",
    "{mapperId}": "work_rhythm",
    "{documentId}": "code_commit",
    "{path}": "work.commits",
    "{observationId}": "00000000-0000-0000-0000-000000000001",
    "{suggestionId}": suggestion_id.encode(
        "ada", "work_rhythm", 1, "evening_builder", 1, datetime(2099, 12, 31, tzinfo=UTC)
    ),
    "{version}": "1",
    "{ruleId}": "any",
    "{keyId}": "pk_00000000",
}


@pytest.fixture(scope="module")
def document(client: Client) -> dict[str, Any]:
    return dict(client.get("/openapi.json").json())


@pytest.fixture(scope="module")
def page(client: Client) -> str:
    return client.get("/docs").text


@pytest.fixture(scope="module", autouse=True)
def ada(client: Client) -> None:
    """A person with enough behind them that every part of an answer is there."""
    days = [
        {
            "id": str(uuid4()),
            "personId": "ada",
            "type": "code_commit",
            "content": {
                "lines_changed": 20 + day,
                "files_changed": 2,
                "languages": ["Python"],
                "merge": False,
            },
            "occurredAt": f"2026-03-{day:02}T21:15:00Z",
        }
        for day in range(1, 31)
    ]
    recorded = client.post("/observations/batch", json=days)
    position = recorded.headers["PersonaKit-Position"]
    made = client.get("/mindscapes/ada", headers={"PersonaKit-Min-Position": position})
    assert made.json()["traits"]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def at(path: str) -> str:
    return re.sub(r"\{\w+\}", lambda found: IDS[found[0]], path)


def resolved(document: dict[str, Any], described: dict[str, Any]) -> dict[str, Any]:
    """What a `$ref` points at; anything else as it is. Raises KeyError for a `$ref` into nowhere."""
    if "$ref" not in described:
        return described
    found: Any = document
    for step in described["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def misfits(document: dict[str, Any], value: Any, schema: dict[str, Any], where: str = "$") -> list[str]:
    """Where a value is not as its schema has it, in as much of JSON Schema as the document uses."""
    schema = resolved(document, schema)
    if "anyOf" in schema:
        tried = [misfits(document, value, each, where) for each in schema["anyOf"]]
        return [] if [] in tried else min(tried, key=len)
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where} is {value!r}, not one of {schema['enum']}"]
    if "type" in schema and not isinstance(value, (JSON_TYPES | CONTAINERS)[schema["type"]]):
        return [f"{where} is {value!r}, not of type {schema['type']}"]
    if isinstance(value, list):
        return [
            misfit
            for number, item in enumerate(value)
            for misfit in misfits(document, item, schema.get("items", {}), f"{where}[{number}]")
        ]
    return misfits_of_fields(document, value, schema, where) if isinstance(value, dict) else []


def misfits_of_fields(
    document: dict[str, Any], value: dict[str, Any], schema: dict[str, Any], where: str
) -> list[str]:
    known = schema.get("properties", {})
    others = schema.get("additionalProperties") or {}
    found = [f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value]
    found += [f"{where}.{name} is not described" for name in value if known and name not in known]
    for name, member in value.items():
        found += misfits(document, member, known.get(name, others), f"{where}.{name}")
    return found


def test_every_route_is_described(client: Client, document: dict[str, Any]) -> None:
    routes = {
        (route.path_format, method.lower())
        for route in client.app.routes
        if isinstance(route, HTTPRoute) and not route.path_format.startswith(UNDESCRIBED)
        for method in route.route_handler_map
        if method != "OPTIONS"
    }
    described = {(path, method) for path, method, _ in operations(document)}
    assert document["openapi"].startswith("3.1")
    assert described == routes
    assert len(described) == 57


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref":"([^"]+)"', msgspec.json.encode(document).decode()))
    assert len(references) > 30
    for reference in references:
        assert resolved(document, {"$ref": reference}), reference


def test_every_schema_is_used_and_says_what_it_is(document: dict[str, Any]) -> None:
    text = msgspec.json.encode(document).decode()
    for name, schema in document["components"]["schemas"].items():
        assert f'"#/components/schemas/{name}"' in text, name
        assert schema["description"], name


def test_every_operation_says_what_it_does_takes_and_answers(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        named = f"{method} {path}"
        answers = operation["responses"]
        assert operation["description"].endswith("."), named
        assert 0 < len(operation["summary"]) <= 40, named
        assert "default" not in answers, named
        refused = {status: resolved(document, answer) for status, answer in answers.items() if status >= "4"}
        assert {"400", "422", "503"} <= refused.keys(), named
        for answer in refused.values():
            assert answer["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")
        assert path == "/health/ready" or refused["503"]["headers"]["Retry-After"]["required"], named
        good = [answer for status, answer in answers.items() if status.startswith("2")]
        assert good, named
        assert all(answer["content"]["application/json"]["schema"]["$ref"] for answer in good), named
        empty = path.endswith(("/regenerate", "/publish")) or path == "/people/{personId}"
        sends = method in {"post", "put", "patch"} and not empty
        assert ("requestBody" in operation) == sends, named


def test_every_parameter_has_a_description_and_one_type(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for each in operation.get("parameters", []):
            parameter = resolved(document, each)
            named = f"{method} {path} {parameter['name']}"
            assert parameter["description"], named
            assert isinstance(parameter["schema"]["type"], str), named
            assert None not in parameter["schema"].get("enum", []), named
            assert parameter["required"] or parameter["in"] != "path", named
            assert "_" not in parameter["name"], named


def test_only_health_needs_no_key_and_every_answer_has_a_position(
    client: Client, document: dict[str, Any]
) -> None:
    for path, method, operation in operations(document):
        is_open = operation.get("security") == []
        parameters = [resolved(document, each)["name"] for each in operation.get("parameters", [])]
        assert is_open == path.startswith("/health/"), path
        assert ("PersonaKit-Min-Position" in parameters) != is_open, path
        answers = [resolved(document, each) for each in operation["responses"].values()]
        assert all("PersonaKit-Position" in each["headers"] for each in answers)
        assert ({"401", "403"} <= operation["responses"].keys()) != is_open
        answered = client.request(method, at(path), headers={"Authorization": ""}).status_code
        assert (answered == 200) if is_open else (answered == 401), path
    assert document["security"] == [{"key": []}]


@pytest.mark.parametrize("path", READ)
def test_a_real_answer_is_as_described(client: Client, document: dict[str, Any], path: str) -> None:
    described = document["paths"][path]["get"]["responses"]["200"]
    answer = client.get(at(path), params=READ[path])
    assert answer.status_code == 200, answer.text
    assert answer.json()
    schema = described["content"]["application/json"]["schema"]
    assert misfits(document, answer.json(), schema) == []
    for header in described["headers"]:
        assert header in answer.headers


def test_all_that_is_read_is_held_against_its_description(document: dict[str, Any]) -> None:
    assert set(READ) == {path for path, method, _ in operations(document) if method == "get"}


def test_a_refusal_is_as_described(client: Client, document: dict[str, Any]) -> None:
    refused = client.post("/observations", json={"personId": 7})
    assert refused.status_code == 422
    described = resolved(document, document["paths"]["/observations"]["post"]["responses"]["422"])["content"]
    kind = refused.headers["content-type"]
    assert misfits(document, refused.json(), described[kind]["schema"]) == []


def test_a_misfit_is_found(document: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/SyncItem"}
    item = {"kind": "mapper", "id": "m", "version": 1, "op": "put"}
    assert misfits(document, item, schema) == []
    assert misfits(document, item | {"op": "keep"}, schema)
    assert misfits(document, item | {"more": 1}, schema)
    assert misfits(document, item | {"body": {"id": "m"}}, schema)


def test_an_allowed_value_is_taken_and_another_refused(client: Client, document: dict[str, Any]) -> None:
    seen = set()
    for path, query in READ.items():
        for each in document["paths"][path]["get"].get("parameters", []):
            name, schema = resolved(document, each)["name"], resolved(document, each)["schema"]
            good = schema.get("enum", [])
            bad = ["nonsense"] if good else []
            if name == "limit":
                good, bad = [schema["minimum"], schema["maximum"]], [0, schema["maximum"] + 1]
            seen |= {name} if good else set()
            got = [client.get(at(path), params=query | {name: value}).status_code for value in good + bad]
            assert [status < 300 for status in got] == [True] * len(good) + [False] * len(bad), (path, name)
    assert seen == {"detailLevel", "ifStale", "limit", "status"}


def test_a_default_is_what_is_done_without_the_parameter(client: Client, document: dict[str, Any]) -> None:
    for each in document["paths"]["/map-persona"]["get"]["parameters"]:
        default = resolved(document, each)["schema"].get("default")
        ask = {"mapperId": "work_rhythm", "personaId": "ada", "at": "2026-04-10T09:00:00Z"}
        if default is not None:
            spelled = default if isinstance(default, str) else msgspec.json.encode(default).decode()
            given = client.get("/map-persona", params=ask | {each["name"]: spelled}).json()
            assert given["suggestions"] == client.get("/map-persona", params=ask).json()["suggestions"]
            assert ("explanation" in given) is False


def test_bodies_answers_and_headers_that_only_some_have(document: dict[str, Any]) -> None:
    paths = document["paths"]
    for path in ("/observations", "/feedback", "/mappers", "/computed-traits"):
        answers = paths[path]["post"]["responses"]
        assert answers["200"]["content"] == answers["201"]["content"]
        assert answers["200"]["description"] != answers["201"]["description"]
    for mapper in (paths["/mappers"]["post"], paths["/mappers/{mapperId}"]["put"]):
        assert set(mapper["requestBody"]["content"]) == {"application/json", "application/yaml"}
        assert all(
            "ETag" in answer["headers"] for status, answer in mapper["responses"].items() if status < "3"
        )
    batch = paths["/observations/batch"]["post"]["requestBody"]["content"]
    assert set(batch) == {"application/json", "application/x-ndjson"}
    assert batch["application/json"]["schema"]["items"] == {"$ref": "#/components/schemas/Observation"}
    assert "503" in paths["/health/ready"]["get"]["responses"]


def test_a_status_that_a_route_may_refuse_with_follows_from_what_it_takes(document: dict[str, Any]) -> None:
    paths = document["paths"]
    of_keyed = {"400", "401", "403", "422", "429", "503"}
    statuses = {
        "listMappers": {"200", *of_keyed},
        "getMapper": {"200", "304", "404", "410", *of_keyed},
        "mapPersona": {"200", "202", "404", "409", "410", *of_keyed},
        "updateMapper": {"200", "404", "408", "409", "410", "412", "413", "415", *of_keyed},
        "erasePerson": {"200", "404", "409", "410", "501", *of_keyed},
        "isAlive": {"200", "400", "422", "503"},
    }
    found = {
        operation["operationId"]: operation["responses"].keys() for _, _, operation in operations(document)
    }
    assert {name: set(found[name]) for name in statuses} == statuses
    assert paths["/health/ready"]["get"]["responses"]["503"]["content"].keys() == {
        "application/json",
        "application/problem+json",
    }


def test_every_method_of_an_address_is_named_to_who_asks_and_who_tries_another(
    client: Client, document: dict[str, Any]
) -> None:
    for path, methods in document["paths"].items():
        taken = {method.upper() for method in methods} | {"OPTIONS"}
        for method in ("OPTIONS", "TRACE"):
            answer = client.request(method, at(path))
            assert answer.status_code == (204 if method == "OPTIONS" else 405)
            assert set(answer.headers["Allow"].split(", ")) == taken, (method, path)


def test_the_page_names_all_and_brings_nothing_from_elsewhere(document: dict[str, Any], page: str) -> None:
    for path, _, operation in operations(document):
        assert f"<code>{path}</code>" in page
        assert operation["summary"].replace("'", "&#x27;") in page
    for name in document["components"]["schemas"]:
        assert f"<section id='{name}'>" in page
    for value in ("instant", "balanced", "deep_dive", "serve", "regenerate", "fail", "draft"):
        assert f"<code>{value}</code>" in page
    assert not re.findall(r"<script|https?://|`|url\(|@import", page)
    assert set(re.findall(r"<a href=['\"]?([^'\"> ]+)", page)) >= {"/openapi.json", "#Problem", "#MapAnswer"}


def test_every_link_of_the_page_leads_somewhere(page: str) -> None:
    links = set(re.findall(r"<a href='#([^']+)'", page))
    assert len(links) > 20
    assert links <= set(re.findall(r"<section id='([^']+)'", page))


def test_the_page_runs_nothing(client: Client) -> None:
    answer = client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    style = hashlib.sha256(re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)[0].encode()).digest()
    assert answer.headers["Content-Security-Policy"].startswith(
        f"default-src 'none'; style-src 'sha256-{b64encode(style).decode()}'; "
    )


def test_the_description_is_the_same_in_every_process(client: Client) -> None:
    program = (
        "import sys; from types import SimpleNamespace; import msgspec;"
        "from personakit.api.app import create_app; from personakit.api.openapi import describe;"
        "freshness = SimpleNamespace(on_moved=id);"
        "service = SimpleNamespace(recorder=None, on_append=id, reader=None, freshness=freshness);"
        "sys.stdout.buffer.write(msgspec.json.encode(describe(create_app(service))))"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert made == [client.get("/openapi.json").content] * 2
