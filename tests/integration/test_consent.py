"""Consent over HTTP: what people said, who is mapped for it, and that nobody else is, wherever one asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from personakit.agents.service import Service
from personakit.cli.main import personakit
from personakit.cli.mappers import explaining
from personakit.cli.people import consent as consent_commands
from personakit.cli.why import told as told_of_why
from personakit.domain.grant import granted
from personakit.eventlog.access import create_key, create_tenant, grant_key
from personakit_sdk import wire
from personakit_sdk.cache import Cache
from personakit_sdk.device_clock import DeviceClock
from personakit_sdk.offline import Offline
from personakit_sdk.rules import suggestion_id
from personakit_sdk.store import Store
from personakit_sdk.transport import Reply, service_error
from tests.integration.conftest import Client
from tests.unit.sdk.conftest import hasten

PURPOSES = ("learning", "wellbeing", "work_planning")
PEOPLE = ("ada", "bob")
AT = "2026-03-09T10:00:00Z"
MAPPERS: dict[str, list[str]] = {"one": ["wellbeing"], "two": ["learning", "wellbeing"], "silent": []}
"""The mappers by what they say that they are for."""
EPOCH_OF_TEST = datetime(2026, 3, 2, 9, tzinfo=UTC)


def document(id_: str, purposes: Sequence[str], **settings: Any) -> dict[str, Any]:
    """It suggests something to everybody who has a mood."""
    rules = [
        {
            "id": name,
            "conditions": {"trait_check": {"path": "mood.level", "operator": "exists"}},
            "actions": [{"generate_suggestion": {"type": "note", "title": name, "description": name}}],
        }
        for name in ("walk", "rest")
    ]
    said = {"purposes": list(purposes)} if purposes else {}
    metadata = {"id": id_, "version": "1.0.0", "description": "for tests"}
    return {"metadata": metadata, **said, "rules": rules, "feedback_settings": settings}


def opened(service: Service, tenant: str, client: Client) -> dict[str, str]:
    """A new tenant with the mappers, and people whose mood is known; the headers that open it."""
    create_tenant(service.recorder, tenant, tenant)
    headers = {"Authorization": f"Bearer {create_key(service.recorder, tenant, 'app')}"}
    for id_, purposes in MAPPERS.items():
        made = client.post("/mappers", json=document(id_, purposes), headers=headers)
        assert made.status_code == 201, made.text
    for person in PEOPLE:
        observe(client, headers, person)
        path, pin = f"/mindscapes/{person}/traits/mood.level", {"value": 4, "reason": "said so"}
        assert client.put(path, json=pin, headers=headers).status_code == 200
    return headers


def observe(client: Client, headers: dict[str, str], person: str) -> None:
    sent = {"personId": person, "type": "note", "content": {}, "occurredAt": EPOCH_OF_TEST.isoformat()}
    assert client.post("/observations", json=sent, headers=headers).status_code == 201


def consent(
    client: Client, headers: dict[str, str], person: str, *purposes: str, reason: str = "", **more: str
) -> httpx.Response:
    body = {"purposes": list(purposes), "reason": reason}
    return client.put(f"/people/{person}/consent", json=body, headers={**headers, **more})


def require(client: Client, headers: dict[str, str], policy: str = "required") -> httpx.Response:
    answer = client.put("/consent-policy", json={"policy": policy}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def mapped(client: Client, headers: dict[str, str], mapper: str, persona: str, **more: Any) -> dict[str, Any]:
    body = {"mapperId": mapper, "personaId": persona, **more}
    answer = client.post("/map-persona", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture
def headers(service: Service, client: Client) -> dict[str, str]:
    return opened(service, f"t{uuid4().hex[:12]}", client)


def test_nothing_is_withheld_until_a_tenant_says_so(client: Client, headers: dict[str, str]) -> None:
    policy = client.get("/consent-policy", headers=headers).json()
    assert (policy["policy"], policy["version"], policy["undeclared"]) == ("off", 0, ["silent"])
    for mapper in MAPPERS:
        answer = mapped(client, headers, mapper, "ada")
        assert len(answer["suggestions"]) == 2
        assert "withheld" not in answer


def test_what_is_withheld_says_why_and_tells_nothing_of_the_person(
    client: Client, headers: dict[str, str]
) -> None:
    policy = require(client, headers).json()
    assert (policy["policy"], policy["version"], policy["origin"]) == ("required", 1, "key: app")
    assert policy["undeclared"] == ["silent"]
    consent(client, headers, "ada", "wellbeing")
    assert len(mapped(client, headers, "one", "ada")["suggestions"]) == 2
    answer = mapped(client, headers, "two", "ada", explain=True, detailLevel="deep_dive")
    assert answer["suggestions"] == []
    assert answer["missingTraits"] == []
    assert answer["withheld"]["purposes"] == ["learning"]
    assert "learning" in answer["withheld"]["reason"]
    assert answer["persona"]["core"]["traits"] == {}
    assert answer["persona"]["core"]["summary"] == ""
    assert "overlay" not in answer["persona"]
    assert "explanation" not in answer
    assert "mood" not in msgspec.json.encode(answer).decode()
    silent = mapped(client, headers, "silent", "ada")["withheld"]
    assert silent["purposes"] == []
    assert "does not say what it is for" in silent["reason"]


def test_no_core_is_made_or_asked_for_where_nothing_is_mapped(
    client: Client, headers: dict[str, str]
) -> None:
    def stale() -> bool:
        return bool(client.get("/personas/ada", headers=headers).json()["isStale"])

    client.post("/personas/ada/regenerate", headers=headers)
    pin = {"value": 1, "reason": "it changed"}
    client.put("/mindscapes/ada/traits/mood.level", json=pin, headers=headers)
    assert stale()
    require(client, headers)
    for wish in ("fail", "regenerate"):
        assert mapped(client, headers, "one", "ada", ifStale=wish)["withheld"]["purposes"] == ["wellbeing"]
    assert stale()


def test_a_persona_of_several_is_mapped_for_what_all_of_them_consent_to(
    client: Client, headers: dict[str, str]
) -> None:
    require(client, headers)
    made = client.post("/personas", json={"people": list(PEOPLE)}, headers=headers).json()["id"]
    consent(client, headers, "ada", *PURPOSES)
    assert mapped(client, headers, "two", made)["withheld"]["purposes"] == ["learning", "wellbeing"]
    consent(client, headers, "bob", "wellbeing")
    assert mapped(client, headers, "two", made)["withheld"]["purposes"] == ["learning"]
    assert client.get(f"/personas/{made}", headers=headers).json()["consentedTo"] == ["wellbeing"]
    consent(client, headers, "bob", "wellbeing", "learning")
    assert len(mapped(client, headers, "two", made)["suggestions"]) == 2
    assert client.put(f"/personas/{made}", json={"people": ["ada"]}, headers=headers).status_code == 200
    consent(client, headers, "bob")
    assert len(mapped(client, headers, "two", made)["suggestions"]) == 2


def test_what_was_said_is_kept_with_who_told_of_it(client: Client, headers: dict[str, str]) -> None:
    never = client.get("/people/ada/consent", headers=headers)
    assert never.json() == {"personId": "ada", "purposes": [], "version": 0, "history": []}
    assert never.headers["ETag"] == '"0"'
    first = consent(client, headers, "ada", "wellbeing", "learning", reason="ticked both")
    second = consent(client, headers, "ada", "learning", reason="by mail")
    shown = client.get("/people/ada/consent", headers=headers)
    assert shown.json() == second.json()
    assert shown.headers["ETag"] == '"2"'
    assert [each["purposes"] for each in shown.json()["history"]] == [["learning"], ["learning", "wellbeing"]]
    assert {each["origin"] for each in shown.json()["history"]} == {"key: app"}
    assert [each["reason"] for each in shown.json()["history"]] == ["by mail", "ticked both"]
    then = client.get(
        "/people/ada/consent", params={"asOf": first.headers["PersonaKit-Position"]}, headers=headers
    )
    assert then.json() == first.json()
    before = {"asOf": str(first.json()["history"][0]["position"] - 1)}
    assert client.get("/people/ada/consent", params=before, headers=headers).json()["version"] == 0


def test_the_same_again_does_nothing_and_an_older_version_is_refused(
    client: Client, headers: dict[str, str]
) -> None:
    for _ in range(3):  # a repeat after a lost answer bears the old version too
        again = consent(client, headers, "ada", "wellbeing", **{"If-Match": '"0"'})
        assert (again.status_code, again.json()["version"]) == (200, 1)
    late = consent(client, headers, "ada", "learning", **{"If-Match": '"0"'})
    assert (late.status_code, late.json()["type"]) == (412, "urn:personakit:problem:precondition-failed")
    assert client.get("/people/ada/consent", headers=headers).json()["purposes"] == ["wellbeing"]


def test_of_many_who_change_it_at_once_none_is_lost(client: Client, headers: dict[str, str]) -> None:
    def add(purpose: str) -> None:
        while True:
            before = client.get("/people/ada/consent", headers=headers)
            purposes = [*before.json()["purposes"], purpose]
            sent = consent(client, headers, "ada", *purposes, **{"If-Match": before.headers["ETag"]})
            if sent.status_code == 200:
                return
            assert sent.status_code == 412, sent.text

    names = [f"purpose_{number}" for number in range(12)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(add, names))
    shown = client.get("/people/ada/consent", headers=headers).json()
    assert (shown["purposes"], shown["version"]) == (sorted(names), 12)


def test_who_is_not_known_yet_may_be_asked_first_and_nonsense_is_refused(
    client: Client, headers: dict[str, str]
) -> None:
    assert client.get("/people/new/consent", headers=headers).status_code == 404
    assert consent(client, headers, "new", "wellbeing").json()["version"] == 1
    assert client.get("/mindscapes/new", headers=headers).json()["version"] == 0
    for person in ("~6f6f3d6a-3f0e-4a52-9a1c-2f7a0c3f5b11", "a b"):
        assert consent(client, headers, person, "wellbeing").status_code in (404, 422)
    for purpose in ("", "Wellbeing", "well being", "a" * 65, "wellbeing\n"):
        assert consent(client, headers, "ada", purpose).status_code == 422
    refused = client.put("/consent-policy", json={"policy": "perhaps"}, headers=headers)
    assert refused.status_code == 422


def test_the_answer_to_a_change_says_where_the_change_stands(
    service: Service, client: Client, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the log has grown by then."""
    change = service.consents.change

    def changed(*asked: Any, **more: Any) -> int | None:
        position = change(*asked, **more)
        observe(client, headers, "bob")
        return position

    monkeypatch.setattr(service.consents, "change", changed)
    answer = consent(client, headers, "ada", "wellbeing")
    assert answer.headers["PersonaKit-Position"] == str(answer.json()["history"][0]["position"])


