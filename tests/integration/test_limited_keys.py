"""A key that is limited to people or personas: for it the others are not there, by any route."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from httpx import Response
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit.agents.service import Service
from personakit.domain.grant import OF_ALL, SCOPES, granted
from personakit.eventlog.access import grant_key
from personakit_sdk.rules import suggestion_id
from tests.integration.conftest import Client
from tests.integration.test_authorisation import (
    CALLS,
    CANARY,
    PLACES,
    START,
    SUGGESTION,
    TAKES,
    call,
    mapper,
    observation,
    traits,
)

SECRET = "bobsword"
"""Stands in all that is told of bob, and of him alone."""
MAY = [scope for scope in SCOPES if scope not in OF_ALL]
OF_LIMITED = [each for each in CALLS if TAKES[each] & set(MAY)]
GHOST = "ghost"
GOING = [str(CALLS[each].places["personId"]) for each in ("erasePerson", "makePerson")]


class World(NamedTuple):
    """Keys, personas (`both` are ada and bob, `solo` is ada, `other` is bob), and an observation of each."""

    limited: str
    named: str
    both: str
    solo: str
    other: str
    observed: dict[str, str]


def key(service: Service, people: list[str] | None, personas: list[str] | None = None) -> str:
    return grant_key(service.recorder, "default", "test", granted(MAY, people, personas)).secret


@pytest.fixture(scope="module")
def world(service: Service, client: Client) -> World:
    assert client.post("/mappers", json=mapper("focus")).status_code == 201
    assert client.post("/computed-traits", json=traits("counted")).status_code == 201
    told = {person: [observation(person) for _ in range(3)] for person in ("ada", "bob")}
    for each in told["bob"]:
        each["content"]["languages"] = [SECRET]
    recorded = client.post("/observations/batch", json=told["ada"] + told["bob"])
    client.headers["PersonaKit-Min-Position"] = recorded.headers["PersonaKit-Position"]

    def persona(*people: str) -> str:
        body = {"name": f"{SECRET} too" if "bob" in people else "ada alone", "people": people}
        made = client.post("/personas", json=body)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    both, solo, other = persona("ada", "bob"), persona("ada"), persona("bob")
    for each in ("ada", "bob", both, solo, other):
        assert client.post(f"/personas/{each}/regenerate").status_code == 200
    client.headers["PersonaKit-Min-Position"] = str(service.reader.head())
    observed = {person: str(items[0]["id"]) for person, items in told.items()}
    return World(key(service, ["ada"]), key(service, None, [both]), both, solo, other, observed)


def renamed(value: Any, id_: str, observed: str) -> Any:
    """A request about somebody else, wherever it names whom it is about; about ada, who is needed yet, only
    where it does not take her away."""
    suggestion = suggestion_id.encode(id_, "focus", 1, "always", 1, suggestion_id.decode(SUGGESTION).at)
    text = json.dumps(value).replace(SUGGESTION, suggestion)
    for name in ("ada", *(() if id_ == "ada" else GOING)):
        text = text.replace(json.dumps(name), json.dumps(id_))
    return json.loads(text.replace(PLACES["observationId"], observed))


def ask(client: Client, operation: str, secret: str, id_: str, observed: str) -> Response:
    return call(client, operation, secret, lambda value: renamed(value, id_, observed))


def names_somebody(operation: str) -> bool:
    """Whether the request of an operation says whom it is about."""
    made = CALLS[operation]
    body = made.body() if callable(made.body) else made.body
    places = PLACES | dict(made.places)
    path = {name: places[name] for name in places if name in made.path(operation)}
    request = [dict(made.query), body, path]
    return renamed(request, GHOST, str(uuid4())) != request


def without_names(text: str, *names: str) -> str:
    for name in names:
        text = text.replace(name, "…")
    return text


def test_an_operation_either_names_somebody_or_is_a_list_or_of_mappers() -> None:
    rest = {each for each in OF_LIMITED if not names_somebody(each)}
    of_rules = {each for each in rest if "Mapper" in each or "ComputedTraits" in each}
    assert rest - of_rules == {"listPeople", "listPersonas", "getLearnedWeights", "sync", "push"}


@pytest.mark.parametrize("operation", [each for each in OF_LIMITED if names_somebody(each)])
def test_whom_a_key_may_not_see_is_not_there(client: Client, world: World, operation: str) -> None:
    """And the answer is the same as for somebody who is not."""
    there = ask(client, operation, world.limited, "bob", world.observed["bob"])
    missing = str(uuid4())
    not_there = ask(client, operation, world.limited, GHOST, missing)
    told = [
        without_names(each.text, "bob", GHOST, world.observed["bob"], missing) for each in (there, not_there)
    ]
    if operation == "recordObservations":
        results = [each.json()["results"][0] for each in (there, not_there)]
        assert [each["status"] for each in results] == ["rejected"] * 2
        assert [each["problem"]["status"] for each in results] == [404] * 2
        return
    assert (there.status_code, not_there.status_code) == (404, 404)
    assert told[0] == told[1]


@pytest.mark.parametrize("persona", ["both", "other"])
@pytest.mark.parametrize(
    "operation",
    ["getPersona", "regeneratePersona", "mapPersona", "mapPersonaByBody", "getSuggestion", "giveFeedback"],
)
def test_a_persona_is_there_only_with_all_of_its_people(
    client: Client, world: World, operation: str, persona: str
) -> None:
    nobody = f"~{uuid4()}"
    hidden = getattr(world, persona)
    answers = [ask(client, operation, world.limited, each, str(uuid4())) for each in (hidden, nobody)]
    assert [each.status_code for each in answers] == [404, 404]
    assert without_names(answers[0].text, hidden) == without_names(answers[1].text, nobody)
    assert ask(client, operation, world.limited, world.solo, str(uuid4())).status_code in (200, 201)
    assert ask(client, operation, world.named, world.both, str(uuid4())).status_code in (200, 201)
    assert ask(client, operation, world.named, world.other, str(uuid4())).status_code == 404


@pytest.mark.parametrize("operation", OF_LIMITED)
def test_what_a_limited_key_may_is_answered_and_says_nothing_of_others(
    client: Client, world: World, operation: str
) -> None:
    mine = client.post("/observations", json=observation("ada")).json()["id"]
    answer = ask(client, operation, world.limited, "ada", mine)
    assert answer.status_code not in (401, 403), answer.text
    if operation not in ("unpinTrait", "pinTrait", "erasePerson", "makePerson"):  # not ada: she is needed yet
        assert answer.status_code in (200, 201), answer.text
    for word in (SECRET, "bob", world.both, world.other):
        assert word not in answer.text


@pytest.mark.parametrize("operation", CALLS)
def test_a_key_that_is_limited_to_nobody_sees_nobody(
    service: Service, client: Client, world: World, operation: str
) -> None:
    nobody = key(service, [])
    mine = client.post("/observations", json=observation("ada")).json()["id"]
    answer = ask(client, operation, nobody, "ada", mine)
    if operation not in OF_LIMITED:
        assert answer.status_code == 403
    elif names_somebody(operation) and operation != "recordObservations":
        assert answer.status_code == 404
    assert all(each not in answer.text for each in (world.both, world.solo, world.other, SECRET))


def headers(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_a_named_persona_is_seen_and_the_people_behind_it_are_not(client: Client, world: World) -> None:
    shown = client.get(f"/personas/{world.both}", headers=headers(world.named))
    assert (shown.status_code, shown.json()["people"]) == (200, ["ada", "bob"])
    for path in ("/personas/ada", "/mindscapes/ada", f"/personas/{world.solo}"):
        assert client.get(path, headers=headers(world.named)).status_code == 404
    listed = client.get("/personas", headers=headers(world.named)).json()["items"]
    assert [each["id"] for each in listed] == [world.both]


def test_a_named_own_persona_is_seen_and_the_mindscape_is_not(
    service: Service, client: Client, world: World
) -> None:
    ours = key(service, None, ["ada"])
    assert client.get("/personas/ada", headers=headers(ours)).status_code == 200
    for path in ("/mindscapes/ada", "/mindscapes/ada/history", f"/personas/{world.solo}"):
        assert client.get(path, headers=headers(ours)).status_code == 404
    assert client.post("/observations", json=observation("ada"), headers=headers(ours)).status_code == 404


def test_a_limited_list_is_paged_as_if_there_were_no_others(client: Client, world: World) -> None:
    found, after = [], ""
    while after is not None:
        page = client.get("/personas", params={"limit": 1, "after": after}, headers=headers(world.limited))
        found += [each["id"] for each in page.json()["items"]]
        after = page.json()["next"]
    assert found == sorted(["ada", world.solo])


def test_the_past_of_a_persona_is_not_shown_with_people_it_had_then(
    service: Service, client: Client, world: World
) -> None:
    made = client.post("/personas", json={"name": "then both", "people": ["ada", "bob"]})
    id_, then = made.json()["id"], int(made.headers["PersonaKit-Position"])
    assert client.put(f"/personas/{id_}", json={"name": "ada", "people": ["ada"]}).status_code == 200
    now = str(service.reader.head())
    for position, status in ((str(then), 404), (now, 200)):
        answer = client.get(f"/personas/{id_}", params={"asOf": position}, headers=headers(world.limited))
        assert answer.status_code == status
    assert client.delete(f"/personas/{id_}").status_code == 200


def test_a_cached_persona_is_mapped_for_whoever_may_see_it_alone(client: Client, world: World) -> None:
    ask_both = {"mapperId": "focus", "personaId": world.both}
    wanted = [(client.headers["Authorization"].split()[1], 200), (world.limited, 404), (world.named, 200)]
    del client.headers["PersonaKit-Min-Position"]  # with it the cache is not asked
    for _ in range(5):
        for secret, status in wanted:
            answer = client.get("/map-persona", params=ask_both, headers=headers(secret))
            assert answer.status_code == status


def pulled(client: Client, secret: str, **query: Any) -> dict[str, Any]:
    answer = client.get("/sync", params={"limit": 500, **query}, headers=headers(secret))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def personas(page: dict[str, Any]) -> dict[str, str]:
    return {item["id"]: item["op"] for item in page["items"] if item["kind"] == "persona"}


def test_a_limited_pull_has_what_the_key_may_see_and_all_mappers(
    service: Service, client: Client, world: World
) -> None:
    whole, mine = pulled(client, client.headers["Authorization"].split()[1]), pulled(client, world.limited)
    assert personas(mine) == {"ada": "put", world.solo: "put"}
    assert personas(pulled(client, world.named)) == {world.both: "put"}
    assert personas(pulled(client, key(service, []))) == {}
    assert set(personas(mine)) < set(personas(whole))
    assert {item["id"] for item in mine["items"] if item["kind"] == "mapper"} == {
        item["id"] for item in whole["items"] if item["kind"] == "mapper"
    }
    assert SECRET not in json.dumps(mine)
    filtered = pulled(client, world.limited, personaId=["ada", "bob", world.both])
    assert personas(filtered) == {"ada": "put"}


def test_a_persona_that_leaves_the_scope_is_deleted_and_one_that_comes_into_it_is_put(
    service: Service, client: Client, world: World
) -> None:
    moving = client.post("/personas", json={"name": "ada", "people": ["ada"]}).json()["id"]
    begun = pulled(client, world.limited)
    assert personas(begun)[moving] == "put"

    def redefined(*people: str) -> dict[str, Any]:
        assert client.put(f"/personas/{moving}", json={"name": "x", "people": people}).status_code == 200
        return {"PersonaKit-Min-Position": str(service.reader.head())}

    client.headers.update(redefined("ada", "bob"))
    left = pulled(client, world.limited, since=begun["next"])
    assert personas(left) == {moving: "delete"}
    assert "body" not in next(item for item in left["items"] if item["id"] == moving)
    assert moving not in personas(pulled(client, world.limited))
    client.headers.update(redefined("ada"))
    assert personas(pulled(client, world.limited, since=left["next"])) == {moving: "put"}
    assert client.delete(f"/personas/{moving}").status_code == 200


CHANGES = st.lists(
    st.tuples(
        st.sampled_from([0, 1]), st.sets(st.sampled_from(["ada", "bob", "cy"]), min_size=1), st.booleans()
    ),
    min_size=1,
    max_size=8,
)
"""Which of two personas is defined anew, with whom, and whether the client pulls then."""


@settings(max_examples=15, deadline=None)
@given(changes=CHANGES)
def test_a_client_comes_to_have_what_a_new_one_is_given(
    service: Service, client: Client, world: World, changes: list[tuple[int, set[str], bool]]
) -> None:
    """However personas come into the scope and leave it between two pulls."""
    limited = key(service, ["ada", "cy"])
    client.post("/observations", json=observation("cy"))
    made = [client.post("/personas", json={"name": "p", "people": ["ada"]}).json()["id"] for _ in range(2)]
    client.headers["PersonaKit-Min-Position"] = str(service.reader.head())
    page = pulled(client, limited)
    copy = {item["id"]: item["version"] for item in page["items"]}
    for which, people, pulls in [*changes, (0, {"ada"}, True)]:
        body = {"name": "p", "people": sorted(people)}
        assert client.put(f"/personas/{made[which]}", json=body).status_code == 200
        if pulls:
            client.headers["PersonaKit-Min-Position"] = str(service.reader.head())
            page = pulled(client, limited, since=page["next"])
            for item in page["items"]:
                copy.pop(item["id"], None)
                if item["op"] == "put":
                    copy[item["id"]] = item["version"]
            new = pulled(client, limited)["items"]
            assert copy == {item["id"]: item["version"] for item in new if item["op"] == "put"}
    for each in made:
        assert client.delete(f"/personas/{each}").status_code == 200


def test_what_was_never_in_the_scope_is_never_told(service: Service, client: Client, world: World) -> None:
    begun = pulled(client, world.limited)
    client.headers["PersonaKit-Min-Position"] = client.post("/observations", json=observation("bob")).headers[
        "PersonaKit-Position"
    ]
    assert client.post(f"/personas/{world.other}/regenerate").status_code == 200
    client.headers["PersonaKit-Min-Position"] = str(service.reader.head())
    after = pulled(client, world.limited, since=begun["next"])
    assert (after["intent"], after["items"]) == ("none", [])


def test_a_cursor_is_good_for_keys_with_the_same_limits(
    service: Service, client: Client, world: World
) -> None:
    cursor = pulled(client, world.limited)["next"]
    assert pulled(client, key(service, ["ada"]), since=cursor)["intent"] == "none"
    for other in (key(service, ["ada", "bob"]), world.named, client.headers["Authorization"].split()[1]):
        refused = client.get("/sync", params={"since": cursor}, headers=headers(other))
        assert (refused.status_code, refused.json()["type"]) == (410, "urn:personakit:problem:scope-changed")


def test_a_push_is_taken_item_by_item(client: Client, world: World) -> None:
    def item(kind: str, who: str, body: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": str(uuid4()),
            "kind": kind,
            "key": who,
            "occurredAt": START.isoformat(),
            "schema": 1,
            "body": body,
        }

    told = {"type": "note", "content": {CANARY: 1}}
    voted = {"mapperId": "focus", "ruleId": "always", "helpful": True}
    items = [
        item(kind, who, body)
        for kind, body in (("observation", told), ("feedback", voted))
        for who in ("ada", "bob", GHOST)
    ]
    pushed = client.post(
        "/sync", json={"clientId": "test", "items": items}, headers=headers(world.limited)
    ).json()["results"]
    fates = [pushed[each["id"]] for each in items]
    assert [each["status"] for each in fates] == ["stored", "rejected", "rejected"] * 2
    for refused in (1, 4):
        bob, ghost = (json.dumps(fates[n]["problem"]) for n in (refused, refused + 1))
        assert without_names(bob, "bob") == without_names(ghost, GHOST)
        assert fates[refused]["problem"]["status"] == 404
