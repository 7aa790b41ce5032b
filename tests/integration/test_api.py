"""Every endpoint, with real data: what it answers when it is used as it should be."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from personakit.agents.service import Service
from personakit_sdk import wire
from tests.integration.conftest import Client

START = datetime(2026, 3, 2, 21, 15, tzinfo=UTC)


def commit(person: str, day: int = 0, **content: Any) -> dict[str, Any]:
    values = {"lines_changed": 40, "files_changed": 2, "languages": ["Python"], "merge": False, **content}
    return {
        "id": str(uuid4()),
        "personId": person,
        "type": "code_commit",
        "content": values,
        "occurredAt": (START + timedelta(days=day)).isoformat(),
        "source": "test",
    }


def record(client: Client, *observations: dict[str, Any]) -> int:
    """Records observations and returns the position they are at."""
    answer = client.post("/observations/batch", json=list(observations))
    assert answer.status_code == 200, answer.text
    assert {result["status"] for result in answer.json()["results"]} == {"stored"}
    return int(answer.headers["PersonaKit-Position"])


def at_least(position: int) -> dict[str, str]:
    return {"PersonaKit-Min-Position": str(position)}


@pytest.fixture(scope="module")
def ada(client: Client) -> int:
    """A person with a history; the position that it reaches to."""
    return record(client, *(commit("ada", day, lines_changed=20 + day) for day in range(30)))


def test_an_observation_is_stored_once(client: Client) -> None:
    body = commit("once")
    first = client.post("/observations", json=body)
    again = client.post("/observations", json=body)
    other = client.post("/observations", json=body | {"type": "something_else"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.json()["status"] == "stored"
    assert again.json() == first.json() | {"status": "duplicate"}
    assert first.headers["PersonaKit-Position"] == str(first.json()["position"])
    assert "never changes" in other.json()["detail"]


def test_an_idempotency_key_stands_for_a_missing_id(client: Client) -> None:
    body = {key: value for key, value in commit("keyed").items() if key != "id"}
    answers = [client.post("/observations", json=body, headers={"Idempotency-Key": "k-1"}) for _ in range(2)]
    without = client.post("/observations", json=body)
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert without.status_code == 201
    assert without.json()["id"] != answers[0].json()["id"]


def test_a_batch_answers_in_order_and_rejects_the_bad_alone(client: Client) -> None:
    good, bad, nameless = commit("batch"), commit("batch") | {"type": 7}, commit("batch")
    del nameless["id"]
    results = client.post("/observations/batch", json=[good, bad, nameless, good]).json()["results"]
    assert [result["status"] for result in results] == ["stored", "rejected", "rejected", "duplicate"]
    assert results[1]["id"] == bad["id"]
    assert results[1]["problem"]["errors"][0]["pointer"] == "/type"
    assert "needs an id" in results[2]["problem"]["detail"]


def test_a_batch_may_be_ndjson(client: Client) -> None:
    lines = b"\n".join(msgspec.json.encode(commit("lines")) for _ in range(3))
    answer = client.post(
        "/observations/batch", content=lines, headers={"Content-Type": "application/x-ndjson"}
    )
    assert [result["status"] for result in answer.json()["results"]] == ["stored"] * 3


def test_observations_are_listed_in_pages(client: Client, ada: int) -> None:
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        query = {"personId": "ada", "limit": "7", **after}
        page = client.get("/observations", params=query, headers=at_least(ada)).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert len(seen) == len(set(seen)) == 30


def test_a_mindscape_has_traits_with_their_evidence(client: Client, ada: int) -> None:
    mindscape = client.get("/mindscapes/ada", headers=at_least(ada)).json()
    hours = mindscape["traits"]["work.commit_hours"]
    assert mindscape["version"] >= 1
    assert hours["value"]["peak"] == 21
    assert hours["samples"] == 30
    assert len(hours["evidence"]) == 20
    assert 0 < hours["confidence"] <= 1
    assert hours["source"].startswith("computed:")
    assert "state" not in hours
    assert mindscape["derivedThrough"]["computed"] >= ada


def test_a_persona_has_a_core_and_an_overlay(client: Client, ada: int) -> None:
    persona = client.get("/personas/ada", headers=at_least(ada)).json()
    assert persona["id"] == "ada"
    assert persona["people"] == ["ada"]
    assert "work.commit_hours" in persona["core"]["traits"]
    assert "work.recent_commit_size" in persona["overlay"]
    assert persona["core"]["source"] == "composed"
    assert "work commit hours" in persona["core"]["summary"].lower()


def test_mapping_gives_suggestions_from_the_persons_own_numbers(client: Client, ada: int) -> None:
    query = {"mapperId": "work_rhythm", "personaId": "ada"}
    answer = client.get("/map-persona", params=query, headers=at_least(ada))
    mapped = msgspec.json.decode(answer.content, type=wire.MapAnswer)
    assert mapped.suggestions
    assert mapped.mapper.id == "work_rhythm"
    assert mapped.freshness.derived_through["ada"]["computed"] >= ada
    assert mapped.regenerate.href == "/personas/ada/regenerate"
    texts = " ".join(suggestion.description for suggestion in mapped.suggestions)
    assert "21" in texts


def test_mapping_by_body_and_by_query_is_the_same(client: Client, ada: int) -> None:
    at = "2026-04-10T09:00:00+02:00"
    ask = {"mapperId": "work_rhythm", "personaId": "ada", "detailLevel": "deep_dive", "at": at}
    by_query = client.get("/map-persona", params=ask, headers=at_least(ada)).json()
    by_body = client.post("/map-persona", json=ask, headers=at_least(ada)).json()
    assert by_query["suggestions"] == by_body["suggestions"]
    assert by_query["suggestions"]


def test_detail_levels_and_limits_cut_the_suggestions(client: Client, ada: int) -> None:
    def count(**ask: str) -> int:
        query = {"mapperId": "work_rhythm", "personaId": "ada", **ask}
        return len(client.get("/map-persona", params=query, headers=at_least(ada)).json()["suggestions"])

    assert count(limit="1") == 1
    assert count(detailLevel="instant") <= 3
    assert count(detailLevel="deep_dive") >= count(detailLevel="balanced") >= count(detailLevel="instant")


def test_explaining_says_of_every_rule_why(client: Client, ada: int) -> None:
    query = {"mapperId": "work_rhythm", "personaId": "ada", "explain": "true"}
    answer = client.get("/map-persona", params=query, headers=at_least(ada)).json()
    plain = client.get("/map-persona", params=query | {"explain": "false"}, headers=at_least(ada)).json()
    assert answer["explanation"]
    assert "explanation" not in plain


def values(persona: dict[str, Any]) -> dict[str, Any]:
    """The core's traits without their confidence, which falls with age."""
    return {path: trait["value"] for path, trait in persona["core"]["traits"].items()}