def test_a_limited_key_speaks_for_its_own_people_only(service: Service, client: Client) -> None:
    tenant = f"t{uuid4().hex[:12]}"
    headers = opened(service, tenant, client)
    grant = granted(["observe", "read"], ["ada", "cy"], None)
    secret = grant_key(service.recorder, tenant, "phone", grant).secret
    limited = {"Authorization": f"Bearer {secret}"}
    for person in ("ada", "cy"):
        assert consent(client, limited, person, "wellbeing").json()["history"][0]["origin"] == "key: phone"
    for person in ("bob", "nobody"):
        refused = consent(client, limited, person, "wellbeing")
        assert refused.status_code == 404
        assert client.get(f"/people/{person}/consent", headers=limited).status_code == 404
    assert client.get("/people/bob/consent", headers=headers).json()["version"] == 0
    assert client.get("/people/nobody/consent", headers=headers).status_code == 404


def test_two_tenants_share_neither_policy_nor_consent(service: Service, client: Client) -> None:
    one, other = (opened(service, f"t{uuid4().hex[:12]}", client) for _ in range(2))
    require(client, one)
    consent(client, other, "ada", "wellbeing")
    assert mapped(client, one, "one", "ada")["withheld"]["purposes"] == ["wellbeing"]
    assert client.get("/people/ada/consent", headers=one).json()["version"] == 0
    assert len(mapped(client, other, "silent", "ada")["suggestions"]) == 2
    assert client.get("/consent-policy", headers=other).json()["policy"] == "off"


