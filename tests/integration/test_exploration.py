"""Exploration over HTTP and evaluation by the command: what is drawn, told, brought back and made of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner, Result
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.cli.main import personakit
from personakit.domain.events import (
    MindscapeUpdated,
    PersonaWeightsAdjusted,
    RuleEvidence,
    RuleWeightsAdjusted,
)
from personakit.domain.exposure import decode
from personakit.domain.mapper import publish
from personakit.domain.mindscape import EMPTY, Mindscape, evolve
from personakit.domain.publishing import Provenance
from personakit.domain.traits import Trait
from personakit.eventlog.access import create_key
from personakit.eventlog.appender import NewEvent, wait
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded
from personakit.projections.verify import verify
from personakit_sdk.rules import compile_mapper
from tests.integration.conftest import Client, follow
from tests.postgres import MASTER_KEY_TEXT, url_of
from tests.unit.rules.mapper_cases import mapper, rule

TENANT = "default"
PEOPLE = {f"p{number}": "maker" if number % 2 else "leader" for number in range(6)}
MAKERS = {"trait_check": {"path": "role", "operator": "equals", "value": "maker"}}
PHONE = {"context_check": {"field": "device", "operator": "equals", "value": "phone"}}
GOOD = {"leader": {"walk", "tea"}, "maker": {"read", "tea"}}
"""Which suggestions of the three in the band are found good, by whom; and the one behind them."""


def anybody(name: str, **fields: Any) -> dict[str, Any]:
    return rule(name, conditions={"trait_check": {"path": "role", "operator": "exists"}}, **fields)


RULES = (
    anybody("walk"),
    anybody("rest"),
    rule("read", conditions=MAKERS),
    anybody("tea", weight=0.5),
    rule("call", conditions=PHONE),
)


def document(id_: str, *rules: dict[str, Any], **settings: Any) -> dict[str, Any]:
    made = mapper(*(rules or RULES), feedback_settings=settings)
    made["metadata"]["id"] = id_
    return made


def publish_(service: Service, document: dict[str, Any]) -> None:
    plan, by = compile_mapper(document), Provenance("test")
    mapper_id = document["metadata"]["id"]
    service.mappers.change(TENANT, mapper_id, lambda state: publish(state, plan, "active", by))
    follow(service)


@pytest.fixture(scope="module")
def exploring(quiet: Service) -> Service:
    for person, role in PEOPLE.items():
        surrogate = quiet.people.register(TENANT, [person])[person].surrogate
        update = MindscapeUpdated(
            traits={"role": Trait(value=role, volatility="low", source="test")},
            derivation="computed",
            definition="x",
            read_through=0,
        )
        stream = StreamId(TENANT, "mindscape", surrogate)
        decide = partial(_always, update)
        quiet.streams.update(stream, Loaded(EMPTY, 0), evolve, decide, person=surrogate)
    publish_(quiet, document("curious", exploration=0.1))
    publish_(quiet, document("settled"))
    return quiet


def _always(update: MindscapeUpdated, _: Mindscape) -> MindscapeUpdated:
    return update


@pytest.fixture(scope="module")
def client(exploring: Service) -> Iterator[Client]:
    key = create_key(exploring.recorder, TENANT, "test")
    with TestClient(create_app(exploring), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


def asked(client: Client, at: datetime, persona: str = "p1", mapper_id: str = "curious", **more: Any) -> Any:
    body = {"mapperId": mapper_id, "personaId": persona, "at": at.isoformat(), **more}
    answer = client.post("/map-persona", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def suggested(client: Client, at: datetime, persona: str = "p1", **more: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = asked(client, at, persona, **more)["suggestions"]
    return made


def names(suggestions: list[dict[str, Any]]) -> list[str]:
    return [each["ruleId"] for each in suggestions]


def instants(count: int) -> list[datetime]:
    now = datetime.now(UTC)
    return [now + timedelta(milliseconds=number) for number in range(count)]


def test_what_scores_about_the_same_changes_places_and_the_rest_stays(client: Client) -> None:
    orders = [names(suggested(client, at)) for at in instants(60)]
    assert len({tuple(order[:3]) for order in orders}) == 6
    assert {order[3] for order in orders} == {"tea"}
    assert {tuple(names(suggested(client, at, "p0"))[:2]) for at in instants(30)} == {
        ("walk", "rest"),
        ("rest", "walk"),
    }


def test_the_same_question_has_the_same_answer_however_it_is_asked(client: Client) -> None:
    for at in instants(5):
        first = suggested(client, at)
        assert suggested(client, at) == first
        query = {"mapperId": "curious", "personaId": "p1", "at": at.isoformat()}
        assert client.get("/map-persona", params=query).json()["suggestions"] == first
        assert suggested(client, at, explain=True) == first
        assert suggested(client, at, limit=2) == first[:2]


def test_an_explanation_has_the_order_that_was_drawn(client: Client) -> None:
    for at in instants(5):
        told = asked(client, at, explain=True)
        ranks = {
            each["id"]: fate["rank"] for each in told["explanation"]["rules"] for fate in each["suggestions"]
        }
        assert sorted(ranks, key=lambda name: ranks[name]) == names(told["suggestions"])


def test_why_tells_the_place_that_was_drawn(client: Client) -> None:
    for at in instants(5):
        for suggestion in suggested(client, at):
            why = client.get(f"/suggestions/{suggestion['id']}").json()
            assert why["suggestion"]["id"] == suggestion["id"]
            assert why["explanation"]["suggestions"][0]["rank"] == why["rank"]


def test_each_instant_of_the_clock_has_its_own_order(client: Client) -> None:
    """Nothing that was decided is kept."""
    query = {"mapperId": "curious", "personaId": "p1"}
    orders = {tuple(names(client.get("/map-persona", params=query).json()["suggestions"])) for _ in range(40)}
    assert len(orders) > 2


def test_each_suggestion_says_by_which_chance_sealed(client: Client, exploring: Service) -> None:
    made = suggested(client, datetime.now(UTC))
    places = [decode(exploring.secret, TENANT, each["id"], each["exposure"]) for each in made]
    assert [place.propensity for place in places] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1.0])
    assert [place.among for place in places] == [("read", "rest", "walk")] * 3 + [("tea",)]


def test_a_mapper_that_does_not_explore_says_nothing_of_it(client: Client) -> None:
    for at in instants(5):
        made = suggested(client, at, mapper_id="settled")
        assert names(made) == ["walk", "rest", "read", "tea"]
        assert all("exposure" not in each for each in made)


def test_what_is_believed_of_a_rule_counts(exploring: Service, client: Client) -> None:
    publish_(exploring, document("taught", exploration=0.1))
    believed = RuleEvidence(rate=0.95, votes=200.0, personas=9)
    event = RuleWeightsAdjusted(
        mapper_id="taught",
        learned={},
        frozen=(),
        day=date(2026, 3, 2),
        morning={},
        settled=True,
        evidence={"rest": believed},
        read_through=1,
        cause="learned",
        origin="test",
    )
    exploring.mappers.change(TENANT, "taught", lambda _: event)
    follow(exploring)
    first = [names(suggested(client, at, mapper_id="taught"))[0] for at in instants(60)]
    assert first.count("rest") > 40


def test_asking_writes_nothing(client: Client, exploring: Service) -> None:
    head = exploring.reader.head()
    suggested(client, datetime.now(UTC))
    assert exploring.reader.head() == head


def test_feedback_brings_the_chance_back(client: Client, exploring: Service) -> None:
    suggestion = suggested(client, datetime.now(UTC), "p3")[1]
    sent = {"suggestionId": suggestion["id"], "exposure": suggestion["exposure"], "helpful": True}
    first = client.post("/feedback", json=sent, headers={"Idempotency-Key": "a"})
    again = client.post("/feedback", json=sent, headers={"Idempotency-Key": "a"})
    assert [first.status_code, again.status_code] == [201, 200]
    plain = client.post("/feedback", json={"suggestionId": suggestion["id"], "helpful": True})
    assert plain.status_code == 201
    follow(exploring)
    with exploring.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows(
            "feedback.by_rule", tenant=TENANT, mapper_id="curious", rule_id=suggestion["ruleId"]
        )
    told = {row["position"]: (row["propensity"], row["among"]) for row in rows}
    place = decode(exploring.secret, TENANT, suggestion["id"], suggestion["exposure"])
    assert told[first.json()["position"]] == (place.propensity, list(place.among))
    assert told[plain.json()["position"]] == (None, [])


def test_an_exposure_that_is_not_the_suggestions_own_is_refused(client: Client, exploring: Service) -> None:
    one, other = suggested(client, datetime.now(UTC))[:2]
    head = exploring.reader.head()
    for exposure in (other["exposure"], one["exposure"][:-2], "x", "é" * 10):
        refused = client.post(
            "/feedback", json={"suggestionId": one["id"], "exposure": exposure, "helpful": True}
        )
        assert refused.status_code == 400
        assert "not the one that came with this suggestion" in refused.json()["detail"]
        assert refused.json()["errors"][0]["pointer"] == "/exposure"
    named = {"mapperId": "curious", "ruleId": one["ruleId"], "personaId": "p1", "helpful": True}
    alone = client.post("/feedback", json=named | {"exposure": one["exposure"]})
    assert alone.status_code == 422
    assert "send it with that one's `suggestionId`" in alone.json()["detail"]
    assert exploring.reader.head() == head


def test_a_push_brings_back_the_exposure_that_a_client_kept(client: Client, exploring: Service) -> None:
    one, other = suggested(client, datetime.now(UTC), "p5")[:2]
    items = [kept(one, one["exposure"]), kept(one, other["exposure"])]
    answered = client.post("/sync", json={"clientId": "c", "items": items}).json()["results"]
    fine, refused = (answered[item["id"]] for item in items)
    assert (fine["status"], refused["status"]) == ("stored", "rejected")
    assert refused["problem"]["type"] == "urn:personakit:problem:exposure-invalid"
    follow(exploring)
    with exploring.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("feedback.by_rule", tenant=TENANT, mapper_id="curious", rule_id=one["ruleId"])
    (told,) = [row["propensity"] for row in rows if row["position"] == fine["position"]]
    assert told == decode(exploring.secret, TENANT, one["id"], one["exposure"]).propensity


def kept(suggestion: dict[str, Any], exposure: str) -> dict[str, Any]:
    """A vote as it waits in an outbox."""
    return {
        "id": str(uuid4()),
        "kind": "feedback",
        "key": "p5",
        "occurredAt": datetime.now(UTC).isoformat(),
        "body": {"suggestionId": suggestion["id"], "exposure": exposure, "helpful": True},
    }


# --- evaluation


@pytest.fixture(scope="module")
def voted(client: Client, exploring: Service) -> Service:
    """Each of the people was asked forty times; the first two places were voted on."""
    for at in instants(40):
        for person, role in PEOPLE.items():
            for suggestion in suggested(client, at, person)[:2]:
                vote(client, suggestion, helpful=suggestion["ruleId"] in GOOD[role])
    follow(exploring)
    return exploring


def vote(client: Client, suggestion: dict[str, Any], **said: Any) -> None:
    sent = {"suggestionId": suggestion["id"], "exposure": suggestion["exposure"], **said}
    assert client.post("/feedback", json=sent).status_code == 201


def file_of(tmp_path: Path, *rules: dict[str, Any], name: str = "other.json") -> str:
    path = tmp_path / name
    path.write_bytes(msgspec.json.encode(document("curious", *rules)))
    return str(path)


def command(database: str, *arguments: str) -> Result:
    environ = {"PERSONAKIT_DATABASE_URL": url_of(database), "PERSONAKIT_MASTER_KEY": MASTER_KEY_TEXT}
    result = CliRunner().invoke(personakit, ["mappers", "evaluate", *arguments], env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def evaluated(database: str, *arguments: str) -> dict[str, Any]:
    result = command(database, "curious", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = msgspec.json.decode(result.stdout)
    return found


READ_FIRST = (anybody("walk", weight=2), anybody("rest"), rule("read", conditions=MAKERS, weight=3))
"""Leaders get walk and rest, makers read and walk."""
TRUTH = fmean([1, 0, 1, 0])


def test_another_version_is_as_good_as_it_would_have_been(
    voted: Service, database: str, tmp_path: Path
) -> None:
    head = voted.reader.head()
    found = evaluated(database, "--file", file_of(tmp_path, *READ_FIRST), "--since", "2026-01-01T00:00:00Z")
    assert found["leftOut"] == {"changed": 0, "beyond": 0, "empty": 0, "unreadable": 0}
    told = found["estimates"]
    assert told["answers"] >= 240
    for name in ("ips", "snips", "doublyRobust"):
        estimate = told[name]
        assert estimate["low"] < estimate["value"] < estimate["high"]
        # 4.5 standard errors: wrong in one of 100,000 runs
        assert abs(estimate["value"] - TRUTH) < (estimate["high"] - estimate["low"]) * 4.5 / 3.92
    assert told["effective"] > 60
    assert 0.7 < told["meanWeight"] < 1.3
    assert voted.reader.head() == head


def test_a_better_version_is_told_from_a_worse_one(voted: Service, database: str, tmp_path: Path) -> None:
    rest_first = (anybody("rest", weight=3), anybody("walk", weight=1), rule("read", conditions=MAKERS))
    good = evaluated(database, "--file", file_of(tmp_path, *READ_FIRST))["estimates"]
    bad = evaluated(database, "--file", file_of(tmp_path, *rest_first, name="bad.json"))["estimates"]
    assert good["snips"]["value"] > bad["snips"]["value"] + 0.05


def test_the_table_says_it_in_words(voted: Service, database: str, tmp_path: Path) -> None:
    result = command(database, "curious", "--file", file_of(tmp_path, *READ_FIRST))
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines[2:7]] == ["as", "IPS", "SNIPS", "doubly", "gain"]
    assert "votes on explored answers" in result.stdout
    assert "answers of equal weight" in result.stdout


def test_the_version_in_use_can_be_evaluated_too(voted: Service, database: str) -> None:
    """It is taken without its exploration, in the author's order: walk, rest, read."""
    found = evaluated(database, "--version", "1")
    assert (found["version"], found["file"]) == (1, None)
    assert abs(found["estimates"]["snips"]["value"] - fmean([1, 0, 0, 0])) < 0.15


