"""What was learned of rules, over HTTP: shown, approved, frozen, rolled back, and used in every mapping."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from personakit.agents.mappers import mapper_stream
from personakit.agents.service import Service
from personakit.domain.events import RuleWeightsAdjusted
from personakit.projections.verify import verify
from personakit_sdk import wire
from personakit_sdk.rules import Facts, compile_mapper, evaluate
from personakit_sdk.rules.learned import combined
from tests.history import TENANT, observation
from tests.integration.conftest import Client
from tests.mapper_documents import check, mapper, suggest

PEOPLE = ["ada", "bo", "cy"]
AT = "2026-03-02T09:00:00Z"
DAY = timedelta(days=1)
JSON = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def _people(service: Service) -> None:
    service.intake.record(TENANT, [observation(person) for person in PEOPLE])


@pytest.fixture
def mapper_id(client: Client) -> str:
    """A mapper that publishes what somebody approves."""
    return publish(client, f"m{uuid4().hex[:8]}", "propose")


def publish(client: Client, id_: str, publishing: str, version: str = "1.0.0", *rules: JSON) -> str:
    document = mapper(id_, version, liked=1.0, disliked=1.0)
    document["feedback_settings"] = {"publishing": publishing}
    if rules:
        document["rules"] = list(rules)
    assert client.post("/mappers", json=document).is_success
    return id_


def say(client: Client, mapper_id: str, *, people: list[str] = PEOPLE, each: int = 4, **said: bool) -> int:
    """Each says it of each rule so many times; the position of the last."""
    position = 0
    for person in people:
        for rule, helpful in said.items():
            for _ in range(each):
                body = {"mapperId": mapper_id, "ruleId": rule, "personaId": person, "helpful": helpful}
                body["occurredAt"] = (datetime.now(UTC) - DAY).isoformat()
                position = client.post("/feedback", json=body).json()["position"]
    return position


def split(client: Client, mapper_id: str) -> None:
    """Everybody likes one rule and not the other; returns when that is counted."""
    position = say(client, mapper_id, liked=True, disliked=False)
    get(client, "/mappers", headers={"PersonaKit-Min-Position": str(position)})


def get(client: Client, path: str, **more: Any) -> Any:
    answer = client.get(path, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def weights(client: Client, mapper_id: str) -> dict[str, JSON]:
    return {each["ruleId"]: each for each in get(client, f"/mappers/{mapper_id}/weights")["rules"]}


def adjust(client: Client, mapper_id: str, action: str, **more: Any) -> JSON:
    answer = client.post(f"/mappers/{mapper_id}/weights", json={"action": action, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def mapped(client: Client, mapper_id: str, persona: str = "ada", **more: Any) -> JSON:
    return get(client, "/map-persona", params={"mapperId": mapper_id, "personaId": persona, **more})


def learned(client: Client, mapper_id: str, persona: str = "ada") -> dict[str, float]:
    return {each["ruleId"]: each["learned"] for each in mapped(client, mapper_id, persona)["suggestions"]}


def counted(client: Client, metric: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(metric)).split()[-1])


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_is_proposed_is_shown_with_what_it_rests_on(client: Client, mapper_id: str) -> None:
    split(client, mapper_id)
    found = weights(client, mapper_id)
    assert (
        found["disliked"].items() >= {"weight": 1.0, "learned": 1.0, "proposed": 0.9, "personas": 3}.items()
    )
    assert found["liked"]["proposed"] == 1.1
    assert found["liked"]["rate"] > 0.8
    assert found["disliked"]["rate"] < 0.3
    assert 10 < found["disliked"]["votes"] < 12
    assert learned(client, mapper_id) == {"liked": 1.0, "disliked": 1.0}


def test_an_approval_is_of_what_was_seen(client: Client, mapper_id: str) -> None:
    split(client, mapper_id)
    tag = client.get(f"/mappers/{mapper_id}").headers["ETag"]
    path = f"/mappers/{mapper_id}/weights"
    refused = client.post(path, json={"action": "approve", "weights": {"liked": 1.2, "disliked": 0.9}})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:personakit:problem:proposal-changed")
    assert "disliked 0.9, liked 1.1" in refused.json()["detail"]
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/weights/disliked", "/weights/liked"]
    seen = {"liked": 1.1, "disliked": 0.9}
    answer = client.post(
        path, json={"action": "approve", "weights": seen, "reason": "so be it"}, headers={"If-Match": tag}
    )
    assert (answer.status_code, answer.headers["ETag"]) == (200, tag)
    assert answer.json()["version"] == 2
    assert learned(client, mapper_id) == seen
    again = adjust(client, mapper_id, "approve", weights=seen)
    assert again["version"] == 2
    newest, first = get(client, f"/mappers/{mapper_id}/versions")["items"]
    assert (newest["change"], newest["cause"], newest["reason"]) == ("learned", "approved", "so be it")
    assert (newest["hash"], newest["origin"]) == (first["hash"], "key: test")
    assert get(client, f"/mappers/{mapper_id}/versions/2")["learned"] == seen
    assert get(client, f"/mappers/{mapper_id}/versions/1")["learned"] == {}
    assert weights(client, mapper_id)["liked"]["version"] == 2
    assert counted(client, 'personakit_adjustments_total{cause="approved",tenant="default"}') >= 1


def test_who_has_the_document_is_told_what_was_learned_of_it(client: Client, mapper_id: str) -> None:
    path = f"/mappers/{mapper_id}"
    seen = {"If-None-Match": client.get(path).headers["ETag"]}
    assert client.get(path, headers=seen).status_code == 304
    split(client, mapper_id)
    adjust(client, mapper_id, "approve")
    told = client.get(path, headers=seen)
    assert (told.status_code, told.headers["ETag"]) == (200, seen["If-None-Match"])
    assert (told.json()["version"], told.json()["learned"]) == (2, {"liked": 1.1, "disliked": 0.9})
    assert client.get(f"{path}/versions/1", headers=seen).status_code == 304
    assert client.get(path, headers={**seen, "Accept": "application/yaml"}).status_code == 304


def test_one_rule_is_approved_alone(client: Client, mapper_id: str) -> None:
    split(client, mapper_id)
    adjust(client, mapper_id, "approve", rules=["disliked"], weights={"disliked": 0.9})
    assert learned(client, mapper_id) == {"liked": 1.0, "disliked": 0.9}
    assert weights(client, mapper_id)["liked"]["proposed"] == 1.1


def test_narrower_bounds_hold_at_once_wherever_a_multiplier_is_shown(client: Client, mapper_id: str) -> None:
    split(client, mapper_id)
    adjust(client, mapper_id, "approve")
    document = mapper(mapper_id, "1.1.0", liked=1.0, disliked=1.0)
    document["feedback_settings"] = {"publishing": "off", "max_weight": 1.05}
    assert client.put(f"/mappers/{mapper_id}", json=document).is_success
    shown = {rule: each["learned"] for rule, each in weights(client, mapper_id).items()}
    assert shown == learned(client, mapper_id) == {"liked": 1.05, "disliked": 0.9}


def test_a_frozen_rule_learns_when_it_is_thawed(client: Client, mapper_id: str) -> None:
    split(client, mapper_id)
    adjust(client, mapper_id, "freeze", rules=["disliked"])
    assert adjust(client, mapper_id, "freeze", rules=["disliked"])["version"] == 2
    found = weights(client, mapper_id)
    assert found["disliked"]["frozen"]
    assert "proposed" not in found["disliked"]
    adjust(client, mapper_id, "approve")
    adjust(client, mapper_id, "thaw")
    assert weights(client, mapper_id)["disliked"]["proposed"] == 0.9
    assert learned(client, mapper_id) == {"liked": 1.1, "disliked": 1.0}


def test_rolling_back_freezes_what_it_changes(client: Client, mapper_id: str) -> None:
    split(client, mapper_id)
    adjust(client, mapper_id, "approve")
    answer = adjust(client, mapper_id, "roll_back", version=1, reason="too soon")
    assert {each["ruleId"]: (each["learned"], each["frozen"]) for each in answer["rules"]} == {
        "liked": (1.0, True),
        "disliked": (1.0, True),
    }
    assert learned(client, mapper_id) == {"liked": 1.0, "disliked": 1.0}
    newest = get(client, f"/mappers/{mapper_id}/versions")["items"][0]
    assert (newest["cause"], newest["restores"]) == ("rolled_back", 1)
    assert adjust(client, mapper_id, "approve")["version"] == newest["version"]


def test_the_history_says_what_moved_each_multiplier_and_on_what_evidence(
    client: Client, mapper_id: str
) -> None:
    assert get(client, f"/mappers/{mapper_id}/weights")["history"] == []
    split(client, mapper_id)
    adjust(client, mapper_id, "approve", rules=["disliked"], reason="enough")
    adjust(client, mapper_id, "freeze", rules=["liked"])
    back = adjust(client, mapper_id, "roll_back", version=1)
    told = get(client, f"/mappers/{mapper_id}/weights")["history"]
    assert told == back["history"]
    assert [(each["version"], each["cause"], each["reason"]) for each in told] == [
        (4, "rolled_back", ""),
        (3, "frozen", ""),
        (2, "approved", "enough"),
    ]
    assert [{rule["ruleId"]: rule["learned"] for rule in each["changed"]} for each in told] == [
        {"disliked": 1.0},
        {},
        {"disliked": 0.9},
    ]
    (disliked,) = told[-1]["changed"]
    assert disliked["personas"] == 3
    assert disliked["rate"] < 0.3
    assert disliked["votes"] > 10


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"action": "roll_back"}, 422, "needs `version`"),
        ({"action": "roll_back", "version": 9}, 404, "no version 9"),
        ({"action": "freeze", "version": 1}, 422, "does not go with freeze"),
        ({"action": "thaw", "weights": {"liked": 1}}, 422, "does not go with thaw"),
        ({"action": "freeze", "rules": ["nothing"]}, 404, "no rule 'nothing'"),
        ({"action": "approve", "rules": ["nothing"]}, 404, "no rule 'nothing'"),
        ({"action": "thaw", "rules": ["nothing"]}, 404, "no rule 'nothing'"),
        ({"action": "explode"}, 422, "explode"),
    ],
)
def test_what_cannot_be_done_is_refused(
    client: Client, mapper_id: str, body: JSON, status: int, says: str
) -> None:
    answer = client.post(f"/mappers/{mapper_id}/weights", json=body)
    assert answer.status_code == status
    assert says in answer.text


def test_a_mapper_that_is_unknown_withdrawn_or_seen_otherwise_is_left(client: Client, mapper_id: str) -> None:
    assert client.get("/mappers/nothing/weights").status_code == 404
    assert client.post("/mappers/nothing/weights", json={"action": "freeze"}).status_code == 404
    stale = {"If-Match": '"other"'}
    path = f"/mappers/{mapper_id}/weights"
    assert client.post(path, json={"action": "freeze"}, headers=stale).status_code == 412
    client.delete(f"/mappers/{mapper_id}")
    refused = client.post(path, json={"action": "freeze"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:personakit:problem:mapper-not-active")
    assert client.get(path).status_code == 200


def test_a_draft_stays_what_the_next_is_held_against(client: Client, mapper_id: str) -> None:
    """Learning goes on beneath it, and neither its tag nor its author's version is gone."""
    draft = mapper(mapper_id, "2.0.0", liked=2.0)
    made = client.put(f"/mappers/{mapper_id}", params={"status": "draft"}, json=draft)
    adjust(client, mapper_id, "freeze")
    again = client.put(f"/mappers/{mapper_id}", params={"status": "draft"}, json=draft)
    assert (again.json()["version"], again.json()["document"]) == (2, made.json()["document"])
    changed = mapper(mapper_id, "2.0.0", liked=3.0)
    tag = {"If-Match": made.headers["ETag"]}
    assert client.put(
        f"/mappers/{mapper_id}", params={"status": "draft"}, json=changed, headers=tag
    ).is_success