def test_a_core_goes_stale_is_served_refused_or_made_anew(client: Client, service: Service) -> None:
    position = record(client, *(commit("eve", day) for day in range(5)))
    ask = {"mapperId": "work_rhythm", "personaId": "eve"}
    made = client.post("/personas/eve/regenerate", headers=at_least(position))
    before = client.get("/personas/eve").json()
    assert made.status_code == 200
    assert (before["coreVersion"] >= 1, before["isStale"]) == (True, False)

    later = record(
        client, *(commit("eve", 60 + day, languages=["Rust"], lines_changed=900) for day in range(40))
    )
    stale = client.get("/personas/eve", headers=at_least(later)).json()
    assert stale["isStale"] is True
    assert "work.main_language" in stale["changedTraits"]
    assert values(stale) == values(before)
    assert stale["core"]["summary"] == before["core"]["summary"]
    assert client.get("/map-persona", params=ask).json()["persona"]["isStale"] is True
    refused = client.get("/map-persona", params=ask | {"ifStale": "fail"})
    assert refused.status_code == 409
    assert "regenerate" in refused.json()["detail"]

    fresh = client.get("/map-persona", params=ask | {"ifStale": "regenerate"}).json()
    assert fresh["persona"]["isStale"] is False
    assert fresh["persona"]["coreVersion"] == before["coreVersion"] + 1
    again = client.post("/personas/eve/regenerate").json()
    assert again["coreVersion"] == before["coreVersion"] + 1


