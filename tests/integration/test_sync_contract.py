"""The cases that SDKs are held against do not drift from the service: what they have it say, it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4, uuid5

import msgspec
import pytest
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.api.sync.cursor import Cursor, encode_cursor
from personakit.domain.events import PersonaDefined, PersonaRetired
from personakit.eventlog.access import create_key, create_tenant
from personakit.eventlog.appender import LogBusy
from personakit.eventlog.erasure_journal import ErasureJournal
from personakit_sdk import wire
from tests.contract.sync import answers
from tests.contract.sync.case import Case, Step, made_by, read_all
from tests.contract.sync.difference import difference
from tests.contract.sync.exchange import Exchange
from tests.contract.sync.play import BEGIN
from tests.contract.sync.scripted import POISONED
from tests.integration.conftest import Client, follow
from tests.mapper_changes import publish_mapper, withdraw_mapper

CASES = read_all()
PUSHING = [name for name, case in CASES.items() if any(e.request.method == "POST" for e in case.exchanges())]
Body = dict[str, Any]


@pytest.fixture(scope="module")
def client(quiet: Service) -> Iterator[Client]:
    """A client of a tenant that has the mapper of the cases."""
    create_tenant(quiet.recorder, "contract", "Contract")
    with TestClient(create_app(quiet), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {create_key(quiet.recorder, 'contract', 'test')}"
        publish_mapper(quiet, "contract", "focus")
        follow(quiet)
        yield client


# --- what is pushed


def items_of(case: Case, name: str, rule: str) -> dict[str, Body]:
    """The items of a case by name, as the page on the protocol has them."""
    return {
        item: _item(step, uuid5(UUID(int=0), f"{name}/{item}"), rule)
        for step in case.steps
        for item in made_by(step)
    }


def _item(step: Step, id_: UUID, rule: str) -> Body:
    common = {"id": str(id_), "occurredAt": BEGIN.isoformat(), "schema": 1}
    if step.feedback:
        told = step.feedback
        body = {"mapperId": told.mapper, "ruleId": rule, "helpful": told.helpful}
        return {**common, "kind": "feedback", "key": told.persona, "body": body}
    assert step.observe
    body = {"type": step.observe.type, "content": step.observe.content}
    return {**common, "kind": "observation", "key": step.observe.person, "body": body}


def the_rule(client: Client) -> str:
    """The mapper of the tests calls its one rule otherwise than that of the cases."""
    return str(client.get("/mappers/focus").json()["document"]["rules"][0]["id"])


@pytest.mark.parametrize("name", PUSHING)
def test_what_a_case_has_pushed_is_taken_as_it_says(client: Client, name: str) -> None:
    items = items_of(CASES[name], name, the_rule(client))
    for person in {item["key"] for item in items.values()}:  # feedback is about somebody who is known
        assert push(client, observation(person)).status_code == 200
    for exchange in CASES[name].exchanges():
        if exchange.request.items and not exchange.answer.proxy:
            sent = [items[each] for each in exchange.request.items]
            results = push(client, *sent).json()["results"]
            assert list(results) == [each["id"] for each in sent]
            assert {each["status"] for each in results.values()} <= {"stored", "duplicate"}


# --- what is answered


def observation(key: str = "ada", **other: Any) -> Body:
    body = {"type": "note", "content": {"n": 1}}
    common = {"id": str(uuid4()), "kind": "observation", "key": key, "occurredAt": BEGIN.isoformat()}
    return {**common, "body": body, **other}


def push(client: Client, *items: Any) -> Any:
    return client.post("/sync", json={"clientId": "c", "items": list(items)})


def pull(client: Client, since: str | None = None, **query: Any) -> Any:
    return client.get("/sync", params={**query, **({"since": since} if since else {})})


Claim = tuple[Any, ...]
"""What kind of answer it is: where from, the status, and what tells one from the other."""


def claim_of(method: str, status: int, body: Body | None) -> Iterator[Claim]:
    """The kinds of all that an answer says: of itself, of each result, of each item."""
    if body is None or "type" in body:
        yield method, status, None if body is None else body["type"]
    elif method == "POST":
        yield method, status, "answer"
        for result in body["results"].values():
            yield method, "result", result["status"], result.get("problem", {}).get("type")
    else:
        yield method, status, body["intent"], body["upToDate"], body["digest"] is not None
        for item in body["items"]:
            yield method, "item", item["op"], item["kind"], item.get("erased", False)


class Seen:
    """What the service was made to answer: an example of each kind, and the names of its headers."""

    def __init__(self) -> None:
        self.whole: dict[Claim, tuple[Body | None, set[str]]] = {}
        self.parts: dict[Claim, Body] = {}

    def take(self, method: str, answer: Any) -> Any:
        body = answer.json() if answer.content else None
        kinds = list(claim_of(method, answer.status_code, body))
        self.whole[kinds[0]] = body, {name.lower() for name in answer.headers}
        self.parts |= dict(zip(kinds[1:], parts_of(body), strict=True))
        return body


def parts_of(body: Body | None) -> list[Body]:
    said = body or {}
    return [*said.get("results", {}).values(), *said.get("items", ())]


@pytest.fixture(scope="module")
def seen(quiet: Service, client: Client) -> Seen:
    """Makes a real service answer in each way that it can."""
    seen = Seen()
    pushes(seen, quiet, client)
    pulls(seen, quiet, client)
    for method in ("POST", "GET"):
        refused = client.request(method, "/sync", json={}, headers={"Authorization": "Bearer pk_none"})
        seen.take(method, refused)
    return seen


def pushes(seen: Seen, service: Service, client: Client) -> None:
    first = observation()
    for _ in range(2):
        seen.take("POST", push(client, first))
    seen.take("POST", push(client, observation(body={"type": "No Type", "content": {}})))
    seen.take("POST", push(client, {"kind": "observation"}))
    of_eva = observation("eva")
    push(client, of_eva)
    erase(service, "eva")
    seen.take("POST", push(client, observation("eva")))
    seen.take("POST", push(client, {**of_eva, "key": "bob"}))
    seen.take("POST", push(client, *[observation() for _ in range(501)]))
    seen.take("POST", client.post("/sync", content=b"{", headers={"Content-Type": "application/json"}))

    def busy(_: object) -> None:
        raise LogBusy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.appender, "append", busy)
        again = push(client, observation())
        assert int(again.headers["Retry-After"]) > 0
        seen.take("POST", again)


def erase(service: Service, person: str) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.eraser, "_journal", ErasureJournal(Path(folder, "erasures.jsonl")))
        assert service.eraser.erase("contract", person)


def pulls(seen: Seen, service: Service, client: Client) -> None:
    pair = somebody(service, client)
    publish_mapper(service, "contract", "other")
    follow(service)
    since = pages(seen, client, None)
    seen.take("GET", pull(client, since))
    tag = pull(client, since).headers["ETag"]
    seen.take("GET", client.get("/sync", params={"since": since}, headers={"If-None-Match": tag}))
    withdraw_mapper(service, "contract", "other")
    service.personas.retire("contract", pair, PersonaRetired(origin="t"))
    push(client, observation("dora"), observation("eve"))
    erase(service, "eve")
    follow(service)
    pages(seen, client, since)
    other_log = Cursor(
        epoch=uuid4(), tenant="contract", scope="", mode="changes", position=1, append_id=None, issued=0
    )
    for gone in ("nonsense", encode_cursor(other_log, service.secret)):
        seen.take("GET", pull(client, gone))
    seen.take("GET", pull(client, since, personaId="bob"))


def somebody(service: Service, client: Client) -> UUID:
    """A person with traits, and a persona of her own and of another."""
    content = {"lines_changed": 3, "languages": ["Python"], "merge": False}
    commits = [observation("ada", body={"type": "code_commit", "content": content}) for _ in range(5)]
    push(client, *commits, observation("bob"))
    found = [service.people.find("contract", person) for person in ("ada", "bob")]
    surrogates = tuple(person.surrogate for person in found if person is not None)
    follow(service)
    service.mindscaper.derive("contract", surrogates[0])
    return service.personas.create("contract", PersonaDefined(people=surrogates)).persona


def pages(seen: Seen, client: Client, since: str | None) -> str:
    """Takes pages of one item until there is no more; the cursor at the end."""
    while True:
        page = seen.take("GET", pull(client, since, limit=1))
        since = page["next"]
        if page["upToDate"]:
            return str(since)


def told_by(exchange: Exchange) -> tuple[Body | None, set[str]]:
    """The body that a case has the service answer, and the names of its headers."""
    answer, names = exchange.answer, {str(uuid4()): name for name in exchange.request.items or ()}
    content, _ = answers.content_of(answer, names, BEGIN)
    headers = {name.lower() for name in answers.headers_of(answer, BEGIN)}
    return msgspec.json.decode(content) if content else None, headers


def by_the_service(case: Case) -> list[Exchange]:
    return [each for each in case.exchanges() if not each.answer.proxy and each.answer.says]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if by_the_service(case)])
def test_what_a_case_has_the_service_answer_it_answers(seen: Seen, name: str) -> None:
    for exchange in by_the_service(CASES[name]):
        body, headers = told_by(exchange)
        first, *kinds = claim_of(exchange.request.method, exchange.answer.status, body)
        assert first in seen.whole
        real, real_headers = seen.whole[first]
        assert headers <= real_headers
        assert shape(body) == shape(real)
        for kind, part in zip(kinds, parts_of(body), strict=True):
            assert kind in seen.parts
            assert shape(part) == shape(seen.parts[kind])
            assert shape(part.get("problem")) == shape(seen.parts[kind].get("problem"))
            require_read_whole(part)


def shape(body: Body | None) -> dict[str, str]:
    """The names and JSON types of what is in an answer; where something is wrong in it need not be said."""
    return {name: json_type(value) for name, value in (body or {}).items() if name != "errors"}


def json_type(value: Any) -> str:
    return "number" if type(value) in {int, float} else type(value).__name__


def require_read_whole(part: Body) -> None:
    """What a body has is all that the protocol has a word for: what was not, would get lost on the way."""
    shapes: dict[str, type[wire.Answer]] = {"persona": wire.SyncedPersona, "mapper": wire.SyncedMapper}
    if "body" in part:
        read = msgspec.convert(part["body"], shapes[part["kind"]])
        assert difference(part["body"], msgspec.to_builtins(read), "the body") is None


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_runner_refuses_whole_the_service_does(seen: Seen, status: int) -> None:
    problem = answers.problem(status, POISONED[status])
    real, _ = seen.whole["POST", status, problem["type"]]
    assert shape(problem) == shape(real)


def test_a_body_with_a_word_that_the_protocol_has_not_is_noticed() -> None:
    odd = {**answers.persona("ada", 7), "mood": "good"}
    with pytest.raises(AssertionError):
        require_read_whole({"kind": "persona", "body": odd})