def test_what_says_nothing_of_a_version_is_left_out_and_counted(
    voted: Service, client: Client, database: str, tmp_path: Path
) -> None:
    votes = evaluated(database, "--version", "1")["votes"]
    makers = sum(role == "maker" for role in PEOPLE.values()) * 80
    only = evaluated(database, "--file", file_of(tmp_path, rule("read", conditions=MAKERS), anybody("rest")))
    assert only["leftOut"]["empty"] >= (votes - makers) / 2 - 2  # leaders get one suggestion
    beyond = evaluated(database, "--file", file_of(tmp_path, anybody("tea", weight=3), *READ_FIRST[:2]))
    assert beyond["leftOut"]["beyond"] >= votes / 2 - 2  # tea never stood first
    assert beyond["estimates"]["rows"] + sum(beyond["leftOut"].values()) == votes


def test_an_answer_whose_context_is_not_known_is_left_out(
    exploring: Service, client: Client, database: str, tmp_path: Path
) -> None:
    publish_(exploring, document("called", *RULES, exploration=0.1))
    path = tmp_path / "called.json"
    path.write_bytes(msgspec.json.encode(document("called")))
    for at in instants(60):
        first, *_ = suggested(client, at, "p0", mapper_id="called", context={"device": "phone"})
        vote(client, first, outcome="accepted")
    follow(exploring)
    arguments = ("called", "--file", str(path), "--json")
    refused = command(database, *arguments)
    assert refused.exit_code == 1
    assert msgspec.json.decode(refused.stdout)["leftOut"]["changed"] == 60
    given = ["--context", '{"device": "phone"}']
    assert command(database, *arguments, *given, "--since", "2999-01-01T00:00:00Z").exit_code == 1
    told = msgspec.json.decode(command(database, *arguments, *given).stdout)
    assert told["leftOut"]["changed"] == 0


