"""Backtest: what it says of the past is what the service says as of it, and what was meant to come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from click.testing import CliRunner, Result
from litestar.testing import TestClient

from personakit.agents.backtest import Backtester, Question, instants_between, places
from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.cli.main import personakit
from personakit.cli.mappers.persona_facts import facts_of
from personakit.domain.events import MindscapeUpdated
from personakit.domain.mapper import publish
from personakit.domain.mindscape import EMPTY, evolve
from personakit.domain.publishing import Provenance
from personakit.domain.traits import Trait
from personakit.eventlog.access import create_key
from personakit.eventlog.everybody import Known
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded
from personakit_sdk import wire
from personakit_sdk.rules import Facts, TraitFact, compile_mapper, evaluate
from tests.integration.conftest import Client, follow
from tests.postgres import MASTER_KEY, MASTER_KEY_TEXT, url_of
from tests.unit.rules.mapper_cases import mapper, rule

TENANT = "default"
Answers = dict[str, Any]


PLAIN = Question()


def when(path: str, operator: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"trait_check": {"path": path, "operator": operator, "value": value, **more}}


BEFORE = mapper(
    rule("tired", conditions=when("energy", "less", 3)),
    rule("fit", conditions=when("energy", "greater", 3)),
    rule("steady", conditions=when("role", "equals", "maker")),
)
AFTER = mapper(
    rule("tired", conditions=when("energy", "less", 2)),
    rule("fit", conditions=when("energy", "greater", 3), weight=0.5),
    rule("steady", conditions=when("role", "equals", "maker"), weight=2),
    rule("sure", conditions=when("energy", "greater", 0, min_confidence=0.4)),
)


class Believed:
    """What is believed of people, written into the log step by step; instants lie between the steps."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.instants: list[datetime] = []

    def set(self, person: str, **traits: Any) -> None:
        surrogate = self.service.people.register(TENANT, [person])[person].surrogate
        stream = StreamId(TENANT, "mindscape", surrogate)
        update = MindscapeUpdated(
            traits={name: believed(value) for name, value in traits.items()},
            derivation="computed",
            definition="x",
            read_through=0,
        )
        self.service.streams.update(stream, Loaded(EMPTY, 0), evolve, lambda _: update, person=surrogate)
        follow(self.service)
        at = self.service.recorder.recorded_at(self.service.reader.head())
        assert at is not None
        self.instants.append(at)


def believed(value: Any) -> Trait:
    """A slow text; a fast number, which is believed by half at first and less with every second."""
    if isinstance(value, str):
        return Trait(value=value, volatility="low", source="test")
    seen = datetime.now(UTC)
    return Trait(
        value=value, volatility="high", source="test", weight=4.0, half_life_days=30.0, last_observed_at=seen
    )


@pytest.fixture(scope="module")
def past(quiet: Service) -> Believed:
    past = Believed(quiet)
    past.set("ada", energy=2, role="maker")
    past.set("bob", energy=4)
    past.set("ada", energy=5)
    quiet.regenerator.regenerate(TENANT, surrogate(quiet, "ada"))
    past.set("ada", role="leader")
    past.set("ada", energy=1)
    plan, by = compile_mapper(BEFORE), Provenance("test")
    quiet.mappers.change(TENANT, "small", lambda state: publish(state, plan, "active", by))
    follow(quiet)
    return past


