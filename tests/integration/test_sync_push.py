"""`POST /sync`: what a client kept is recorded once, in its order, and a bad item is refused alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.domain.events import PersonaDefined
from personakit.eventlog.access import create_key
from personakit.eventlog.appender import LogBusy
from personakit_sdk.rules import suggestion_id
from tests.integration.conftest import Client, follow
from tests.mapper_changes import publish_mapper
from tests.postgres import MASTER_KEY

AT = "2026-03-02T09:00:00Z"
AT_THEN = datetime(2026, 3, 2, 9, tzinfo=UTC)
Result = dict[str, Any]


@pytest.fixture(scope="module")
def client(quiet: Service) -> Iterator[Client]:
    with TestClient(create_app(quiet), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {create_key(quiet.recorder, 'default', 'test')}"
        publish_mapper(quiet, "default", "focus")
        follow(quiet)
        yield client


def observation(key: str = "ada", id_: str | None = None, **body: Any) -> Result:
    content = {"type": "note", "content": {"n": 1}, **body}
    return {"id": id_ or str(uuid4()), "kind": "observation", "key": key, "occurredAt": AT, "body": content}


def feedback(key: str = "ada", **body: Any) -> Result:
    about = {"mapperId": "focus", "ruleId": "always", "helpful": True}
    return {
        "id": str(uuid4()),
        "kind": "feedback",
        "key": key,
        "occurredAt": AT,
        "body": body if "suggestionId" in body else about | body,
    }


def push(client: Client, *items: Any) -> dict[str, Result]:
    answer = client.post("/sync", json={"clientId": "c", "items": list(items)})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["results"])


def fate(client: Client, item: Result) -> Result:
    return push(client, item)[item["id"]]


def slug(result: Result) -> str:
    return str(result["problem"]["type"]).removeprefix("urn:personakit:problem:")


def posted(item: Result) -> Result:
    """The item as POST /observations or /feedback takes it."""
    names = {"observation": "personId", "feedback": "personaId"}
    told = {**item["body"], "id": item["id"], "occurredAt": item["occurredAt"]}
    if "suggestionId" not in told:
        told[names[item["kind"]]] = item["key"]
    return told


def rule_of(client: Client) -> str:
    return str(client.get("/mappers/focus").json()["document"]["rules"][0]["id"])


def test_what_is_pushed_is_stored_and_again_it_is_a_duplicate(quiet: Service, client: Client) -> None:
    items = [observation(), observation("bob"), feedback(ruleId=rule_of(client))]
    answer = client.post("/sync", json={"clientId": "c", "items": items})
    results = answer.json()["results"]
    assert answer.json()["epoch"] == str(quiet.epoch)
    assert list(results) == [item["id"] for item in items]
    assert {result["status"] for result in results.values()} == {"stored"}
    assert int(answer.headers["PersonaKit-Position"]) == max(r["position"] for r in results.values())
    again = push(client, *items)
    assert {id_: (r["status"], r["position"]) for id_, r in again.items()} == {
        id_: ("duplicate", r["position"]) for id_, r in results.items()
    }


def test_items_are_recorded_in_their_order_whatever_their_kind(client: Client) -> None:
    rule = rule_of(client)
    first = observation("carl")
    items = [
        first,
        feedback("carl", ruleId=rule),
        observation("dora"),
        observation("carl", supersedes=first["id"]),
        feedback("carl", ruleId=rule),
        observation("carl"),
    ]
    results = push(client, *items)
    positions = [results[item["id"]]["position"] for item in items]
    assert positions == sorted(positions)


def test_a_request_without_corrections_is_one_commit(database: str, client: Client) -> None:
    push(client, observation("erna"))
    items = [observation("erna") for _ in range(20)] + [feedback("erna", ruleId=rule_of(client))]
    results = push(client, *items)
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT count(DISTINCT append_id) FROM personakit.events WHERE position = ANY (%s)",
            [[result["position"] for result in results.values()]],
        ).fetchone()
    assert row == (1,)


@pytest.mark.parametrize("kind", ["observation", "feedback", "suggestion"])
def test_pushed_and_posted_is_the_same(client: Client, kind: str) -> None:
    push(client, observation("fay"))
    made = suggestion_id.encode("fay", "focus", 1, rule_of(client), 1, AT_THEN)
    items = {
        "observation": lambda: observation("fay", source="watch", metadata={"a": [1, 2.5]}),
        "feedback": lambda: feedback("fay", ruleId=rule_of(client), comment="good"),
        "suggestion": lambda: feedback("fay", suggestionId=made, rating=4),
    }
    route = "/observations" if kind == "observation" else "/feedback"
    pushed, first_posted = items[kind](), items[kind]()
    assert fate(client, pushed)["status"] == "stored"
    answer = client.post(route, json=posted(pushed))
    assert (answer.status_code, answer.json()["status"]) == (200, "duplicate")
    assert client.post(route, json=posted(first_posted)).status_code == 201
    assert fate(client, first_posted)["status"] == "duplicate"
    other = {**first_posted, "body": {**first_posted["body"], "comment": "no", "source": "no"}}
    other["body"].pop("source" if kind != "observation" else "comment")
    assert slug(fate(client, other)) == "id-taken"


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.dictionaries(TEXT, JSON, max_size=3),
    at=st.sampled_from(
        ["2026-03-02T09:00:00Z", "2026-03-02T09:00:00.000001+05:30", "1999-12-31T23:59:59.5-11:00"]
    ),
)
def test_any_observation_is_the_same_pushed_and_posted(client: Client, content: Any, at: str) -> None:
    item = {**observation("gus", content=content), "occurredAt": at}
    assert fate(client, item)["status"] == "stored"
    assert client.post("/observations", json=posted(item)).json()["status"] == "duplicate"


def test_a_bad_item_is_refused_alone(client: Client) -> None:
    rule = rule_of(client)
    push(client, observation("hal"))
    of_ada = suggestion_id.encode("ada", "focus", 1, rule, 1, AT_THEN)
    bad: dict[str, tuple[Any, str, str]] = {
        "body": (observation(type="No Type"), "invalid-input", "/body/type"),
        "no body": ({"id": str(uuid4()), "kind": "observation"}, "invalid-input", "/key"),
        "unknown kind": ({**observation(), "kind": "mapper"}, "invalid-input", "/kind"),
        "unknown field": ({**observation(), "more": 1}, "invalid-input", "/more"),
        "newer shape": ({**observation(), "schema": 2}, "invalid-input", "/schema"),
        "no instant": (
            {**observation(), "occurredAt": "2026-03-02T09:00:00"},
            "invalid-input",
            "/occurredAt",
        ),
        "year": ({**observation(), "occurredAt": "0001-01-01T00:00:00Z"}, "invalid-input", "/occurredAt"),
        "persona": (observation(f"~{uuid4()}"), "invalid-input", "/key"),
        "said twice": (observation(personId="ada"), "invalid-input", "/body/personId"),
        "id twice": (observation(id=str(uuid4())), "invalid-input", "/body/id"),
        "not storable": (observation(content={"a": "\x00"}), "invalid-input", "/body/content/a"),
        "large": (observation(content={"a": "x" * 256 * 1024}), "too-large", ""),
        "nobody": (feedback("nobody-at-all", ruleId=rule), "not-found", ""),
        "unknown rule": (feedback("hal", ruleId="no_such_rule"), "not-found", ""),
        "says nothing": (feedback("hal", ruleId=rule, helpful=None), "invalid-input", ""),
        "other's suggestion": (feedback("hal", suggestionId=of_ada, helpful=True), "invalid-input", "/key"),
        "no suggestion": (feedback("hal", suggestionId="x", helpful=True), "invalid-input", ""),
        "corrects nothing": (
            observation("hal", supersedes=str(uuid4())),
            "supersedes-nothing",
            "/supersedes",
        ),
    }
    good = [observation("hal") for _ in bad]
    items = [each for pair in zip(good, (item for item, _, _ in bad.values()), strict=True) for each in pair]
    results = push(client, *items)
    assert {results[item["id"]]["status"] for item in good} == {"stored"}
    for name, (item, type_, pointer) in bad.items():
        result = results[item["id"]]
        assert (result["status"], slug(result)) == ("rejected", type_), (name, result)
        assert "position" not in result, name
        pointers = [fault["pointer"] for fault in result["problem"].get("errors", [])]
        assert not pointer or pointer in pointers, (name, result)
    assert str(256 * 1024) in results[bad["large"][0]["id"]]["problem"]["detail"]


def test_the_same_id_with_another_body_is_rejected_and_the_first_stays(client: Client) -> None:
    item = observation("ida")
    position = fate(client, item)["position"]
    other = {**item, "body": {**item["body"], "content": {"n": 2}}}
    assert slug(fate(client, other)) == "id-taken"
    assert slug(fate(client, {**item, "occurredAt": "2026-03-02T10:00:00Z"})) == "id-taken"
    assert slug(fate(client, {**item, "key": "somebody-else"})) == "id-taken"
    assert fate(client, item) == {"status": "duplicate", "position": position}


def test_an_item_twice_in_one_request_counts_once_and_of_two_that_differ_none(client: Client) -> None:
    twice, differing = observation("joe"), observation("joe")
    otherwise = {**twice, "body": dict(reversed(twice["body"].items()))}
    other = {**differing, "body": {"type": "note", "content": {"n": 1.0}}}
    results = push(client, twice, differing, otherwise, other, observation("joe"))
    assert results[twice["id"]]["status"] == "stored"
    assert results[differing["id"]]["status"] == "rejected"
    assert fate(client, differing)["status"] == "stored"


def test_what_a_request_may_have(client: Client) -> None:
    many = client.post("/sync", json={"clientId": "c", "items": [observation() for _ in range(501)]})
    assert (many.status_code, "500" in many.json()["detail"]) == (413, True)
    large = [observation(content={"a": "x" * 200_000}) for _ in range(6)]
    body = client.post("/sync", json={"clientId": "c", "items": large})
    assert (body.status_code, str(1024 * 1024) in body.json()["detail"]) == (413, True)
    assert push(client) == {}
    nameless = client.post("/sync", json={"clientId": "c", "items": [observation(), {"kind": "feedback"}]})
    assert nameless.status_code == 422
    assert [fault["pointer"] for fault in nameless.json()["errors"]] == ["/items/1/id"]
    for wrong in (
        {"items": []},
        {"clientId": "", "items": []},
        {"clientId": "c"},
        {"clientId": "c", "items": 1},
    ):
        assert client.post("/sync", json=wrong).status_code == 422
    assert client.post("/sync", content=b"{").status_code == 400


def test_what_is_nested_as_deep_as_may_be_posted_may_be_pushed(client: Client) -> None:
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    item = observation("kim", content={"a": deep})
    assert (
        client.post("/observations", json=posted(observation("kim", content={"a": deep}))).status_code == 201
    )
    assert fate(client, item)["status"] == "stored"
    assert fate(client, observation("kim", content={"a": [deep]}))["status"] == "rejected"


def test_a_created_persona_takes_feedback(quiet: Service, client: Client) -> None:
    push(client, observation("lea"))
    lea = quiet.people.find("default", "lea")
    assert lea is not None
    persona = quiet.personas.create("default", PersonaDefined(people=(lea.surrogate,))).persona
    assert fate(client, feedback(f"~{persona}", ruleId=rule_of(client)))["status"] == "stored"


def test_feedback_may_come_with_what_first_tells_of_the_person(client: Client) -> None:
    results = push(client, feedback("newcomer", ruleId=rule_of(client)), observation("newcomer"))
    assert {result["status"] for result in results.values()} == {"stored"}


def erase(service: Service, person: str) -> None:
    """The person's key dies, as it does with an erasure, and no process remembers it."""
    found = service.people.find("default", person)
    assert found is not None
    with psycopg.connect(service.logins.owner) as connection:
        connection.execute("DELETE FROM personakit.person_keys WHERE person = %s", [found.surrogate])
    service.keys._known.pop(found.surrogate, None)


