"""Time travel: what is answered as of a position is what was answered live at that position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient

from personakit.agents.mindscaper import Mindscaper
from personakit.agents.service import Service
from personakit.agents.tenant_rules import TenantRules
from personakit.api import mindscapes, personas, present
from personakit.api.app import create_app
from personakit.domain.events import (
    ConsentChanged,
    DerivationCompleted,
    Event,
    MindscapeUpdated,
    PersonaCoreGenerated,
)
from personakit.domain.grant import Grant
from personakit.domain.mindscape import Pin
from personakit.domain.publishing import Provenance
from personakit.domain.traits import Trait
from personakit.eventlog.access import create_key, grant_key
from personakit.eventlog.appender import NewEvent, wait
from personakit.eventlog.stored import StreamId
from personakit.projections.follow import Followers
from personakit.shipped import computed_traits_dir
from personakit_sdk import wire
from personakit_sdk.rules.yaml import load_yaml
from tests.integration.conftest import Client, follow

TENANT = "default"
START = datetime(2026, 1, 5, 21, tzinfo=UTC)
LEAST = timedelta(microseconds=1)
PEOPLE = ("ada", "bob")
Answers = dict[tuple[int, str], Any]


@pytest.fixture(scope="module")
def client(quiet: Service) -> Iterator[Client]:
    key = create_key(quiet.recorder, TENANT, "test")
    with TestClient(create_app(quiet), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


class Walk:
    """A history in the making. After each event it keeps what is answered live, as of its recording."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.live: Answers = {}
        self.recorded_at: dict[int, datetime] = {}

    def follow(self) -> None:
        """Lets every read model take one event, then the next; live answers are kept in between."""
        service = self.service
        followers = Followers(service.pool, service.projections.values(), service.keys)
        while followers.step(span=1).moved:
            self._keep()

    def observe(self, person: str, *hours: int, kind: str = "code_commit", **content: Any) -> None:
        self.service.intake.record(TENANT, [observation(person, hour, kind, content) for hour in hours])

    def retract(self, person: str, *which: int) -> None:
        """Of the observations that count, those at these places."""
        whose = {"person": surrogate(self.service, person), "after": 0, "through": 2**62, "limit": 1000}
        with self.service.reader.snapshot_of_all() as snapshot:
            rows = snapshot.rows("observations.by_person", tenant=TENANT, **whose)
        for index in which:
            self.service.retractions.retract(TENANT, rows[index]["id"])

    def derive(self, person: str, rules: TenantRules | None = None) -> None:
        service = self.service
        by = rules or service.rules
        Mindscaper(service.reader, service.streams, by).derive(TENANT, surrogate(service, person))

    def _keep(self) -> None:
        position = min(state.position for state in self.service.reader.states())
        at = self.service.recorder.recorded_at(position)
        assert at is not None
        self.recorded_at[position] = at
        for person in PEOPLE:
            if registered(self.service, person, position):
                self.live |= live(self.service, person, position, at)


def observation(person: str, hour: int, kind: str, content: dict[str, Any]) -> wire.Observation:
    values = {"lines_changed": hour, "files_changed": 2, "languages": ["Python"], "merge": False}
    return wire.Observation(
        id=uuid4(),
        person_id=person,
        type=kind,
        content=values | content,
        occurred_at=START + timedelta(hours=hour),
    )


def surrogate(service: Service, person: str) -> UUID:
    found = service.people.find(TENANT, person)
    assert found is not None
    return found.surrogate


def registered(service: Service, person: str, position: int) -> bool:
    if service.people.find(TENANT, person) is None:
        return False
    return (service.past.registered_at(TENANT, surrogate(service, person)) or position + 1) <= position


def live(service: Service, person: str, position: int, at: datetime) -> Answers:
    """What is answered live of a person, by path; `at` stands for now."""
    caller = grant_key(service.recorder, TENANT, "test", Grant()).key
    shown = {
        "mindscapes": mindscapes.show(service, caller, person, at, cached=False),
        "personas": personas.show(service, caller, person, at, cached=False),
    }
    assert {answer.headers["PersonaKit-Position"] for answer in shown.values()} == {str(position)}
    return {
        (position, f"/{name}/{person}"): msgspec.json.decode(msgspec.json.encode(answer.content))
        for name, answer in shown.items()
    }


