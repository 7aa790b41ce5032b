"""What publishing would meet is said, and nothing is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from personakit_sdk import wire
from tests.integration.conftest import Client
from tests.mapper_documents import check, mapper, suggest


def validated(client: Client, document: Any) -> dict[str, Any]:
    answer = client.post("/mappers/validate", json=document)
    assert answer.status_code == 200
    assert set(answer.json()) == {field.encode_name for field in msgspec.structs.fields(wire.Validation)}
    return dict(answer.json())


def test_a_good_document_is_valid_and_not_stored(client: Client) -> None:
    found = validated(client, mapper("checked"))
    assert found["valid"]
    assert (found["id"], found["version"]) == ("checked", "1.0.0")
    assert (found["faults"], found["warnings"], found["tests"]) == ([], [], [])
    assert client.get("/mappers/checked").status_code == 404
    published = client.post("/mappers", json=mapper("checked")).json()
    assert (published["version"], published["hash"]) == (1, found["hash"])
    assert published["document"] == found["document"]


def test_every_fault_has_its_place(client: Client) -> None:
    document = mapper("faulty", a=11.0)
    document["rules"][0]["condition"] = {}
    found = validated(client, document)
    assert not found["valid"]
    assert {fault["pointer"] for fault in found["faults"]} == {"/rules/0/weight", "/rules/0/condition"}
    assert (found["id"], found["hash"], found["document"]) == (None, None, None)


def test_its_own_tests_are_run_and_a_failing_one_refuses_it(client: Client) -> None:
    def case(name: str, *rules: str) -> dict[str, Any]:
        return {"name": name, "given": {}, "expect": {"rules": list(rules)}}

    document = {**mapper("tested"), "tests": [case("fires", "always"), case("sleeps")]}
    found = validated(client, document)
    assert not found["valid"]
    assert [(test["name"], test["passed"]) for test in found["tests"]] == [("fires", True), ("sleeps", False)]
    assert found["tests"][1]["detail"]
    assert [fault["pointer"] for fault in found["faults"]] == ["/tests/1"]
    assert found["document"]["metadata"]["id"] == "tested"
    refused = client.post("/mappers", json=document).json()
    assert refused["errors"] == found["faults"]


def test_warnings_refuse_nothing_and_know_the_traits_of_people(client: Client) -> None:
    seen = {
        "id": "00000000-0000-4000-8000-0000000000ab",
        "personId": "ada",
        "type": "work_session",
        "content": {"duration_minutes": 30},
        "occurredAt": datetime(2026, 3, 2, tzinfo=UTC).isoformat(),
    }
    assert client.post("/observations", json=seen).is_success
    document = mapper("warned")
    document["rules"] = [
        suggest("known", **check("work.focus_duration.p90")),
        suggest("unknown", **check("work.focus_durations")),
    ]
    found = validated(client, document)
    assert found["valid"]
    assert len(found["warnings"]) == 1
    assert "work.focus_durations" in found["warnings"][0]["message"]


@pytest.mark.parametrize("text", ["{", "- a\n- b", "a: &a [*a]\nb: *c", ""])
def test_what_is_no_document_is_said_to_be_none(client: Client, text: str) -> None:
    answer = client.post("/mappers/validate", content=text, headers={"Content-Type": "application/yaml"})
    assert answer.status_code == 200
    assert not answer.json()["valid"]
    assert answer.json()["faults"]


def test_another_kind_of_text_is_not_read(client: Client) -> None:
    answer = client.post("/mappers/validate", content="x", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