def test_a_change_goes_to_devices_as_what_it_changes(client: Client, headers: dict[str, str]) -> None:
    def pull(since: str | None) -> dict[str, Any]:
        query = {"limit": "500", **({} if since is None else {"since": since})}
        answer = client.get("/sync", params=query, headers=headers)
        assert answer.json()["upToDate"], answer.text
        return dict(answer.json())

    def bodies(page: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
        return {each["id"]: each["body"] for each in page["items"] if each["kind"] == kind}

    full = pull(None)
    languages = {
        id_: body["ruleLanguage"] for id_, body in bodies(full, "mapper").items() if "ruleLanguage" in body
    }
    assert languages == {"one": 2, "two": 2}
    assert not any("consent" in body for body in bodies(full, "mapper").values())
    consent(client, headers, "ada", "wellbeing")
    said = pull(full["next"])
    assert bodies(said, "persona")["ada"]["consentedTo"] == ["wellbeing"]
    require(client, headers)
    required = pull(said["next"])
    told = {id_: (body["consent"], body["ruleLanguage"]) for id_, body in bodies(required, "mapper").items()}
    assert told == dict.fromkeys(MAPPERS, ("required", 2))
    require(client, headers)  # the same again
    again = pull(required["next"])
    assert bodies(again, "mapper") == {}
    consent(client, headers, "ada")
    withdrawn = pull(again["next"])
    assert "consentedTo" not in bodies(withdrawn, "persona")["ada"]
    assert bodies(withdrawn, "mapper") == {}


def test_a_suggestion_says_what_there_was_of_consent_when_it_was_made(
    client: Client, headers: dict[str, str]
) -> None:
    require(client, headers)
    consent(client, headers, "ada", "wellbeing")
    made = mapped(client, headers, "one", "ada")["suggestions"][0]["id"]
    consent(client, headers, "ada")
    answer = client.get(f"/suggestions/{made}", headers=headers)
    why = answer.json()
    given = told_of_why(msgspec.json.decode(answer.content, type=wire.Why))
    assert given[given.index("Consent was required then, and given") + 1] == "  to wellbeing"
    assert why["suggestion"]["id"] == made
    assert why["consent"] == {
        "policy": "required",
        "purposes": ["wellbeing"],
        "consentedTo": ["wellbeing"],
        "withheld": None,
    }
    # A device that had not heard of it yet goes on, and what it made then is told as it was.
    ref = suggestion_id.decode(made)
    later = suggestion_id.encode("ada", "one", ref.mapper_version, ref.rule_id, ref.rank, datetime.now(UTC))
    answer = client.get(f"/suggestions/{later}", headers=headers)
    why = answer.json()
    told = told_of_why(msgspec.json.decode(answer.content, type=wire.Why))
    assert told[told.index("Nothing was to be mapped then") + 1].endswith("consented to: wellbeing.")
    assert why["suggestion"] is None
    assert why["consent"]["withheld"]["purposes"] == ["wellbeing"]
    assert why["explanation"]["fired"] is True


def test_nothing_is_explored_where_nothing_is_mapped(client: Client, headers: dict[str, str]) -> None:
    curious = document("curious", ["wellbeing"], exploration=0.5)
    assert client.post("/mappers", json=curious, headers=headers).status_code == 201
    require(client, headers)
    assert mapped(client, headers, "curious", "ada")["suggestions"] == []
    consent(client, headers, "ada", "wellbeing")
    assert all(each["exposure"] for each in mapped(client, headers, "curious", "ada")["suggestions"])


def test_no_answer_after_a_withdrawal_goes_by_what_was_before(
    client: Client, headers: dict[str, str]
) -> None:
    """Asked without a pause from the cache: whatever says the position of the withdrawal, or was asked for
    once it was answered, is withheld."""
    require(client, headers)
    asked: list[tuple[bool, int, bool]] = []
    answered, stop = threading.Event(), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            after, query = answered.is_set(), {"mapperId": "one", "personaId": "ada"}
            answer = client.get("/map-persona", params=query, headers=headers)
            asked.append((after, int(answer.headers["PersonaKit-Position"]), "withheld" in answer.json()))

    def until(count: int, *, after: bool) -> None:
        while sum(each[0] == after for each in asked) < count:
            time.sleep(0.002)

    with ThreadPoolExecutor(2) as threads:
        for _ in range(6):
            consent(client, headers, "ada", "wellbeing")
            asked.clear()
            answered.clear()
            stop.clear()
            asking = [threads.submit(ask) for _ in range(2)]
            until(6, after=False)
            assert not any(withheld for _, _, withheld in asked[:6])
            position = int(consent(client, headers, "ada").headers["PersonaKit-Position"])
            answered.set()
            until(6, after=True)
            stop.set()
            for each in asking:
                each.result(10)
            assert all(withheld for after, at, withheld in asked if after or at >= position)


class Through:
    """What the command line speaks through: to the very service, without a socket. `meanwhile` is done before
    the next PUT."""

    def __init__(self, client: Client, headers: dict[str, str]) -> None:
        self._client, self._headers = client, headers
        self.meanwhile: list[Callable[[], object]] = []

    def request(self, method: str, path: str, *, body: Any = None, headers: Any = None, **_: Any) -> Reply:
        if method == "PUT" and self.meanwhile:
            self.meanwhile.pop()()
        content = None if body is None else msgspec.json.encode(body)
        sent = {**self._headers, **(headers or {})}
        answer = self._client.request(method, path, content=content, headers=sent)
        reply = Reply(answer.status_code, answer.headers, answer.content)
        if answer.status_code >= 400:
            raise service_error("http://test", reply)
        return reply


@pytest.fixture
def through(client: Client, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Through:
    through = Through(client, headers)
    for module in (consent_commands, explaining):
        monkeypatch.setattr(module, "connect", lambda _: through)
    return through


def command(*arguments: str, group: str = "people") -> str:
    result = CliRunner().invoke(personakit, [group, *arguments], prog_name="personakit")
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.usefixtures("through")
def test_the_command_line_shows_and_changes_it(client: Client, headers: dict[str, str]) -> None:
    assert command("consent", "ada") == "ada was never said to consent to anything.\n"
    assert "ada consents to learning, wellbeing." in command(
        "consent", "ada", "--allow", "wellbeing", "--allow", "learning", "--reason", "on paper"
    )
    changed = command("consent", "ada", "--allow", "work_planning", "--withdraw", "learning")
    assert changed.splitlines()[0] == "ada consents to wellbeing, work_planning."
    assert changed.splitlines()[2].endswith("learning, wellbeing  (key: app: on paper)")
    shown = msgspec.json.decode(command("consent", "ada", "--json"))
    assert (shown["version"], shown["purposes"]) == (2, ["wellbeing", "work_planning"])
    assert "nobody consents to wellbeing." in command("consent", "nobody", "--allow", "wellbeing")
    unknown = CliRunner().invoke(personakit, ["people", "consent", "noone", "--withdraw", "wellbeing"])
    assert unknown.exit_code == 1
    assert client.get("/people/noone/consent", headers=headers).status_code == 404
    assert command("consent-policy").startswith("Consent is off")
    required = command("consent-policy", "required", "--reason", "the law")
    assert "(key: app" not in required
    assert "by key: app: the law" in required
    assert "without purposes, these map nobody: silent" in required


def test_the_command_line_loses_nothing_that_others_say_meanwhile(
    client: Client, headers: dict[str, str], through: Through
) -> None:
    for purpose in ("learning", "work_planning"):
        before = client.get("/people/ada/consent", headers=headers).json()["purposes"]
        through.meanwhile = [lambda said=[*before, purpose]: consent(client, headers, "ada", *said)]
        command("consent", "ada", "--allow", f"mine_{purpose}")
    shown = client.get("/people/ada/consent", headers=headers).json()["purposes"]
    assert shown == ["learning", "mine_learning", "mine_work_planning", "work_planning"]


@pytest.mark.usefixtures("through")
def test_the_command_line_explains_what_is_withheld(
    client: Client, headers: dict[str, str], tmp_path: Path
) -> None:
    require(client, headers)
    consent(client, headers, "ada", "learning")
    said = "Not all people of this persona have consented to: wellbeing."
    by_service = command("explain", "two", "--person", "ada", "--rule", "walk", group="mappers")
    assert f"Nothing is mapped. {said}" in by_service
    assert "mood" not in by_service
    file = tmp_path / "draft.json"
    file.write_bytes(msgspec.json.encode(document("draft", ["learning", "wellbeing"])))
    assert said in command("explain", str(file), "--person", "ada", group="mappers")
    file.write_bytes(msgspec.json.encode(document("draft", ["learning"])))
    assert "consented" not in command("explain", str(file), "--person", "ada", group="mappers")
    file.write_bytes(msgspec.json.encode(document("draft", [])))
    assert "does not say what it is for" in command("explain", str(file), "--person", "ada", group="mappers")


@pytest.mark.parametrize(
    "arguments",
    [("ada", "--allow", "Wellbeing"), ("ada", "--allow", "a", "--withdraw", "a"), ("a b",)],
)
def test_the_command_line_refuses_nonsense(arguments: tuple[str, ...], through: Through) -> None:
    result = CliRunner().invoke(personakit, ["people", "consent", *arguments], prog_name="personakit")
    assert result.exit_code == 2, result.output


class Consenting(RuleBasedStateMachine):
    """People say things, and the tenant too; after each it is held against a reference in three lines,
    by the service from its cache and from a snapshot, and by the SDK from what it pulled."""

    client: Client
    service: Service
    folder: Path

    @initialize()
    def begin(self) -> None:
        name = f"t{uuid4().hex[:12]}"
        self.headers = opened(self.service, name, self.client)
        made = self.client.post("/personas", json={"people": list(PEOPLE)}, headers=self.headers)
        self.viewed = {**{person: {person} for person in PEOPLE}, made.json()["id"]: set(PEOPLE)}
        self.said: dict[str, set[str]] = {person: set() for person in PEOPLE}
        self.mappers = {id_: set(purposes) for id_, purposes in MAPPERS.items()}
        self.policy = "off"
        self.store = hasten(Store(self.folder / f"{name}.db"))
        self.since: str | None = None

    def allowed(self, mapper: str, persona: str) -> bool:
        all_said = set.intersection(*(self.said[person] for person in self.viewed[persona]))
        return self.policy == "off" or (self.mappers[mapper] != set() and self.mappers[mapper] <= all_said)

    @rule(person=st.sampled_from(PEOPLE), purposes=st.sets(st.sampled_from(PURPOSES)))
    def say(self, person: str, purposes: set[str]) -> None:
        assert consent(self.client, self.headers, person, *purposes).status_code == 200
        self.said[person] = purposes
        self.hold()

    @rule(policy=st.sampled_from(["off", "required", "required"]))
    def set_policy(self, policy: str) -> None:
        require(self.client, self.headers, policy)
        self.policy = policy
        self.hold()

    @rule(mapper=st.sampled_from(sorted(MAPPERS)), purposes=st.sets(st.sampled_from(PURPOSES)))
    def publish(self, mapper: str, purposes: set[str]) -> None:
        sent = document(mapper, sorted(purposes))
        made = self.client.put(f"/mappers/{mapper}", json=sent, headers=self.headers)
        assert made.status_code == 200, made.text
        self.mappers[mapper] = purposes
        self.hold()

    def hold(self) -> None:
        offline = self.pulled()
        cold = {**self.headers, "PersonaKit-Min-Position": str(self.service.reader.head())}
        for mapper in MAPPERS:
            for persona in self.viewed:
                here = [mapped(self.client, each, mapper, persona, at=AT) for each in (cold, self.headers)]
                ask = wire.MapPersona(mapper_id=mapper, persona_id=persona, at=datetime.fromisoformat(AT))
                there = msgspec.to_builtins(offline.map_persona(ask))
                for name in ("suggestions", "missingTraits", "withheld"):
                    assert here[0].get(name) == here[1].get(name) == there.get(name)
                assert bool(there["suggestions"]) == self.allowed(mapper, persona)
                assert ("withheld" not in there) == self.allowed(mapper, persona)

    def pulled(self) -> Offline:
        """What the SDK answers from, brought up to date by whatever changed."""
        cache = Cache(self.store)
        query = {"limit": "500", **({"since": self.since} if self.since else {})}
        answer = self.client.get("/sync", params=query, headers=self.headers)
        page = msgspec.json.decode(answer.content, type=wire.SyncAnswer)
        assert page.up_to_date
        cache.apply(page, None, datetime.now(UTC), full=self.since is None)
        self.since = page.next
        return Offline(cache, DeviceClock(self.store))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()


@pytest.mark.timeout(120)
def test_a_persona_is_mapped_if_and_only_if_it_may_be(
    client: Client, service: Service, tmp_path: Path
) -> None:
    class Here(Consenting):
        pass

    Here.client, Here.service, Here.folder = client, service, tmp_path
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # the library's
        Here,
        settings=settings(
            max_examples=6,
            stateful_step_count=8,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