@pytest.fixture(scope="module")
def client(quiet: Service, past: Believed) -> Iterator[Client]:
    key = create_key(quiet.recorder, TENANT, "test")
    with TestClient(create_app(quiet), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


def surrogate(service: Service, person: str) -> UUID:
    found = service.people.find(TENANT, person)
    assert found is not None
    return found.surrogate


def people(service: Service) -> list[Known]:
    return [Known(name, surrogate(service, name)) for name in ("ada", "bob")]


def run(past: Believed, instants: Sequence[datetime], question: Question = PLAIN) -> Answers:
    tester = Backtester(compile_mapper(BEFORE), compile_mapper(AFTER), question)
    found = tester.run(past.service.past, TENANT, people(past.service), instants)
    return dict(msgspec.to_builtins(found))


def test_what_comes_out_is_what_was_meant(past: Believed) -> None:
    found = run(past, past.instants)
    assert (found["personas"], found["unreadable"]) == (2, 0)
    assert found["mappings"] == 5 + 4  # bob is known from the second instant on
    rules = {change.pop("ruleId"): change for change in found["rules"]}
    # ada: energy 2 (twice), 5, 5, 1; maker until her core was made anew, which it was before `leader`.
    assert rules["tired"] == {"before": 3, "after": 1, "gained": 0, "lost": 2, "moved": 1}
    assert rules["fit"] == {"before": 6, "after": 6, "gained": 0, "lost": 0, "moved": 6}
    assert rules["steady"] == {"before": 5, "after": 5, "gained": 0, "lost": 0, "moved": 5}
    assert rules["sure"] == {"before": 0, "after": 9, "gained": 9, "lost": 0, "moved": 0}


def test_what_is_said_as_of_an_instant_is_what_the_service_says(past: Believed, client: Client) -> None:
    """Also between the steps, and where nobody was known."""
    between = [instant + timedelta(microseconds=400) for instant in past.instants]
    early = past.instants[0] - timedelta(days=1)
    instants = sorted([early, *past.instants, *between])
    sides = [compile_mapper(BEFORE), compile_mapper(AFTER)]
    wanted: dict[tuple[str, datetime], list[Any]] = {}
    for instant in instants:
        for person in ("ada", "bob"):
            answer = client.get(f"/personas/{person}", params={"asOf": instant.isoformat()})
            if answer.status_code == 404:
                continue
            persona = msgspec.json.decode(answer.content, type=wire.Persona)
            facts = Facts(traits=facts_of(persona), context={}, at=instant)
            decisions = [
                evaluate(plan, facts, persona_id=person, mapper_version=1, limit=5) for plan in sides
            ]
            wanted[person, instant] = [places(decision) for decision in decisions]
    seen: dict[tuple[str, datetime], list[Any]] = {}

    class Watched(Backtester):
        def compare(self, persona_id: str, facts: Facts, *own: Any) -> None:
            made = [evaluate(plan, facts, persona_id=persona_id, mapper_version=1, limit=5) for plan in sides]
            seen[persona_id, facts.at] = [places(decision) for decision in made]
            super().compare(persona_id, facts, *own)

    tester = Watched(*sides, Question())
    tester.run(past.service.past, TENANT, people(past.service), instants)
    assert len(seen) > 15
    assert seen == wanted


def test_now_is_what_map_persona_says(past: Believed, client: Client) -> None:
    now = datetime.now(UTC)
    body = {"mapperId": "small", "personaId": "ada", "at": now.isoformat(), "limit": 5}
    mapped = client.post("/map-persona", json=body).json()
    assert [each["ruleId"] for each in mapped["suggestions"]] == ["tired", "steady"]
    found = run(past, [now])
    counts = {change["ruleId"]: change["before"] for change in found["rules"]}
    assert counts == {"tired": 1, "fit": 1, "steady": 1, "sure": 0}  # bob is fit


def test_context_and_limit_are_those_asked_for(past: Believed) -> None:
    found = run(past, past.instants, Question(limit=1))
    assert max(change["before"] + change["after"] for change in found["rules"]) < 18
    assert sum(change["before"] for change in found["rules"]) == found["mappings"]


def test_the_log_is_read_once_however_many_instants(past: Believed, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, asked = past.service.recorder, list[str]()
    select = recorder.select_events

    def counted(originator_id: str, **given: Any) -> Any:
        asked.append(originator_id)
        return select(originator_id, **given)

    monkeypatch.setattr(recorder, "select_events", counted)
    run(past, past.instants[-1:])
    once = sorted(asked)
    asked.clear()
    run(past, instants_between(past.instants[0], past.instants[-1], 200))
    assert len(once) > 4
    assert sorted(asked) == once


def test_what_was_suggested_once_is_counted_as_one() -> None:
    tester = Backtester(compile_mapper(BEFORE), compile_mapper(AFTER), PLAIN)
    at = datetime(2026, 3, 2, tzinfo=UTC)
    tester.compare("ada", Facts(traits={"energy": TraitFact(value=2)}, context={}, at=at))
    found = msgspec.to_builtins(tester.told())
    counts = {rule["ruleId"]: [*rule.values()][1:] for rule in found["rules"]}
    assert [[type(count) for count in each] for each in counts.values()] == [[int] * 5] * 4
    assert (counts["tired"], counts["sure"]) == ([1, 0, 0, 1, 0], [0, 1, 1, 0, 0])


def test_examples_are_a_few_of_each_kind_of_each_rule(past: Believed) -> None:
    found = run(past, past.instants)
    gained = [each for each in found["examples"] if (each["kind"], each["ruleId"]) == ("gained", "sure")]
    assert len(gained) == 3
    assert all(each["before"] is None and each["after"] >= 1 for each in gained)
    moved = next(each for each in found["examples"] if each["kind"] == "moved")
    assert moved["before"] != moved["after"]


def test_instants_lie_in_their_spans_and_end_at_the_last() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    until = since + timedelta(days=10)
    instants = instants_between(since, until, 10)
    assert instants == sorted(instants)
    assert instants[-1] == until
    assert [(instant - since).days for instant in instants[:-1]] == list(range(9))
    assert len({instant.hour for instant in instants}) > 6
    assert instants_between(since, until, 1) == [until]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "after.json"
    path.write_bytes(msgspec.json.encode(AFTER))
    return str(path)


def command(database: str, *arguments: str) -> Result:
    environ = {"PERSONAKIT_DATABASE_URL": url_of(database), "PERSONAKIT_MASTER_KEY": MASTER_KEY_TEXT}
    result = CliRunner().invoke(personakit, ["mappers", "backtest", *arguments], env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def test_the_command_reads_the_database_and_tells_it(
    past: Believed, client: Client, database: str, file: str
) -> None:
    head = past.service.reader.head()
    since, until = past.instants[0].isoformat(), past.instants[-1].isoformat()
    arguments = (file, "--against", "small", "--since", since, "--until", until, "--samples", "4")
    result = command(database, *arguments)
    assert result.exit_code == 0, result.stderr
    told = result.stdout
    assert told.splitlines()[0] == f"small, version 1, and {file} (1.0.0)"
    assert "2 personas at 4 instants" in told
    assert "gained sure: " in told
    asked = msgspec.json.decode(command(database, *arguments, "--json").stdout)
    assert asked["found"]["instants"][-1] == until.replace("+00:00", "Z")
    assert (
        asked["found"]["rules"]
        == run(past, instants_between(past.instants[0], past.instants[-1], 4))["rules"]
    )
    assert past.service.reader.head() == head


def test_a_version_and_some_people_can_be_asked_for(
    past: Believed, client: Client, database: str, file: str
) -> None:
    one = msgspec.json.decode(
        command(database, file, "--against", "small@1", "--people", "1", "--json").stdout
    )
    assert one["found"]["personas"] == 1
    same = command(database, same_file(file), "--against", "small")
    assert "Every suggestion would have been the same." in same.stdout


def same_file(file: str) -> str:
    path = Path(file).with_name("before.json")
    path.write_bytes(msgspec.json.encode(BEFORE))
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--against", "nothing"), "has no mapper 'nothing'"),
        (("--against", "small@99"), "has no mapper 'small@99'"),
        (("--against", "small@x"), "no ID@VERSION"),
        (("--against", "small", "--since", "2999-01-01T00:00:00Z"), "lies after --until"),
        (("--against", "small", "--context", "{1}"), "no JSON object"),
    ],
)
def test_what_cannot_be_asked_is_exit_2(
    past: Believed, client: Client, database: str, file: str, arguments: tuple[str, ...], said: str
) -> None:
    result = command(database, file, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_file_that_is_not_valid_is_exit_1_with_its_faults(database: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("metadata: {id: x}\nrules: []\n")
    result = command(database, str(path), "--against", "small")
    assert result.exit_code == 1
    assert f"{path}:2:8: /rules: it is empty" in result.stderr


def test_who_had_not_consented_then_or_has_not_now_is_mapped_with_neither_or_the_other_version(
    past: Believed,
) -> None:
    """The version after says what it is for, the one before did not."""
    service, by = past.service, Provenance("test")
    dora = Known("dora", service.people.register(TENANT, ["dora"])["dora"].surrogate)
    marks: list[datetime] = []

    def then(*purposes: str) -> None:
        service.consents.change(TENANT, "dora", purposes, by)
        past.set("dora", energy=5)
        marks.append(past.instants.pop())

    def found(**after: Any) -> Answers:
        tester = Backtester(compile_mapper(AFTER), compile_mapper(AFTER | after), PLAIN)
        return dict(msgspec.to_builtins(tester.run(service.past, TENANT, [dora], marks)))

    then()
    service.consents.set_policy(TENANT, "required", by)
    try:
        then()  # withheld from here, as it is not said what either version is for
        then("wellbeing")
        silent, told = found(), found(purposes=["wellbeing"])
        assert (silent["mappings"], silent["withheld"], silent["differing"]) == (3, 3, 0)
        assert told["withheld"] == 3  # before, at each; after, not at the last
        assert told["differing"] == 2  # at the first consent was not required, at the last it was given
        then("learning")  # withdrawn: nothing is mapped any more
        withdrawn = found(purposes=["wellbeing"])
        assert (withdrawn["mappings"], withdrawn["withheld"], withdrawn["differing"]) == (4, 4, 0)
    finally:
        service.consents.set_policy(TENANT, "off", by)


def test_people_who_were_erased_are_left_out(past: Believed, database: str) -> None:
    past.set("eve", energy=1)
    eve = Known("eve", surrogate(past.service, "eve"))
    everybody = [*people(past.service), eve]
    with past.service.recorder.datastore.get_connection() as connection:
        connection.execute("DELETE FROM personakit.person_keys WHERE person = %s", (eve.surrogate,))
    # Another process, which never saw her key.
    fresh = Service(database, MASTER_KEY)
    try:
        tester = Backtester(compile_mapper(BEFORE), compile_mapper(AFTER), Question())
        found = tester.run(fresh.past, TENANT, everybody, past.instants)
    finally:
        fresh.close()
    assert found.personas == 2
