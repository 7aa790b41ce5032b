"""Why a suggestion was made: told from its id and the log, also when everything has changed since."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from personakit.cli.why import told
from personakit_sdk.rules import suggestion_id
from personakit_sdk.wire import Why
from tests.integration.conftest import Client

PERSON = "ada"


def commits(client: Client, count: int, lines: int) -> str:
    """So many commits in the evening; the position from which on their traits are seen."""
    days = [
        {
            "id": str(uuid4()),
            "personId": PERSON,
            "type": "code_commit",
            "content": {"lines_changed": lines, "languages": ["Python"], "merge": False, "files_changed": 1},
            "occurredAt": f"2026-03-{1 + day % 28:02}T19:15:00Z",
        }
        for day in range(count)
    ]
    return client.post("/observations/batch", json=days).headers["PersonaKit-Position"]


def mapped(client: Client, **more: Any) -> dict[str, Any]:
    asked = {"mapperId": "work_rhythm", "personaId": PERSON, "limit": 20, **more}
    return dict(client.post("/map-persona", json=asked).json())


@pytest.fixture(scope="module")
def suggestion(client: Client) -> dict[str, Any]:
    """One that rests on traits; then all of them change, in the core too."""
    client.get(f"/mindscapes/{PERSON}", headers={"PersonaKit-Min-Position": commits(client, 40, 20)})
    client.post(f"/personas/{PERSON}/regenerate")
    made = mapped(client)["suggestions"]
    (evening,) = [each for each in made if each["ruleId"] == "evening_builder"]
    client.get(f"/mindscapes/{PERSON}", headers={"PersonaKit-Min-Position": commits(client, 40, 900)})
    client.post(f"/personas/{PERSON}/regenerate")
    return dict(evening)


def test_the_chain_is_told_as_it_was_when_the_suggestion_was_made(
    client: Client, suggestion: dict[str, Any]
) -> None:
    why = client.get(f"/suggestions/{suggestion['id']}").json()
    assert why["suggestion"] is not None
    for name in ("ruleId", "title", "description", "because", "parameters", "score"):
        assert why["suggestion"][name] == suggestion[name]
    assert (why["mapper"]["id"], why["ruleId"]) == ("work_rhythm", "evening_builder")
    assert why["explanation"]["fired"] is True
    traits = {each["path"]: each for each in why["traits"]}
    hours = traits["work.commit_hours"]
    assert sum(hours["trait"]["value"]["counts"]) == 40
    assert hours["madeBy"]["position"] <= why["position"]
    assert len(hours["evidence"]) == 20
    evidence = client.get(f"/mindscapes/{PERSON}/traits/work.commit_hours/evidence?limit=500").json()
    assert set(hours["evidence"]) <= {item["id"] for item in evidence["items"]}


def test_a_person_reads_the_chain_from_the_rule_to_the_observations(
    client: Client, suggestion: dict[str, Any]
) -> None:
    body = client.get(f"/suggestions/{suggestion['id']}").content
    lines = told(msgspec.json.decode(body, type=Why))
    assert lines[0] == suggestion["title"]
    assert any("rule evening_builder of work_rhythm" in line for line in lines)
    assert any('work.commit_hours.period equals "evening": saw "evening"' in line for line in lines)
    assert any(line.strip().startswith("rests on observations") for line in lines)
    assert any("of the mindscape" in line and "read" in line for line in lines)


def test_what_rests_on_the_context_is_made_again_with_the_context(client: Client, suggestion: Any) -> None:
    asked = {"next_meeting_minutes": 10, "timezone": "UTC"}
    ids = [each["id"] for each in mapped(client, context=asked)["suggestions"]]
    assert ids
    for id_ in ids:
        with_it = client.get(f"/suggestions/{id_}", params={"context": msgspec.json.encode(asked).decode()})
        assert with_it.json()["suggestion"] is not None
    refused = client.get(f"/suggestions/{suggestion['id']}", params={"context": "[1]"})
    assert refused.status_code == 422


def test_ids_that_were_altered_or_are_of_elsewhere_are_refused(client: Client, suggestion: Any) -> None:
    assert client.get(f"/suggestions/{suggestion['id'][:-2]}xx").status_code == 422
    for mapper, rule, person in (
        ("nothing", "evening_builder", PERSON),
        ("work_rhythm", "nothing", PERSON),
        ("work_rhythm", "evening_builder", "nobody"),
    ):
        id_ = suggestion_id.encode(person, mapper, 1, rule, 1, datetime.now(UTC))
        refused = client.get(f"/suggestions/{id_}")
        assert refused.status_code == 404, refused.text
    before = suggestion_id.encode(
        PERSON, "work_rhythm", 1, "evening_builder", 1, datetime(2020, 1, 1, tzinfo=UTC)
    )
    assert "nothing was known" in client.get(f"/suggestions/{before}").json()["detail"]


def pin(client: Client, value: int, volatility: str, person: str = "bo", path: str = "mood.level") -> None:
    body = {"value": value, "volatility": volatility, "reason": f"it is {value}"}
    assert client.put(f"/mindscapes/{person}/traits/{path}", json=body).status_code == 200


@pytest.fixture(scope="module")
def moods(client: Client) -> str:
    """A mapper that tells the mood; and two people."""
    for person in ("bo", "cy"):
        sent = {"personId": person, "type": "note", "content": {}, "occurredAt": "2026-03-02T09:00:00Z"}
        client.post("/observations", json=sent)
    suggested = {
        "type": "x",
        "title": "t",
        "description": "d",
        "parameters": {"level": {"from_trait": "mood.level"}},
    }
    document = {
        "metadata": {"id": "moods", "version": "1.0.0", "name": "Moods", "description": "Tells the mood"},
        "rules": [
            {
                "id": "tell",
                "conditions": {"trait_check": {"path": "mood.level", "operator": "exists"}},
                "actions": [{"generate_suggestion": suggested}],
            }
        ],
    }
    assert client.post("/mappers", json=document).status_code == 201
    return "moods"


def seen_and_told(client: Client, mapper: str, persona: str) -> tuple[Any, dict[str, Any]]:
    """The mood that the rule saw, and the trait that its suggestion is said to rest on."""
    (made,) = client.post("/map-persona", json={"mapperId": mapper, "personaId": persona}).json()[
        "suggestions"
    ]
    (trait,) = client.get(f"/suggestions/{made['id']}").json()["traits"]
    return made["parameters"]["level"], trait


def test_a_trait_of_a_stale_core_was_made_by_the_version_that_the_core_is_of(
    client: Client, moods: str
) -> None:
    pin(client, 1, "low")
    client.post("/personas/bo/regenerate")
    pin(client, 2, "low")
    seen, told_ = seen_and_told(client, moods, "bo")
    assert (seen, told_["trait"]["value"], told_["madeBy"]["trait"]["value"]) == (1, 1, 1)
    # and one that became a fast one meanwhile is that of the overlay, as the rule saw it
    pin(client, 3, "high")
    seen, told_ = seen_and_told(client, moods, "bo")
    assert (seen, told_["trait"]["value"], told_["madeBy"]["trait"]["value"]) == (3, 3, 3)


def test_a_trait_is_said_to_be_of_whom_it_is(client: Client, moods: str) -> None:
    pin(client, 7, "low", person="bo")
    pin(client, 8, "high", person="cy")
    for people, whose, level in ((["cy"], "cy", 8), (["bo", "cy"], "cy", 8), (["bo"], "bo", 7)):
        persona = client.post("/personas", json={"people": people}).json()
        seen, told_ = seen_and_told(client, moods, persona["id"])
        assert (seen, told_["personId"], told_["trait"]["value"]) == (level, whose, level)