def test_the_agents_publish_by_themselves_and_maps_show_it(client: Client) -> None:
    """Of what is cached, too: this maps all the while."""
    mapper_id = publish(client, "by_itself", "auto")
    learned(client, mapper_id)
    say(client, mapper_id, liked=True, disliked=False)
    until(lambda: learned(client, mapper_id) == {"liked": 1.1, "disliked": 0.9})
    explained = mapped(client, mapper_id, explain="true")["explanation"]["rules"]
    shared = {each["id"]: each["learnedFrom"]["shared"] for each in explained}
    assert shared["disliked"].items() >= {"multiplier": 0.9, "personas": 3}.items()
    assert shared["disliked"]["rate"] < 0.4


def test_a_version_of_a_mapper_never_answers_with_another_ones_multipliers(
    client: Client, mapper_id: str
) -> None:
    """Maps race approvals and rollbacks; each answer has the multipliers of the version that it names."""
    split(client, mapper_id)
    answers: list[JSON] = []
    with ThreadPoolExecutor(1) as thread:
        changing = thread.submit(change_to_and_fro, client, mapper_id)
        while not changing.done():
            answers.append(mapped(client, mapper_id))
        changing.result()
    of_version = {
        version["version"]: get(client, f"/mappers/{mapper_id}/versions/{version['version']}")["learned"]
        for version in get(client, f"/mappers/{mapper_id}/versions")["items"]
    }
    seen = set()
    for answer in answers:
        expected = of_version[answer["mapper"]["version"]]
        seen.add(answer["mapper"]["version"])
        for suggestion in answer["suggestions"]:
            assert suggestion["learned"] == expected.get(suggestion["ruleId"], 1.0)
    assert len(seen) > 3