def test_who_was_erased_is_refused_alone(quiet: Service, client: Client) -> None:
    before = observation("mia")
    push(client, before, observation("ned"))
    erase(quiet, "mia")
    items = [
        observation("ned"),
        observation("mia"),
        feedback("mia", ruleId=rule_of(client)),
        observation("ned"),
    ]
    results = push(client, *items)
    assert [results[item["id"]]["status"] for item in items] == ["stored", "rejected", "rejected", "stored"]
    assert {slug(results[items[n]["id"]]) for n in (1, 2)} == {"person-erased"}
    assert results[items[0]["id"]]["position"] < results[items[3]["id"]]["position"]
    assert slug(fate(client, {**before, "key": "ned"})) == "id-of-erased"
    alone = client.post("/observations", json=posted(observation("mia")))
    assert (alone.status_code, alone.json()["type"].rpartition(":")[2]) == (410, "person-erased")
    batch = client.post("/observations/batch", json=[posted(observation("ned")), posted(observation("mia"))])
    assert [result["status"] for result in batch.json()["results"]] == ["stored", "rejected"]


def test_the_damaged_key_of_one_person_is_nobody_elses_trouble(
    quiet: Service, database: str, client: Client
) -> None:
    push(client, observation("ola"), observation("pia"))
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE personakit.person_keys SET key = '\\x00' WHERE person_id = 'ola'")
    with closing(Service(database, MASTER_KEY)) as other, TestClient(create_app(other)) as elsewhere:
        elsewhere.headers["Authorization"] = client.headers["Authorization"]
        correction = observation("ola", supersedes=str(uuid4()))
        items = [observation("pia"), observation("ola"), observation("pia"), correction, observation("pia")]
        answer = elsewhere.post("/sync", json={"clientId": "c", "items": items})
    fates = [answer.json()["results"][item["id"]]["status"] for item in items]
    assert fates == ["stored", "retry", "stored", "retry", "stored"]
    assert answer.headers["Retry-After"]