def test_feedback_on_a_suggestion_finds_its_rule(client: Client, service: Service, ada: int) -> None:
    query = {"mapperId": "work_rhythm", "personaId": "ada"}
    suggestion = client.get("/map-persona", params=query, headers=at_least(ada)).json()["suggestions"][0]
    sent = {"id": str(uuid4()), "suggestionId": suggestion["id"], "helpful": True, "comment": "did it"}
    first, again = client.post("/feedback", json=sent), client.post("/feedback", json=sent)
    named = client.post(
        "/feedback",
        json={"mapperId": "work_rhythm", "ruleId": suggestion["ruleId"], "personaId": "ada", "rating": 4},
    )
    assert [answer.status_code for answer in (first, again, named)] == [201, 200, 201]
    service.reader.wait_for("default", named.json()["position"], 5)
    with service.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows(
            "feedback.by_rule", tenant="default", mapper_id="work_rhythm", rule_id=suggestion["ruleId"]
        )
    assert [(row["helpful"], row["rating"], row["rank"]) for row in rows] == [
        (True, None, rows[0]["rank"]),
        (None, 4, None),
    ]
    assert rows[0]["rank"] is not None


def mapper(version: str = "1.0.0", weight: float = 1.0, id_: str = "tiny") -> dict[str, Any]:
    return {
        "metadata": {"id": id_, "version": version, "description": "For tests"},
        "rules": [
            {
                "id": "always",
                "conditions": {"trait_check": {"path": "work.commits", "operator": "exists"}},
                "actions": [{"generate_suggestion": {"type": "t", "title": "Hello", "description": "There"}}],
                "weight": weight,
            }
        ],
    }


def test_mappers_are_uploaded_updated_and_listed_with_their_history(client: Client) -> None:
    created = client.post("/mappers", json=mapper())
    same = client.post("/mappers", json=mapper())
    updated = client.put(
        "/mappers/tiny", json=mapper("1.1.0", 2.0), headers={"If-Match": created.headers["ETag"]}
    )
    lost = client.put(
        "/mappers/tiny", json=mapper("1.2.0", 3.0), headers={"If-Match": created.headers["ETag"]}
    )
    lower = client.post("/mappers", json=mapper("1.0.5", 3.0))
    assert [a.status_code for a in (created, same, updated, lost, lower)] == [201, 200, 200, 412, 409]
    assert (created.json()["version"], same.json()["version"], updated.json()["version"]) == (1, 1, 2)
    assert client.get("/mappers/tiny").json()["document"]["rules"][0]["weight"] == 2.0

    versions = client.get("/mappers/tiny/versions").json()["items"]
    assert [(v["version"], v["status"], v["authorVersion"]) for v in versions] == [
        (2, "active", "1.1.0"),
        (1, "deprecated", "1.0.0"),
    ]
    listed = [item["id"] for item in client.get("/mappers").json()["items"]]
    assert {"tiny", "work_rhythm"} <= set(listed)
    assert listed == sorted(listed)