def change_to_and_fro(client: Client, mapper_id: str) -> None:
    for _ in range(5):
        adjust(client, mapper_id, "approve")
        adjust(client, mapper_id, "roll_back", version=1)
        adjust(client, mapper_id, "thaw")


def test_a_personas_own_multipliers_are_used_for_it_alone(client: Client) -> None:
    mapper_id = publish(client, "personal", "auto")
    before = mapped(client, mapper_id)
    say(client, mapper_id, people=["ada"], each=12, disliked=False)
    until(lambda: learned(client, mapper_id) == {"liked": 1.0, "disliked": 0.9})
    assert learned(client, mapper_id, "bo") == {"liked": 1.0, "disliked": 1.0}
    assert get(client, "/personas/ada")["learned"][mapper_id] == {"disliked": 0.9}
    assert get(client, f"/mappers/{mapper_id}")["learned"] == {}
    explained = {
        each["id"]: each for each in mapped(client, mapper_id, explain="true")["explanation"]["rules"]
    }
    assert explained["disliked"]["learnedFrom"]["shared"] is None
    assert explained["disliked"]["learnedFrom"]["own"]["multiplier"] == 0.9
    after = mapped(client, mapper_id)
    assert "learned" not in get(client, "/personas/ada", params={"asOf": before["freshness"]["position"]})
    for answer, own in ((before, None), (after, 0.9)):
        made = next(each for each in answer["suggestions"] if each["ruleId"] == "disliked")
        why = get(client, f"/suggestions/{made['id']}")
        assert why["explanation"]["learned"] == why["suggestion"]["learned"] == (own or 1.0)
        assert why["explanation"].get("learnedFrom", {}).get("own", {}).get("multiplier") == own