# --- when nothing can be written


def test_a_full_queue_means_to_send_it_again_and_nothing_overtakes(
    quiet: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = observation("quin")
    push(client, first)
    appended = quiet.appender.append
    calls = iter(range(100))

    def full_at_second(events: Any) -> Any:
        if next(calls) > 0:
            raise LogBusy
        return appended(events)

    items = [observation("quin"), observation("quin", supersedes=first["id"]), observation("quin")]
    bad = observation(type="No Type")
    with monkeypatch.context() as patch:
        patch.setattr(quiet.appender, "append", full_at_second)
        answer = client.post("/sync", json={"clientId": "c", "items": [*items, bad]})
    results = answer.json()["results"]
    assert answer.status_code == 200
    assert [results[item["id"]]["status"] for item in items] == ["stored", "retry", "retry"]
    assert results[bad["id"]]["status"] == "rejected"
    assert slug(results[items[1]["id"]]) == "busy"
    assert int(answer.headers["Retry-After"]) >= 1
    again = push(client, *items)
    assert [again[item["id"]]["status"] for item in items] == ["duplicate", "stored", "stored"]


def test_a_database_that_is_away_means_to_send_it_again(
    quiet: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise psycopg.OperationalError("the database is away")

    item = observation("rob")
    with monkeypatch.context() as patch:
        patch.setattr(quiet.people, "register", away)
        answer = client.post("/sync", json={"clientId": "c", "items": [item]})
    result = answer.json()["results"][item["id"]]
    assert (result["status"], slug(result)) == ("retry", "storage-unavailable")
    assert "away" not in result["problem"]["detail"]
    assert answer.headers["Retry-After"]
    assert fate(client, item)["status"] == "stored"