def other_rules() -> TenantRules:
    """Rules with another fingerprint: some of the shipped ones for commits, and one trait more."""
    document = load_yaml((computed_traits_dir() / "code_commit.yaml").read_text())
    extra = {"path": "work.smallest_commit", "from": "lines_changed", "aggregate": "min", "volatility": "low"}
    return TenantRules([document | {"traits": [*document["traits"][:-1], extra]}])


@pytest.fixture(scope="module")
def walk(quiet: Service, client: Client) -> Walk:
    """Two people: mindscapes grow and come by other rules, cores race, go stale and are made anew."""
    walk = Walk(quiet)
    walk.observe("ada", 1, 2, 3)
    walk.follow()
    walk.derive("ada")
    walk.observe("bob", 5)
    walk.follow()
    walk.derive("bob")
    quiet.regenerator.regenerate(TENANT, surrogate(quiet, "ada"))
    walk.follow()
    walk.observe("ada", *range(20, 60))
    walk.observe("bob", 7, kind="note")
    walk.follow()
    walk.derive("ada")  # stale from here
    walk.derive("bob")  # nothing to change
    walk.follow()
    quiet.curator.pin(TENANT, surrogate(quiet, "ada"), "work.commits", Pin(7, "low", "mine", "key: ada"))
    quiet.curator.pin(TENANT, surrogate(quiet, "bob"), "diet", Pin("vegan", "high", "told me", "key: bob"))
    walk.follow()
    walk.observe("ada", *range(1000, 1100), languages=["Rust"])
    walk.observe("ada", 2000, kind="note")
    walk.follow()
    walk.derive("ada")
    walk.follow()
    quiet.regenerator.regenerate(TENANT, surrogate(quiet, "ada"))
    walk.follow()
    walk.retract("ada", *range(10, 60))
    walk.follow()
    walk.derive("ada")  # anew, without them
    walk.follow()
    walk.observe("bob", *range(30, 70))
    walk.retract("bob", 0)
    walk.follow()
    walk.derive("bob", other_rules())
    quiet.curator.unpin(TENANT, surrogate(quiet, "ada"), "work.commits", "counted by now", "key: ada")
    quiet.regenerator.regenerate(TENANT, surrogate(quiet, "bob"))  # read before that: born stale
    walk.follow()
    walk.derive("bob")
    walk.follow()
    quiet.regenerator.regenerate(TENANT, surrogate(quiet, "bob"))
    walk.observe("bob", *range(100, 103))
    walk.follow()
    by = Provenance("key: test")
    for person, purposes in (("ada", ["learning", "wellbeing"]), ("bob", ["learning"]), ("ada", [])):
        quiet.consents.change(TENANT, person, purposes, by)
        walk.follow()
    return walk


def test_the_walk_has_been_everywhere(walk: Walk) -> None:
    people = [answer for (_, path), answer in walk.live.items() if path.startswith("/personas")]
    events = {row.topic.partition(".")[0] for row in walk.service.recorder.select_notifications(1, 10_000)}
    assert {"DerivationCompleted", "MindscapeUpdated", "PersonaCoreGenerated"} <= events
    assert {"ObservationRetracted", "TraitPinned", "ConsentChanged"} <= events
    assert {tuple(answer.get("consentedTo", ())) for answer in people} == {
        (),
        ("learning",),
        ("learning", "wellbeing"),
    }
    assert {answer["coreVersion"] for answer in people} == {0, 1, 2}
    assert {answer["isStale"] for answer in people} == {True, False}
    assert {len(answer.get("changedTraits", ())) > 0 for answer in people} == {True, False}
    assert len(walk.live) > 400


def test_every_position_is_answered_as_it_was_live(walk: Walk, client: Client) -> None:
    for (position, path), answered in walk.live.items():
        past = client.get(path, params={"asOf": str(position)})
        assert past.status_code == 200, past.text
        assert past.json() == answered, (position, path)
        assert past.headers["PersonaKit-Position"] == str(position)


def test_a_time_is_answered_as_the_newest_position_recorded_by_then(walk: Walk, client: Client) -> None:
    def asked(path: str, at: datetime) -> Any:
        return client.get(path, params={"asOf": at.isoformat()}).json()

    known = sorted({position for position, path in walk.live if path == "/personas/ada"})
    for position in known[::7]:
        answered, at = walk.live[position, "/personas/ada"], walk.recorded_at[position]
        assert asked("/personas/ada", at) == answered
        if position > known[0]:
            assert asked("/personas/ada", at - LEAST)["position"] == position - 1


