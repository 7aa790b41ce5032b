"""Two tenants over one service: neither sees, changes or shares anything of the other's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from httpx import Response
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.eventlog.access import create_key, create_tenant
from tests.integration.conftest import Client

START = datetime(2026, 3, 2, 21, 15, tzinfo=UTC)
CANARY = "canary7f3a"
BOTH, ALDERS = "ada", "only_alders"
"""Ids that both tenants use, and ids that only Alder does; each stands for a person and for a mapper."""


def member(service: Service, tenant: str) -> Iterator[Client]:
    create_tenant(service.recorder, tenant, tenant)
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {create_key(service.recorder, tenant, 'test')}"
        yield client


@pytest.fixture(scope="module")
def alder(service: Service) -> Iterator[Client]:
    yield from member(service, "alder")


@pytest.fixture(scope="module")
def birch(service: Service) -> Iterator[Client]:
    yield from member(service, "birch")


def commit(person: str, day: int = 0, **content: Any) -> dict[str, Any]:
    values = {"lines_changed": 40, "files_changed": 2, "languages": ["Python"], "merge": False, **content}
    return {
        "id": str(uuid4()),
        "personId": person,
        "type": "code_commit",
        "content": values,
        "occurredAt": (START + timedelta(days=day)).isoformat(),
    }


def mapper(id_: str, text: str, version: str = "1.0.0", rule: str = "always") -> dict[str, Any]:
    """A mapper that suggests to everyone, with `text` wherever a document takes free text."""
    suggestion = {
        "type": "note",
        "template": "said",
        "parameters": {"language": {"from_trait": "work.main_language", "default": text}},
    }
    return {
        "metadata": {"id": id_, "version": version, "name": text, "description": text, "author": text},
        "rules": [
            {
                "id": rule,
                "description": text,
                "conditions": {"trait_check": {"path": "work.commits", "operator": "exists"}},
                "actions": [{"generate_suggestion": suggestion}],
            }
        ],
        "templates": {
            "said": {"title": text, "description": f"{text} {{language}}", "metadata": {"why": text}}
        },
    }


def traits_document(id_: str, text: str) -> dict[str, Any]:
    """Computed traits with `text` wherever a document takes free text."""
    trait = {"path": f"told.{id_}", "aggregate": "count", "volatility": "low"}
    return {
        "metadata": {"id": id_, "version": "1.0.0", "description": text, "author": text},
        "observes": "code_commit",
        "traits": [trait],
        "tests": [{"name": text, "given": {"observations": []}, "expect": {"traits": {}}}],
    }


def record(client: Client, *observations: dict[str, Any]) -> None:
    """Records observations; everything that `client` reads afterwards reflects them."""
    answer = client.post("/observations/batch", json=list(observations))
    assert {result["status"] for result in answer.json()["results"]} == {"stored"}, answer.text
    client.headers["PersonaKit-Min-Position"] = answer.headers["PersonaKit-Position"]


@pytest.fixture(scope="module")
def histories(service: Service, alder: Client, birch: Client) -> None:
    """Alder and Birch know a person and have a mapper under the same id; Alder has one more of each."""
    for id_ in (BOTH, ALDERS):
        assert alder.post("/mappers", json=mapper(id_, "Alder says")).status_code == 201
        record(alder, *(commit(id_, day) for day in range(4)))
    assert alder.post("/computed-traits", json=traits_document(ALDERS, "Alder says")).status_code == 201
    assert birch.post("/mappers", json=mapper(BOTH, "Birch says")).status_code == 201
    record(birch, *(commit(BOTH, day, languages=["Rust"]) for day in range(3)))
    settle(service, alder, BOTH, ALDERS)
    settle(service, birch, BOTH)


def settle(service: Service, client: Client, *personas: str) -> None:
    """Makes cores, and lets `client` see them: nothing is still to come of what it recorded."""
    for persona in personas:
        assert client.post(f"/personas/{persona}/regenerate").status_code == 200
    client.headers["PersonaKit-Min-Position"] = str(service.reader.head())


def traits_of(client: Client, person: str) -> dict[str, Any]:
    answer = client.get(f"/mindscapes/{person}")
    assert answer.status_code == 200, answer.text
    return {path: trait["value"] for path, trait in answer.json()["traits"].items()}


def suggestions(client: Client, mapper_id: str, persona: str) -> list[dict[str, Any]]:
    answer = client.get("/map-persona", params={"mapperId": mapper_id, "personaId": persona})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["suggestions"])


def synced(client: Client, **query: str) -> dict[str, Any]:
    answer = client.get("/sync", params={"limit": "500", **query})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.usefixtures("histories")
def test_sync_gives_a_tenant_its_own_alone(alder: Client, birch: Client) -> None:
    def names(client: Client) -> set[tuple[str, str]]:
        return {(item["kind"], item["id"]) for item in synced(client)["items"]}

    assert names(birch) == {("mapper", BOTH), ("persona", BOTH)}
    assert {("mapper", ALDERS), ("persona", ALDERS)} < names(alder)
    texts = [
        item["body"]["document"]["metadata"]["name"]
        for item in synced(birch)["items"]
        if item["kind"] == "mapper"
    ]
    assert texts == ["Birch says"]


@pytest.mark.usefixtures("histories")
def test_a_cursor_of_another_tenant_is_gone(alder: Client, birch: Client) -> None:
    cursor = synced(alder)["next"]
    refused = birch.get("/sync", params={"since": cursor})
    assert refused.status_code == 410
    assert refused.json()["type"].endswith(":scope-changed")
    assert synced(alder, since=cursor)["intent"] == "none"


@pytest.mark.usefixtures("histories")
def test_what_happens_at_a_neighbours_changes_nothing_in_sync(alder: Client, birch: Client) -> None:
    cursor = synced(birch)["next"]
    record(alder, commit(BOTH, 50))
    birch.headers["PersonaKit-Min-Position"] = alder.headers["PersonaKit-Min-Position"]
    quiet = synced(birch, since=cursor)
    assert (quiet["intent"], quiet["items"]) == ("none", [])


READS = {
    "observations": ("/observations", {"personId": ALDERS}),
    "mindscape": (f"/mindscapes/{ALDERS}", {}),
    "history of a mindscape": (f"/mindscapes/{ALDERS}/history", {}),
    "persona": (f"/personas/{ALDERS}", {}),
    "export of a person": (f"/people/{ALDERS}/export", {}),
    "mapper": (f"/mappers/{ALDERS}", {}),
    "history of a mapper": (f"/mappers/{ALDERS}/versions", {}),
    "version of a mapper": (f"/mappers/{ALDERS}/versions/1", {}),
    "difference of versions": (f"/mappers/{ALDERS}/versions/1/diff", {}),
    "computed traits": (f"/computed-traits/{ALDERS}", {}),
    "history of computed traits": (f"/computed-traits/{ALDERS}/versions", {}),
    "own mapper, another's persona": ("/map-persona", {"mapperId": BOTH, "personaId": ALDERS}),
    "another's mapper, own persona": ("/map-persona", {"mapperId": ALDERS, "personaId": BOTH}),
    "another's mapper and persona": ("/map-persona", {"mapperId": ALDERS, "personaId": ALDERS}),
}


@pytest.mark.usefixtures("histories")
@pytest.mark.parametrize("name", READS)
def test_what_another_tenant_has_is_not_there(alder: Client, birch: Client, name: str) -> None:
    path, query = READS[name]
    assert birch.get(path, params=query).status_code == 404
    assert alder.get(path, params=query).status_code == 200


@pytest.mark.usefixtures("histories")
def test_another_tenants_things_cannot_be_changed(service: Service, alder: Client, birch: Client) -> None:
    head = service.reader.head()
    etag = alder.get(f"/mappers/{ALDERS}").headers["ETag"]
    remade = birch.post(f"/personas/{ALDERS}/regenerate")
    updated = birch.put(
        f"/mappers/{ALDERS}", json=mapper(ALDERS, "Birch was here", "2.0.0"), headers={"If-Match": etag}
    )
    weighed = birch.patch(f"/mappers/{ALDERS}/rules/always", json={"weight": 2})
    restored = birch.post(f"/mappers/{ALDERS}/versions/1/publish")
    withdrawn = birch.delete(f"/mappers/{ALDERS}")
    traits = birch.put(f"/computed-traits/{ALDERS}", json=traits_document(ALDERS, "Birch was here"))
    gone = birch.delete(f"/computed-traits/{ALDERS}")
    answers = [remade, updated, weighed, restored, withdrawn, traits, gone]
    assert [each.status_code for each in answers] == [404] * 7
    assert service.reader.head() == head


@pytest.mark.usefixtures("histories")
@pytest.mark.parametrize(("mapper_id", "persona"), [(BOTH, ALDERS), (ALDERS, BOTH), (ALDERS, ALDERS)])
def test_feedback_on_another_tenants_suggestion_is_refused(
    service: Service, alder: Client, birch: Client, mapper_id: str, persona: str
) -> None:
    suggestion = suggestions(alder, mapper_id, persona)[0]["id"]
    head = service.reader.head()
    refused = birch.post("/feedback", json={"suggestionId": suggestion, "helpful": True})
    assert refused.status_code == 404
    assert service.reader.head() == head


@pytest.mark.usefixtures("histories")
def test_feedback_stays_with_the_tenant_that_gave_it(service: Service, alder: Client, birch: Client) -> None:
    """A suggestion's id is no secret; where both have such a person and rule, it means one's own."""
    suggestion = suggestions(alder, BOTH, BOTH)[0]["id"]
    given = birch.post("/feedback", json={"suggestionId": suggestion, "rating": 2})
    assert given.status_code == 201
    service.reader.wait_for_projections(given.json()["position"], 10)
    with service.reader.snapshot_of_all() as snapshot:
        found = {
            tenant: snapshot.rows("feedback.by_rule", tenant=tenant, mapper_id=BOTH, rule_id="always")
            for tenant in ("alder", "birch")
        }
    assert [row["rating"] for row in found["birch"]] == [2]
    assert found["alder"] == []


def test_one_idempotency_key_in_two_tenants_is_two_observations(alder: Client, birch: Client) -> None:
    body = {name: value for name, value in commit("keyed").items() if name != "id"}
    answers = [
        client.post("/observations", json=body, headers={"Idempotency-Key": "k-1"})
        for client in (alder, birch, alder)
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 200]
    assert answers[0].json()["id"] != answers[1].json()["id"]
    assert answers[0].json()["id"] == answers[2].json()["id"]


def test_one_observation_id_in_two_tenants_is_two_observations(alder: Client, birch: Client) -> None:
    body = commit("same")
    record(alder, body)
    record(birch, body | {"type": "something_else"})
    listed = [
        client.get("/observations", params={"personId": "same"}).json()["items"] for client in (alder, birch)
    ]
    assert [[item["id"] for item in items] for items in listed] == [[body["id"]], [body["id"]]]
    assert [items[0]["type"] for items in listed] == ["code_commit", "something_else"]
    assert listed[0][0]["position"] != listed[1][0]["position"]


def test_one_person_id_in_two_tenants_is_two_people(service: Service, alder: Client, birch: Client) -> None:
    record(alder, *(commit("twin", day) for day in range(4)))
    record(birch, *(commit("twin", day, languages=["Rust"]) for day in range(3)))
    people = [service.people.find(tenant, "twin") for tenant in ("alder", "birch")]
    assert None not in people
    assert people[0] != people[1]
    traits = [traits_of(client, "twin") for client in (alder, birch)]
    assert [found["work.commits"] for found in traits] == [4, 3]
    assert [found["work.main_language"] for found in traits] == ["Python", "Rust"]


@pytest.mark.usefixtures("histories")
def test_one_mapper_id_in_two_tenants_is_two_mappers(alder: Client, birch: Client) -> None:
    next_version = mapper(BOTH, "Birch says more", "1.1.0")
    assert birch.post("/mappers", json=next_version).json()["version"] == 2
    shown = [client.get(f"/mappers/{BOTH}").json() for client in (alder, birch)]
    listed = [{item["id"] for item in client.get("/mappers").json()["items"]} for client in (alder, birch)]
    versions = [client.get(f"/mappers/{BOTH}/versions").json()["items"] for client in (alder, birch)]
    assert [one["version"] for one in shown] == [1, 2]
    assert [one["document"]["metadata"]["name"] for one in shown] == ["Alder says", "Birch says more"]
    assert [len(items) for items in versions] == [1, 2]
    assert birch.delete(f"/mappers/{BOTH}").status_code == 200
    assert alder.get(f"/mappers/{BOTH}").json()["status"] == "active"
    found = [client.get("/mappers", params={"suggestionType": "note"}).json() for client in (alder, birch)]
    assert [BOTH in [item["id"] for item in page["items"]] for page in found] == [True, False]
    assert birch.post(f"/mappers/{BOTH}/versions/2/publish").json()["version"] == 4
    assert {BOTH, ALDERS} <= listed[0]
    assert listed[1] == {BOTH}
    assert [suggestions(client, BOTH, BOTH)[0]["title"] for client in (alder, birch)] == [
        "Alder says",
        "Birch says more",
    ]


def get_routes(client: Client, id_: str, suggestion: str, **more: str) -> dict[str, Response]:
    """The answer of every GET route of the service, asked about whatever `id_` and `suggestion` name."""
    query = {"personId": id_, "personaId": id_, "mapperId": id_, "explain": "true", "limit": "20"}
    query |= {"detailLevel": "deep_dive", **more}
    gets = [
        route.path_format
        for route in client.app.routes
        if isinstance(route, HTTPRoute) and "GET" in route.methods
    ]
    named = {"suggestionId": suggestion, "path": "work.main_language"}
    filled = {path: re.sub("{(.*?)}", lambda found: named.get(found[1], id_), path) for path in gets}
    return {re.sub("{.*?}", "…", path): client.get(address, params=query) for path, address in filled.items()}


def reveals(answer: Response) -> bool:
    return CANARY in answer.text or any(CANARY in value for value in answer.headers.values())


def test_no_route_gives_a_tenant_a_word_of_another(service: Service, alder: Client, birch: Client) -> None:
    """Alder writes a canary into every free text there is. Ids of Alder's that would be repeated to whoever
    names them bear none; one person and one mapper besides have it for their id, to be found in lists."""
    shared, theirs = "robin", "wren"
    suggested = {}
    for id_ in (shared, theirs, CANARY):
        published = alder.post("/mappers", json=mapper(id_, CANARY))
        assert published.status_code == 201, published.text
        document = traits_document(id_, CANARY)
        assert alder.post("/computed-traits", json=document, params={"reason": CANARY}).status_code == 201
        told = {"languages": [CANARY], "message": CANARY, CANARY: {"deep": [CANARY]}}
        texts = {"metadata": {CANARY: CANARY}, "source": CANARY}
        record(alder, *(commit(id_, day, **told) | texts for day in range(4)))
        suggested[id_] = suggestion = suggestions(alder, id_, id_)[0]["id"]
        given = alder.post("/feedback", json={"suggestionId": suggestion, "helpful": True, "comment": CANARY})
        assert given.status_code == 201, given.text
        agreed = {"purposes": [CANARY], "reason": CANARY}
        assert alder.put(f"/people/{id_}/consent", json=agreed).status_code == 200
    assert alder.put("/consent-policy", json={"policy": "off", "reason": CANARY}).status_code == 200
    assert birch.post("/mappers", json=mapper(shared, "Birch says")).status_code == 201
    assert birch.post("/computed-traits", json=traits_document(shared, "Birch says")).status_code == 201
    record(birch, *(commit(shared, day) for day in range(4)))
    settle(service, alder, shared, theirs, CANARY)
    settle(service, birch, shared)
    alder.headers["PersonaKit-Min-Position"] = birch.headers["PersonaKit-Min-Position"]

    told_alder = get_routes(alder, shared, suggested[shared])
    assert {path for path, answer in told_alder.items() if reveals(answer)} == {
        "/observations",
        "/mindscapes/…",
        "/mindscapes/…/history",
        "/mindscapes/…/traits/…/evidence",
        "/people",
        "/people/…/export",
        "/personas",
        "/personas/…",
        "/suggestions/…",
        "/map-persona",
        "/people/…/consent",
        "/consent-policy",
        "/mappers",
        "/mappers/…",
        "/computed-traits",
        "/computed-traits/…",
        "/computed-traits/…/versions",
        "/sync",
    }
    then = {"asOf": str(service.reader.head())}
    past = {
        path
        for path, answer in get_routes(alder, shared, suggested[shared], **then).items()
        if reveals(answer)
    }
    assert {"/mindscapes/…", "/personas/…"} <= past
    for id_, more in product((shared, theirs), ({}, then)):
        told_birch = get_routes(birch, id_, suggested[id_], **more)
        assert told_birch.keys() == told_alder.keys()
        assert {answer.status_code for answer in told_birch.values()} <= {200, 404}
        assert [path for path, answer in told_birch.items() if reveals(answer)] == []
    own = suggestions(birch, shared, shared)[0]["id"]
    assert statuses(get_routes(birch, shared, own)) == statuses(told_alder)


def statuses(answers: dict[str, Response]) -> dict[str, int]:
    return {path: answer.status_code for path, answer in answers.items()}