def test_offline_equals_online_with_what_was_learned(client: Client, service: Service) -> None:
    """The engine called with synced bodies gives the service's suggestions, byte for byte."""
    commits = suggest("commits", 0.9) | {"conditions": check("work.commits")}
    rules = [suggest("liked"), suggest("disliked"), commits]
    mapper_id = publish(client, "offline", "auto", "1.0.0", *rules)
    say(client, mapper_id, liked=True, disliked=False)
    say(client, mapper_id, people=["ada"], each=12, disliked=True)
    until(lambda: mapper_id in get(client, "/personas/ada").get("learned", {}))
    until(lambda: get(client, f"/mappers/{mapper_id}")["learned"].keys() == {"liked", "disliked"})
    items, after = [], {}
    while True:
        page = client.get("/sync", params={"limit": 500, **after}).json()
        items += page["items"]
        if page["upToDate"]:
            break
        after = {"since": page["next"]}
    bodies = {(item["kind"], item["id"]): item["body"] for item in items if item["op"] == "put"}
    synced = msgspec.convert(bodies["mapper", mapper_id], wire.SyncedMapper)
    for person in PEOPLE:
        persona = msgspec.convert(bodies["persona", person], wire.SyncedPersona)
        offline = evaluate(
            compile_mapper(synced.document),
            Facts(
                traits={**persona.core.traits, **persona.overlay}, context={}, at=datetime.fromisoformat(AT)
            ),
            persona_id=person,
            mapper_version=synced.version,
            limit=5,
            learned=combined(
                synced.learned, persona.learned.get(mapper_id, {}), synced.document["feedback_settings"]
            ),
        )
        online = client.get("/map-persona", params={"mapperId": mapper_id, "personaId": person, "at": AT})
        assert msgspec.json.encode(offline.suggestions) in online.content
    assert persona.learned == {} != bodies["persona", "ada"]["learned"]


