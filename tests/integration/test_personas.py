"""Personas that were created: of several people, of some of their traits; stale exactly when they depend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personakit.agents.service import Service
from personakit.domain.events import MindscapeUpdated, PersonaDefined
from personakit.domain.persona import Definition
from personakit.domain.traits import Trait
from personakit.eventlog.stored import StreamId
from tests.integration.conftest import Client, follow
from tests.postgres import MASTER_KEY

TENANT = "default"
START = datetime(2026, 3, 2, 19, tzinfo=UTC)
PATHS = ("work.a", "work.b", "play", "work")
PATTERNS = ("work.*", "work.a", "play", "rest.*", "work")
numbers = count()


@pytest.fixture(scope="module")
def people(client: Client) -> list[str]:
    """Two who commit in the evening, in different languages."""
    position = "0"
    for person, language in (("ada", "Python"), ("bob", "Rust")):
        days = [
            {
                "id": str(uuid4()),
                "personId": person,
                "type": "code_commit",
                "content": {"lines_changed": 20, "languages": [language], "merge": False},
                "occurredAt": (START + timedelta(days=day)).isoformat(),
            }
            for day in range(20)
        ]
        position = client.post("/observations/batch", json=days).headers["PersonaKit-Position"]
    client.get("/mindscapes/ada", headers={"PersonaKit-Min-Position": position})
    return ["ada", "bob"]


def created(client: Client, *people: str, **more: Any) -> dict[str, Any]:
    answer = client.post("/personas", json={"people": list(people), **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_a_persona_of_two_is_mapped_as_one(client: Client, people: list[str]) -> None:
    pair = created(client, "bob", "ada", name="The two of us", uses=["work.*"])
    assert (pair["id"][0], pair["people"], pair["name"], pair["uses"]) == (
        "~",
        ["bob", "ada"],
        "The two of us",
        ["work.*"],
    )
    assert pair["core"]["traits"]["work.main_language"]["value"] == "Rust"
    assert (
        client.get(f"/personas/{pair['id']}").json()["core"]["traits"].keys() == pair["core"]["traits"].keys()
    )
    made = client.post(f"/personas/{pair['id']}/regenerate").json()
    assert (made["coreVersion"], made["isStale"]) == (1, False)
    mapped = client.post("/map-persona", json={"mapperId": "work_rhythm", "personaId": pair["id"]}).json()
    assert mapped["suggestions"]
    assert mapped["freshness"]["mindscapeVersions"].keys() == {"ada", "bob"}


def test_another_definition_makes_its_core_stale_and_the_same_one_does_not(
    client: Client, people: list[str]
) -> None:
    pair = created(client, "ada", "bob")
    path = f"/personas/{pair['id']}"
    client.post(f"{path}/regenerate")
    same = client.put(path, json={"people": ["ada", "bob"]}).json()
    assert same["isStale"] is False
    other = client.put(path, json={"people": ["ada"], "uses": ["work.commits"]}).json()
    assert (other["isStale"], other["people"], other["coreVersion"]) == (True, ["ada"], 1)
    asked = {"mapperId": "work_rhythm", "personaId": pair["id"], "ifStale": "fail"}
    assert "changed since: its definition." in client.post("/map-persona", json=asked).json()["detail"]
    fresh = client.post(f"{path}/regenerate").json()
    assert (fresh["isStale"], list(fresh["core"]["traits"])) == (False, ["work.commits"])
    # and its past is told, with whom it viewed then
    before = client.get(path, params={"asOf": pair["position"]}).json()
    assert (before["people"], before["coreVersion"]) == (["ada", "bob"], 0)
    assert client.get(path, params={"asOf": fresh["position"]}).json()["people"] == ["ada"]
    assert client.get(path, params={"asOf": 1}).status_code == 404


def test_the_past_of_a_persona_has_the_name_that_it_had(client: Client, people: list[str]) -> None:
    pair = created(client, "ada", "bob", name="The two of us")
    path = f"/personas/{pair['id']}"
    client.put(path, json={"people": ["ada", "bob"], "name": "Both"})
    assert client.get(path, params={"asOf": pair["position"]}).json()["name"] == "The two of us"
    assert client.get(path, params={"asOf": datetime.now(UTC).isoformat()}).json()["name"] == "Both"


def test_a_created_persona_is_no_person_and_has_one_id(client: Client, people: list[str]) -> None:
    pair = created(client, "ada", "bob")["id"]
    pinned = {"value": 1, "reason": "I say so"}
    for answer in (
        client.get(f"/mindscapes/{pair}"),
        client.get(f"/mindscapes/{pair}/history"),
        client.get("/observations", params={"personId": pair}),
        client.put(f"/mindscapes/{pair}/traits/work.a", json=pinned),
        client.get(f"/personas/{pair.upper()}"),
        client.get(f"/personas/{pair.replace('-', '')}"),
    ):
        assert answer.status_code == 404, answer.text
    # but there is feedback on what was suggested to it
    said = {"mapperId": "work_rhythm", "ruleId": "evening_builder", "personaId": pair, "helpful": True}
    assert client.post("/feedback", json=said).status_code == 201


def test_a_retired_persona_is_gone_and_synced_so(client: Client, people: list[str]) -> None:
    pair = created(client, "ada", "bob")
    cursor = client.get("/sync").json()["next"]
    gone = client.delete(f"/personas/{pair['id']}", params={"reason": "moved apart"})
    assert gone.json()["id"] == pair["id"]
    assert client.get(f"/personas/{pair['id']}").status_code == 404
    assert client.delete(f"/personas/{pair['id']}").status_code == 404
    items = {item["id"]: item for item in client.get("/sync", params={"since": cursor}).json()["items"]}
    assert items[pair["id"]]["op"] == "delete"
    assert "body" not in items[pair["id"]]


def test_what_is_synced_of_a_persona_of_two_changes_with_either(client: Client, people: list[str]) -> None:
    pair = created(client, "ada", "bob")
    cursor = client.get("/sync").json()["next"]
    client.put("/mindscapes/bob/traits/diet", json={"value": "vegan", "reason": "told me"})
    (item,) = [
        each
        for each in client.get("/sync", params={"since": cursor}).json()["items"]
        if each["id"] == pair["id"]
    ]
    assert item["body"]["people"] == ["ada", "bob"]
    assert item["body"]["mindscapeVersions"].keys() == {"ada", "bob"}


def test_personas_are_listed_page_by_page(client: Client, people: list[str]) -> None:
    pair = created(client, "ada", "bob", name="Us")
    found, after = [], ""
    while True:
        page = client.get("/personas", params={"limit": 2, "after": after}).json()
        found += page["items"]
        if page["next"] is None:
            break
        after = page["next"]
    ids = [each["id"] for each in found]
    assert ids == sorted(ids)
    assert {"ada", "bob", pair["id"]} <= set(ids)
    assert [each["name"] for each in found if each["id"] == pair["id"]] == ["Us"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"people": []}, 422, "people"),
        ({"people": ["nobody"]}, 404, "nobody"),
        ({"people": ["ada", "ada"]}, 422, "twice"),
        ({"people": ["ada"], "uses": ["a..b"]}, 422, "no path"),
        ({"people": ["ada"], "uses": ["*"]}, 422, "no path"),
        ({"people": ["ada"], "uses": ["work", "work.\u0007*"]}, 422, "/uses/1"),
        ({"people": ["ada"], "uses": ["work.\n.*"]}, 422, "no path"),
        ({"people": ["ada"], "uses": ["work.\ufffd"]}, 422, "no path"),
        ({"people": ["ada"], "uses": []}, 422, "uses"),
    ],
)
def test_what_is_no_persona_is_refused(
    client: Client, people: list[str], body: dict[str, Any], status: int, says: str
) -> None:
    refused = client.post("/personas", json=body)
    assert refused.status_code == status
    assert says in refused.json()["detail"]


def test_a_persons_own_persona_cannot_be_defined_or_retired(client: Client, people: list[str]) -> None:
    for answer in (client.put("/personas/ada", json={"people": ["ada"]}), client.delete("/personas/ada")):
        assert (answer.status_code, "own persona" in answer.json()["detail"]) == (422, True)
    assert client.put(f"/personas/~{uuid4()}", json={"people": ["ada"]}).status_code == 404


definitions = st.tuples(
    st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True),
    st.none() | st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2, unique=True),
)
updates = st.lists(
    st.tuples(st.integers(0, 2), st.sets(st.sampled_from(PATHS), max_size=2)), min_size=1, max_size=3
)


@pytest.fixture(scope="module")
def machine(database: str) -> Iterator[Service]:
    """A service of which nothing moves by itself."""
    service = Service(database, MASTER_KEY)
    yield service
    service.close()


def update(service: Service, person: UUID, version: int, material: set[str]) -> None:
    event = MindscapeUpdated(
        traits={path: Trait(value=version) for path in material},
        derivation="computed",
        definition="x",
        read_through=0,
        material=tuple(sorted(material)),
    )
    service.streams.offer(StreamId(TENANT, "mindscape", person), version, event, person=person).result(10)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(definitions, min_size=1, max_size=5), updates)
def test_exactly_the_cores_that_depend_on_what_changed_are_stale(
    machine: Service, graph: list[tuple[list[int], list[str] | None]], changes: Sequence[tuple[int, set[str]]]
) -> None:
    # given three people, each with a mindscape, and personas that view some of them, each with a core
    names = [f"p{next(numbers)}" for _ in range(3)]
    people = [each.surrogate for each in machine.people.register(TENANT, names).values()]
    for person in people:
        update(machine, person, 1, set(PATHS))
    made = {}
    for viewed, paths in graph:
        uses = None if paths is None else tuple(paths)
        definition = Definition(tuple(people[n] for n in viewed), uses)
        event = PersonaDefined(people=definition.people, paths=uses)
        made[machine.personas.create(TENANT, event).persona] = definition
    follow(machine)
    for persona in made:
        assert machine.regenerator.regenerate(TENANT, persona) is not None
    follow(machine)
    # when traits change materially
    versions = dict.fromkeys(people, 1)
    changed: set[tuple[UUID, str]] = set()
    for n, material in changes:
        versions[people[n]] += 1
        update(machine, people[n], versions[people[n]], material)
        changed |= {(people[n], path) for path in material}
    follow(machine)
    # then those are stale that view such a person and use such a trait, and no other
    with machine.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("personas.by_id", tenant=TENANT, personas=list(made))
    assert len(rows) == len(made)
    for row in rows:
        definition = made[row["persona"]]
        depends = {path for person, path in changed if person in definition.people and definition.uses(path)}
        assert (row["is_stale"], set(row["changed"] or [])) == (bool(depends), depends)
        past = machine.past.persona(TENANT, row["persona"], machine.reader.head(), own=False)
        assert past is not None
        assert (past.core.is_stale, set(past.core.changed)) == (bool(depends), depends)
    # and a fresh core ends it
    for persona, definition in made.items():
        machine.regenerator.regenerate(TENANT, persona)
        assert definition.people
    follow(machine)
    with machine.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("personas.by_id", tenant=TENANT, personas=list(made))
    assert not any(
        row["is_stale"]
        for row in rows
        if any(v > 1 for p, v in versions.items() if p in made[row["persona"]].people)
    )


def test_the_same_again_with_the_same_key_is_the_persona_that_was_made_first(
    client: Client, people: list[str]
) -> None:
    body = {"people": people, "name": "Once"}
    key = {"Idempotency-Key": str(uuid4())}
    first = client.post("/personas", json=body, headers=key)
    client.put(f"/personas/{first.json()['id']}", json={**body, "name": "Renamed"})
    again = client.post("/personas", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert (again.json()["id"], again.json()["name"]) == (first.json()["id"], "Renamed")
    for other in ({**body, "name": "Twice"}, {**body, "people": people[:1]}, {**body, "uses": ["work.*"]}):
        refused = client.post("/personas", json=other, headers=key)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:personakit:problem:id-taken")
    assert client.post("/personas", json=body).json()["id"] != first.json()["id"]


def test_eight_at_once_with_one_key_make_one(client: Client, people: list[str]) -> None:
    body, key = {"people": people, "name": "Crowded"}, {"Idempotency-Key": str(uuid4())}
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(client.post, "/personas", json=body, headers=key) for _ in range(8)]
        answers = [each.result(30) for each in asked]
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    named = [item for item in client.get("/personas?limit=500").json()["items"] if item["name"] == "Crowded"]
    assert len(named) == 1


def test_a_persons_surrogate_with_a_tilde_is_no_persona_and_changes_nothing(
    client: Client, service: Service, people: list[str]
) -> None:
    found = service.people.find(TENANT, "ada")
    assert found is not None
    version, head = client.get("/personas/ada").json()["coreVersion"], service.reader.head()
    position = client.post(
        "/observations",
        json={
            "personId": "ada",
            "type": "code_commit",
            "content": {"lines_changed": 900, "languages": ["Zig"], "merge": False},
            "occurredAt": START.isoformat(),
        },
    ).headers["PersonaKit-Position"]
    client.get("/mindscapes/ada", headers={"PersonaKit-Min-Position": position})
    refused = client.post(f"/personas/~{found.surrogate}/regenerate")
    assert refused.status_code == 404
    assert client.get("/personas/ada").json()["coreVersion"] == version
    later = service.recorder.select_notifications(start=head + 1, limit=100)
    assert not any(event.topic.startswith("PersonaCoreGenerated") for event in later)