def test_a_draft_is_kept_and_not_served(client: Client) -> None:
    drafted = client.post("/mappers", params={"status": "draft"}, json=mapper(id_="drafted"))
    assert (drafted.status_code, drafted.json()["status"]) == (201, "draft")
    record(client, commit("dora"))
    ask = {"mapperId": "drafted", "personaId": "dora"}
    assert client.get("/map-persona", params=ask).status_code == 404
    assert client.post("/mappers", json=mapper(id_="drafted")).json()["status"] == "active"
    assert client.get("/map-persona", params=ask).status_code == 200


def test_a_mapper_may_be_yaml(client: Client) -> None:
    text = """
metadata: {id: in_yaml, version: 1.0.0, description: A mapper in YAML}
rules:
  - id: always
    conditions: {trait_check: {path: work.commits, operator: exists}}
    actions: [{generate_suggestion: {type: t, title: Hello, description: There}}]
"""
    answer = client.post("/mappers", content=text, headers={"Content-Type": "application/yaml"})
    assert answer.status_code == 201
    assert answer.json()["document"]["metadata"]["id"] == "in_yaml"


def until_at_rest(service: Service) -> None:
    """Returns when nothing of what was recorded is still to be followed, derived or made a core of."""
    deadline = time.monotonic() + 20
    while not at_rest(service):
        assert time.monotonic() < deadline, "the agents never come to rest"
        time.sleep(0.01)


def at_rest(service: Service) -> bool:
    with service.reader.snapshot_of_all() as snapshot:
        due = snapshot.rows("derivation_due.due_buckets", **service.rules.asked(snapshot))
        without_core = snapshot.rows("personas.without_core", limit=1)
        position = snapshot.position
    # The head is asked for last: what an agent appends on the way lies beyond the snapshot's position.
    return not due and not without_core and position == service.reader.head()


@pytest.mark.usefixtures("ada")
def test_sync_gives_everything_then_only_what_changed(client: Client, service: Service) -> None:
    """Everything is up to date only when all read models are at one position: as long as the history of
    the tests before is still being folded, a client is told to ask again."""

    def pull(since: str | None = None, **query: str) -> dict[str, Any]:
        params = {**query, **({"since": since} if since else {})}
        answer = client.get("/sync", params=params)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    until_at_rest(service)
    everything = pull(limit="500")
    names = {(item["kind"], item["id"]) for item in everything["items"]}
    assert {("mapper", "work_rhythm"), ("persona", "ada")} <= names
    assert (everything["intent"], everything["upToDate"]) == ("full", True)
    quiet = pull(everything["next"])
    assert (quiet["intent"], quiet["items"], quiet["upToDate"]) == ("none", [], True)

    before = datetime.now(UTC)
    position = record(client, commit("ada", 90))
    client.get("/mappers", headers=at_least(position))
    changed = pull(everything["next"])
    ids = {item["id"] for item in changed["items"]}
    assert "ada" in ids
    assert not ids & {"once", "keyed", "work_rhythm"}
    by_time = pull((before - timedelta(seconds=1)).isoformat())
    assert "ada" in {item["id"] for item in by_time["items"]}
    body = next(item["body"] for item in changed["items"] if item["id"] == "ada")
    assert "work.commit_hours" in body["core"]["traits"]
    assert not {"state", "confidence"} & body["core"]["traits"]["work.commit_hours"].keys()

    paged: list[str] = []
    page = pull(limit="2")
    while page["hasMore"]:
        paged += [item["id"] for item in page["items"]]
        page = pull(page["next"], limit="2")
    assert {name for _, name in names} <= {*paged, *(item["id"] for item in page["items"])}


def test_health_says_how_far_each_projection_is_behind(client: Client) -> None:
    assert client.get("/health/live").json()["status"] == "ok"
    ready = client.get("/health/ready").json()
    assert set(ready["checks"]) == {
        "log",
        "observations",
        "mindscapes",
        "personas",
        "mappers",
        "mapper_versions",
        "feedback",
        "changes",
        "derivation_due",
        "inference_due",
        "model_use",
        "model",
        "roles",
        "computed_traits",
        "consents",
        "votes",
    }