def test_why_tells_the_multiplier_of_the_version_in_the_id(client: Client, mapper_id: str) -> None:
    before = next(each for each in mapped(client, mapper_id)["suggestions"] if each["ruleId"] == "disliked")
    split(client, mapper_id)
    adjust(client, mapper_id, "approve")
    adjust(client, mapper_id, "freeze")
    after = next(each for each in mapped(client, mapper_id)["suggestions"] if each["ruleId"] == "disliked")
    old, new = (get(client, f"/suggestions/{each['id']}") for each in (before, after))
    assert (old["explanation"]["weight"], old["explanation"]["learned"]) == (1.0, 1.0)
    assert "learnedFrom" not in old["explanation"]
    assert new["explanation"]["learned"] == new["suggestion"]["learned"] == 0.9
    shared = new["explanation"]["learnedFrom"]["shared"]
    assert (shared["multiplier"], shared["version"], shared["personas"]) == (0.9, 2, 3)


def test_feedback_on_an_old_version_finds_its_rule_and_of_a_gone_one_is_kept(
    client: Client, mapper_id: str
) -> None:
    old = mapped(client, mapper_id)["suggestions"]
    publish(client, mapper_id, "propose", "1.1.0", suggest("liked"))
    for suggestion in old:
        for _ in range(2):
            sent = client.post("/feedback", json={"suggestionId": suggestion["id"], "helpful": True})
            assert sent.status_code == 201
    get(client, "/mappers", headers={"PersonaKit-Min-Position": str(sent.json()["position"])})
    found = get(client, f"/mappers/{mapper_id}/weights")
    assert [(each["ruleId"], each["votes"]) for each in found["rules"]] == [("liked", 2.0)]
    assert [(each["ruleId"], each["votes"]) for each in found["gone"]] == [("disliked", 2.0)]
    assert "weight" not in found["gone"][0]
    assert counted(client, "personakit_feedback_on_gone_rules_total") >= 2


def test_feedback_sent_twice_counts_once(client: Client, mapper_id: str) -> None:
    body = {"id": str(uuid4()), "mapperId": mapper_id, "ruleId": "liked", "personaId": "ada", "helpful": True}
    assert [client.post("/feedback", json=body).status_code for _ in range(3)] == [201, 200, 200]
    when = {**body, "occurredAt": AT}
    assert client.post("/feedback", json=when).status_code == 409
    head = client.post("/feedback", json=body).json()["position"]
    get(client, "/mappers", headers={"PersonaKit-Min-Position": str(head)})
    assert weights(client, mapper_id)["liked"]["votes"] == 1.0


@pytest.mark.timeout(300)
def test_sixteen_at_one_mapper_lose_nothing(client: Client, service: Service) -> None:
    """Weights change, rules are frozen and thawed, documents are published, and it learns, all at once."""
    mapper_id = publish(client, "crowded", "auto")
    say(client, mapper_id, liked=True, disliked=False)

    def work(number: int) -> int:
        match number % 4:
            case 0:
                path = f"/mappers/{mapper_id}/rules/liked"
                return client.patch(path, json={"change": 0.001}).status_code
            case 1:
                action = "freeze" if number % 8 == 1 else "thaw"
                body = {"action": action, "rules": ["disliked"]}
                return client.post(f"/mappers/{mapper_id}/weights", json=body).status_code
            case 2:
                service.adjuster.adjust(TENANT, mapper_id, datetime.now(UTC).date() + DAY * (number // 40))
                return 200
            case _:
                say(client, mapper_id, people=["bo"], each=1, disliked=False)
                return 200

    with ThreadPoolExecutor(16) as threads:
        assert Counter(threads.map(work, range(200))) == {200: 200}
    shown = get(client, f"/mappers/{mapper_id}")
    assert shown["document"]["rules"][0]["weight"] == 1.05
    events = service.recorder.select_events(str(mapper_stream(TENANT, mapper_id)))
    assert [event.originator_version for event in events] == list(range(1, shown["version"] + 1))
    learned_ = [
        event.learned
        for _, event in service.streams.events(mapper_stream(TENANT, mapper_id))
        if isinstance(event, RuleWeightsAdjusted)
    ]
    assert learned_[-1] == shown["learned"]
    assert shown["learned"]["liked"] > 1.1
    for name in ("mappers", "mapper_versions", "changes", "votes", "personas"):
        assert verify(service.pool, service.projections[name], service.keys).clean