def test_the_last_word_on_a_suggestion_counts(
    exploring: Service, client: Client, database: str, tmp_path: Path
) -> None:
    publish_(exploring, document("revised", exploration=0.1))
    for at in instants(90):
        first, *_ = suggested(client, at, "p0", mapper_id="revised")
        vote(client, first, outcome="ignored")
        vote(client, first, rating=5)
    follow(exploring)
    told = msgspec.json.decode(command(database, "revised", "--version", "1", "--json").stdout)
    assert told["votes"] == 90
    assert told["estimates"]["snips"]["value"] == 1


def test_what_was_learned_for_a_persona_by_then_counts(
    exploring: Service, client: Client, database: str
) -> None:
    """To p0 the version would have said `rest` first, from when that was learned on."""
    publish_(exploring, document("own", exploration=1))
    for at in instants(120):
        vote(client, first := suggested(client, at, "p0", mapper_id="own")[0], helpful=says(first, "walk"))
    learned = PersonaWeightsAdjusted(
        mapper_id="own",
        learned={"rest": 1.5},
        day=date(2026, 3, 2),
        morning={},
        settled=True,
        evidence={},
        read_through=1,
    )
    person = exploring.people.register(TENANT, ["p0"])["p0"]
    stream = StreamId(TENANT, "persona", person.surrogate)
    wait(exploring.appender.append([NewEvent(stream, 1, learned, person)]))
    follow(exploring)
    for at in instants(120):
        vote(client, first := suggested(client, at, "p0", mapper_id="own")[0], helpful=says(first, "rest"))
    follow(exploring)
    told = msgspec.json.decode(command(database, "own", "--version", "1", "--json").stdout)
    assert told["estimates"]["snips"]["value"] == 1


