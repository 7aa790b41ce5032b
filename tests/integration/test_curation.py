"""Pinning over HTTP: shown everywhere, explained, never overwritten, taken back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from personakit.agents.service import Service
from personakit.domain import curation
from personakit.domain.events import MindscapeUpdated
from personakit.domain.mindscape import EMPTY, evolve
from personakit.domain.traits import Trait
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded
from tests.integration.conftest import Client

PERSON = "ada"
PATH = "work.main_language"


def observe(client: Client, *languages: str) -> int:
    """Commits in these languages; the position from which on their traits are seen."""
    position = 0
    for language in languages:
        body = {
            "id": str(uuid4()),
            "personId": PERSON,
            "type": "code_commit",
            "content": {"lines_changed": 10, "languages": [language], "merge": False},
            "occurredAt": datetime.now(UTC).isoformat(),
        }
        position = client.post("/observations", json=body).json()["position"]
    return position


def at(position: int) -> dict[str, str]:
    return {"PersonaKit-Min-Position": str(position)}


def pin(client: Client, value: Any, path: str = PATH, **more: Any) -> Any:
    return client.put(
        f"/mindscapes/{PERSON}/traits/{path}", json={"value": value, "reason": "I say so", **more}
    )


def test_a_pin_is_shown_with_what_contradicts_it_until_it_is_taken_back(client: Client) -> None:
    client.get(f"/mindscapes/{PERSON}", headers=at(observe(client, "Python", "Python")))
    # when it is pinned to something else
    pinned = pin(client, "Rust").json()
    trait = pinned["traits"][PATH]
    assert (trait["value"], trait["confidence"], trait["pinned"], trait["source"]) == (
        "Rust",
        1,
        True,
        "pinned",
    )
    said = pinned["pins"][PATH]
    assert (said["reason"], said["derived"]["value"], said["derived"]["contradicts"]) == (
        "I say so",
        "Python",
        True,
    )
    # and observations go on, then it is the pin that is shown, and what is derived goes on beneath
    position = observe(client, "Python")
    shown = client.get(f"/mindscapes/{PERSON}", headers=at(position)).json()
    assert shown["traits"][PATH]["value"] == "Rust"
    assert shown["pins"][PATH]["derived"]["samples"] == 3
    # and mapping sees the pin
    persona = client.get(f"/personas/{PERSON}").json()
    assert persona["isStale"] is True
    fresh = client.post(f"/personas/{PERSON}/regenerate").json()
    assert fresh["core"]["traits"][PATH]["value"] == "Rust"
    # until it is taken back
    free = client.delete(f"/mindscapes/{PERSON}/traits/{PATH}", params={"reason": "Not any more"}).json()
    assert (free["traits"][PATH]["value"], free["pins"]) == ("Python", {})
    reasons = [entry["reason"] for entry in client.get(f"/mindscapes/{PERSON}/history").json()["items"]]
    assert reasons[0].endswith(f"unpinned {PATH}: Not any more")
    assert any(reason.endswith(f"pinned {PATH}: I say so") for reason in reasons)


def test_a_trait_that_nothing_derives_may_be_pinned_and_mapped(client: Client, service: Service) -> None:
    client.get(f"/mindscapes/{PERSON}", headers=at(observe(client, "Go")))
    shown = pin(client, ["chess", 1.0], "hobbies", volatility="high").json()
    assert shown["traits"]["hobbies"]["value"] == ["chess", 1]
    assert shown["pins"]["hobbies"]["derived"] is None
    again = pin(client, ["chess", 1], "hobbies", volatility="high")
    assert (again.status_code, again.json()["version"]) == (200, shown["version"])
    overlay = client.get(f"/personas/{PERSON}").json()["overlay"]
    assert overlay["hobbies"]["value"] == ["chess", 1]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        (PATH, {"value": 1}, 422, "reason"),
        (PATH, {"reason": "r"}, 422, "value"),
        (PATH, {"value": "x" * 5000, "reason": "r"}, 422, "4096"),
        (PATH, {"value": 2**70, "reason": "r"}, 422, "64 bits"),
        (PATH, {"value": 1, "reason": "r", "volatility": "none"}, 422, "volatility"),
        ("a..b", {"value": 1, "reason": "r"}, 422, "no path"),
        ("a%0Ab", {"value": 1, "reason": "r"}, 422, "no path"),
        ("a%FFb", {"value": 1, "reason": "r"}, 422, "no path"),
        (".".join("abcdefghijklmnopq"), {"value": 1, "reason": "r"}, 422, "no path"),
    ],
)
def test_what_cannot_be_pinned_is_refused_and_nothing_is_pinned(
    client: Client, path: str, body: dict[str, Any], status: int, says: str
) -> None:
    client.get(f"/mindscapes/{PERSON}", headers=at(observe(client, "C")))
    before = client.get(f"/mindscapes/{PERSON}").json()["version"]
    refused = client.put(f"/mindscapes/{PERSON}/traits/{path}", json=body)
    assert refused.status_code == status
    assert says in refused.json()["detail"]
    assert client.get(f"/mindscapes/{PERSON}").json()["version"] == before


def test_nobody_and_what_is_not_pinned_are_said_to_be_so(client: Client) -> None:
    observe(client, "C")
    unknown = client.put("/mindscapes/nobody/traits/a", json={"value": 1, "reason": "r"})
    assert (unknown.status_code, unknown.json()["type"].rpartition(":")[2]) == (404, "not-found")
    free = client.delete(f"/mindscapes/{PERSON}/traits/never", params={"reason": "r"})
    assert (free.status_code, free.json()["type"].rpartition(":")[2]) == (404, "not-pinned")
    assert client.delete(f"/mindscapes/{PERSON}/traits/never").status_code in (400, 422)


def test_the_evidence_of_a_trait_is_every_observation_that_counts_page_by_page(client: Client) -> None:
    person = "eve"
    sent = []
    for n in range(7):
        body = {
            "id": str(uuid4()),
            "personId": person,
            "type": "code_commit",
            "content": {"lines_changed": n, "languages": ["Go"], "merge": n % 3 == 0},
            "occurredAt": datetime.now(UTC).isoformat(),
        }
        client.post("/observations", json={**body, "id": str(uuid4()), "type": "note"})
        sent.append((body["id"], n % 3 == 0))
        position = client.post("/observations", json=body).json()["position"]
    client.get(f"/mindscapes/{person}", headers=at(position))
    path, found, after = f"/mindscapes/{person}/traits/work.commit_size/evidence", [], None
    while True:
        page = client.get(path, params={"limit": 2, **({"after": after} if after else {})}).json()
        found += [item["id"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert found == [id_ for id_, merge in reversed(sent) if not merge]  # merges have no size of their own
    # and it is told which versions changed the trait, from which the newest is what is shown
    newest = page["history"][0]
    assert newest["trait"]["value"] == page["trait"]["value"]
    assert (newest["agent"], newest["use"], page["pin"]) == ("mindscaper", None, None)
    assert "read" in newest["reason"]


def test_the_evidence_of_a_pinned_trait_says_who_pinned_it_and_what_lies_beneath(client: Client) -> None:
    client.get(f"/mindscapes/{PERSON}", headers=at(observe(client, "Java")))
    pin(client, "Rust")
    shown = client.get(f"/mindscapes/{PERSON}/traits/{PATH}/evidence").json()
    assert (shown["trait"]["value"], shown["pin"]["reason"]) == ("Rust", "I say so")
    assert shown["history"][0]["trait"]["value"] == "Rust"
    assert shown["items"][0]["content"]["languages"] == ["Java"]
    assert client.get(f"/mindscapes/{PERSON}/traits/no.such/evidence").status_code == 404


def test_a_mapper_may_read_what_is_pinned_and_nowhere_derived(client: Client) -> None:
    observe(client, "Python")
    suggested = {"type": "x", "title": "t", "description": "d"}
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

    def warned() -> bool:
        warnings = client.post("/mappers/validate", json=document).json()["warnings"]
        return any("mood.level" in each["message"] for each in warnings)

    assert warned()
    pin(client, 3, "mood.level")
    assert not warned()


def test_a_pin_of_a_large_number_is_recognised_again(client: Client) -> None:
    observe(client, "Python")
    first = pin(client, 1e25, path="wealth")
    again = pin(client, 1e25, path="wealth")
    assert (first.status_code, again.status_code) == (200, 200)
    evidence = client.get(f"/mindscapes/{PERSON}/traits/wealth/evidence").json()
    assert len(evidence["history"]) == 1, evidence["history"]
    assert again.json()["traits"]["wealth"]["value"] == 1e25


def test_pins_are_bounded_and_it_is_said(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    observe(client, "Python")
    pins = len(pin(client, 1, path="bounded").json()["pins"])
    monkeypatch.setattr(curation, "MOST_PINS", pins)
    refused = pin(client, 1, path="one_too_many")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:personakit:problem:too-many-pins")
    assert "unpin one" in refused.json()["detail"]
    assert pin(client, 2, path="bounded").status_code == 200


def test_what_a_model_set_below_a_path_that_is_pinned_later_is_hidden_from_readers(
    client: Client, service: Service
) -> None:
    client.get(f"/mindscapes/{PERSON}", headers=at(observe(client, "Python")))
    found = service.people.find("default", PERSON)
    assert found is not None
    stream = StreamId("default", "mindscape", found.surrogate)
    said = MindscapeUpdated(
        traits={"taste.food.sweet": Trait(value="much", volatility="low", source="anthropic:m")},
        derivation="anthropic",
        definition="m",
        read_through=1,
        material=("taste.food.sweet",),
    )
    start = Loaded(EMPTY, 0)
    position = service.streams.update(stream, start, evolve, lambda _: said, person=found.surrogate).position
    shown = client.get(f"/mindscapes/{PERSON}", headers=at(position or 0)).json()["traits"]
    assert shown["taste.food.sweet"]["value"] == "much"
    core = client.post(f"/personas/{PERSON}/regenerate").json()
    assert "taste.food.sweet" in core["core"]["traits"]
    pinned = pin(client, {"sweet": "little"}, path="taste.food").json()
    assert "taste.food.sweet" not in pinned["traits"]
    persona = client.get(f"/personas/{PERSON}", headers=at(pinned["position"])).json()
    assert persona["isStale"] is True
    fresh = client.post(f"/personas/{PERSON}/regenerate").json()["core"]["traits"]
    assert fresh["taste.food"]["value"] == {"sweet": "little"}
    assert "taste.food.sweet" not in fresh