def test_confidence_is_that_of_the_time_given(walk: Walk, client: Client) -> None:
    follow(walk.service)
    now, head = datetime.now(UTC), walk.service.reader.head()
    for path, answered in live(walk.service, "ada", head, now).items():
        assert client.get(path[1], params={"asOf": now.isoformat()}).json() == answered


def test_a_clock_that_is_a_little_ahead_is_forgiven(walk: Walk, client: Client) -> None:
    head = walk.service.reader.head()
    ahead = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()
    assert client.get("/mindscapes/ada", params={"asOf": ahead}).json()["position"] == head


@pytest.mark.parametrize("path", ["/mindscapes/bob", "/personas/bob"])
def test_a_person_who_was_not_known_yet_is_not_found(walk: Walk, client: Client, path: str) -> None:
    first = min(position for position, each in walk.live if each == path)
    for as_of in (0, first - 1, (walk.recorded_at[first] - LEAST).isoformat(), "0001-01-01T00:00:00+14:00"):
        answer = client.get(path, params={"asOf": as_of})
        assert answer.status_code == 404
        assert f"nothing was known of 'bob', who is known from position {first} on" in answer.text
    assert client.get(path, params={"asOf": first}).status_code == 200


BAD = {
    "a word": ("yesterday", 422, "invalid-input", "a log position (a whole number) or an RFC 3339 time"),
    "no offset": ("2026-03-02T09:00:00", 422, "invalid-input", 'asOf is \\"2026-03-02T09:00:00\\"'),
    "a plus not encoded": ("2026-03-02T09:00:00 01:00", 422, "invalid-input", "%2B"),
    "a day": ("2026-03-02", 422, "invalid-input", "with an offset"),
    "nothing": ("", 422, "invalid-input", "with an offset"),
    "below zero": ("-1", 422, "invalid-input", "a whole number"),
    "other digits": ("١٢", 422, "invalid-input", "a whole number"),
    "a fraction": ("1.5", 422, "invalid-input", "a whole number"),
    "the future": ("2999-01-01T00:00:00Z", 422, "invalid-input", "future"),
    "beyond the head": ("999999999999999999", 400, "beyond-head", "beyond the end of the log"),
    "beyond all numbers": ("9" * 30, 422, "invalid-input", "a whole number"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("path", ["/mindscapes/ada", "/personas/ada"])
def test_a_bad_as_of_is_refused_with_what_to_give(walk: Walk, client: Client, path: str, case: str) -> None:
    given, status, slug, said = BAD[case]
    answer = client.get(path, params={"asOf": given})
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:personakit:problem:{slug}")
    assert said in answer.text


def test_nobody_and_no_created_persona_is_found_in_the_past(walk: Walk, client: Client) -> None:
    for path in ("/mindscapes/nobody", "/personas/nobody", f"/personas/~{uuid4()}", "/personas/~nonsense"):
        assert client.get(path, params={"asOf": "1"}).status_code == 404
    of_a_person = f"/personas/~{surrogate(walk.service, 'ada')}"
    assert client.get(of_a_person, params={"asOf": str(walk.service.reader.head())}).status_code == 404
    assert client.get("/mindscapes/nobody/history").status_code == 404


def pages(client: Client, path: str, limit: int) -> Iterator[list[dict[str, Any]]]:
    after: dict[str, str] = {}
    while True:
        page = client.get(path, params={"limit": str(limit), **after}).json()
        yield page["items"]
        if page["next"] is None:
            return
        after = {"after": page["next"]}


@pytest.mark.parametrize("person", PEOPLE)
def test_the_history_leads_from_each_version_to_the_next(walk: Walk, client: Client, person: str) -> None:
    versions = [item for page in pages(client, f"/mindscapes/{person}/history", 50) for item in page]
    assert [item["version"] for item in versions] == list(range(len(versions), 0, -1))
    seen: dict[str, Any] = {}
    for item in reversed(versions):
        mindscape = client.get(f"/mindscapes/{person}", params={"asOf": item["position"]}).json()
        assert mindscape["version"] == item["version"]
        assert walk.recorded_at[item["position"]] == datetime.fromisoformat(item["recordedAt"])
        for change in item["changed"]:
            before = change["before"] and change["before"]["value"]
            assert before == seen.pop(change["path"], None)
            if change["after"] is not None:
                trait = mindscape["traits"][change["path"]]
                seen[change["path"]] = trait["value"]
                assert change["after"] == {name: trait[name] for name in change["after"]}
        assert seen == {path: trait["value"] for path, trait in mindscape["traits"].items()}


def test_the_history_says_why_and_by_whom(walk: Walk, client: Client) -> None:
    newest, *_, oldest = client.get("/mindscapes/bob/history").json()["items"]
    assert (oldest["agent"], oldest["derivation"], oldest["version"]) == ("mindscaper", "computed", 1)
    assert oldest["definition"] == newest["definition"] == walk.service.rules.shipped.fingerprint
    assert "for the first time" in oldest["reason"]
    assert "began again by other rules" in newest["reason"]
    assert "work.smallest_commit" in {
        change["path"] for change in newest["changed"] if change["after"] is None and change["material"]
    }
    assert "computed:code_commit@" in newest["reason"]


def test_the_history_comes_in_pages_and_says_its_position(walk: Walk, client: Client) -> None:
    whole = client.get("/mindscapes/ada/history")
    assert whole.headers["PersonaKit-Position"] == str(walk.service.reader.head())
    assert len(whole.json()["items"]) > 2
    for limit in (1, 2):
        paged = list(pages(client, "/mindscapes/ada/history", limit))
        assert all(len(page) == limit for page in paged[:-1])
        assert [item for page in paged for item in page] == whole.json()["items"]
    assert client.get("/mindscapes/ada/history", params={"after": "x"}).status_code == 422


def trait(volatility: str) -> Trait:
    return Trait(value=1, volatility=volatility, source="test")  # type: ignore[arg-type]


updates = st.builds(
    lambda material, definition, read_through: MindscapeUpdated(
        traits={path: trait("low") for path in material} | {"fast": trait("high")},
        derivation="computed",
        definition=definition,
        read_through=read_through,
        material=tuple(sorted(material)),
    ),
    st.sets(st.sampled_from(["a", "b", "c"]), max_size=2),
    st.sampled_from("xy"),
    st.integers(0, 5),
)
completions = st.builds(
    DerivationCompleted,
    derivation=st.just("computed"),
    definition=st.sampled_from("xy"),
    read_through=st.integers(0, 5),
)
consents = st.builds(
    ConsentChanged,
    purposes=st.sets(st.sampled_from(["a", "b"])).map(lambda purposes: tuple(sorted(purposes))),
    origin=st.just("key: test"),
)
cores = st.integers(0, 4)
"""How many versions the mindscape is ahead when the core is written."""


@settings(max_examples=12, deadline=None)
@given(steps=st.lists(st.one_of(updates, cores, completions, consents), min_size=1, max_size=12))
def test_any_history_is_folded_as_the_read_models_have_it(
    quiet: Service, steps: Sequence[MindscapeUpdated | DerivationCompleted | ConsentChanged | int]
) -> None:
    name = f"any-{uuid4()}"
    about = quiet.people.register(TENANT, [name])[name]
    person = about.surrogate
    versions = dict.fromkeys(("mindscape", "persona", "derivation.computed"), 0) | {"person": 1}
    for step in steps:
        event: Event
        match step:
            case int():
                kind, event = "persona", core(person, max(0, versions["mindscape"] - step))
            case MindscapeUpdated():
                kind, event = "mindscape", step
            case DerivationCompleted():
                kind, event = "derivation.computed", step
            case ConsentChanged():
                kind, event = "person", step
        versions[kind] += 1
        new = NewEvent(StreamId(TENANT, kind, person), versions[kind], event, about)
        (appended,) = wait(quiet.appender.append([new]))
        follow(quiet, "mindscapes", "personas", "derivation_due", "consents")
        agree(quiet, person, appended.position)


def core(person: UUID, version: int) -> PersonaCoreGenerated:
    return PersonaCoreGenerated(
        summary="S", traits={"a": trait("low")}, mindscape_versions={str(person): version}
    )


def agree(service: Service, person: UUID, position: int) -> None:
    """Holds the past at a position against the read models that have just reached it."""
    with service.reader.snapshot_of_all() as snapshot:
        state = present.persona_state(snapshot, TENANT, "any", person)
        derived = snapshot.rows("derivation_due.of_people", tenant=TENANT, people=[person])
    persona = service.past.persona(TENANT, person, position, own=True)
    assert persona is not None
    named = msgspec.structs.replace(state, people_ids=("any",))
    assert present.past_persona(persona, "any", person) == named
    mindscape = service.past.mindscape(TENANT, person, position)
    assert mindscape.mindscape == state.mindscapes[person]
    assert mindscape.derived_through == {"computed": 0} | {
        row["derivation"]: row["read_through"] for row in derived
    }