def says(suggestion: dict[str, Any], rule_id: str) -> bool:
    return bool(suggestion["ruleId"] == rule_id)


def test_where_nothing_was_left_to_chance_it_refuses(
    exploring: Service, client: Client, database: str
) -> None:
    for at in instants(3):
        first, *_ = suggested(client, at, "p0", mapper_id="settled")
        client.post("/feedback", json={"suggestionId": first["id"], "helpful": True})
    follow(exploring)
    refused = command(database, "settled", "--version", "1")
    assert refused.exit_code == 1
    assert "nothing was left to chance" in refused.stderr
    assert "Set `exploration`" in refused.stderr
    told = command(database, "settled", "--version", "1", "--json")
    assert told.exit_code == 1
    found = msgspec.json.decode(told.stdout)
    assert (found["votes"], found["estimates"]) == (0, None)
    assert "nothing was left to chance" in found["refused"]


def test_where_too_little_was_left_to_chance_it_refuses(
    exploring: Service, client: Client, database: str
) -> None:
    publish_(exploring, document("young", exploration=0.1))
    for at in instants(12):
        vote(client, suggested(client, at, "p0", mapper_id="young")[0], helpful=True)
    follow(exploring)
    refused = command(database, "young", "--version", "1")
    assert refused.exit_code == 1
    assert "and it takes 30" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing", "--version", "1"), "has no mapper 'nothing'"),
        (("curious", "--version", "99"), "has no version 99"),
        (("curious",), "either --version or --file"),
        (("settled", "--file", "other.json"), "is a version of 'curious', not of 'settled'"),
    ],
)
def test_what_cannot_be_asked_is_exit_2(
    exploring: Service, database: str, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    other = file_of(tmp_path)
    result = command(database, *(other if each == "other.json" else each for each in arguments))
    assert result.exit_code == 2
    assert said in result.stderr


def test_the_read_model_is_what_a_replay_gives(voted: Service) -> None:
    found = verify(voted.pool, voted.projections["feedback"], voted.keys)
    assert (found.clean, found.rows > 480) == (True, True)
