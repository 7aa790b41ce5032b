"""Two tenants over one service, with random histories under the same names: no answer to one of them ever
contains anything of the other's.

Every string that a tenant tells bears its canary. What is asked is made from the route table (the rows of
`test_authorisation.py`, which no route can do without), with names that both have, and with ids, cursors,
tags, suggestions, exposures and Idempotency-Keys of the other's.
"""

from __future__ import annotations

import base64
import re
import string
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from unittest import mock
from uuid import UUID, uuid4, uuid5

import msgspec
import pytest
from httpx import Response
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.domain.grant import OF_ALL, SCOPES, granted
from personakit.eventlog.access import create_key, create_tenant, grant_key
from personakit.eventlog.log_sql import SQL as LOG
from personakit.projections.read import Reader
from personakit.projections.sql import Projection
from tests.integration.conftest import Client
from tests.integration.test_authorisation import CALLS, PLACES, ROUTES, holdings
from tests.integration.test_isolation import mapper, traits_document
from tests.integration.test_roles import BEHIND, OF_A_TENANT

START: Final = datetime(2026, 3, 2, 21, 15, tzinfo=UTC)
PEOPLE: Final = ("ada", "bo", "cy")
MAPPERS: Final = ("focus", "rest")
NAMES: Final = uuid5(UUID(int=0), "two tenants")
OPEN: Final = ("/metrics", "/health/ready", "/health/live", "/openapi.json", "/docs", "/schemas/mapper.json")
READ_FIRST: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{24,}")


class Sent(NamedTuple):
    """A request."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: Any = None
    headers: Mapping[str, str] = {}

    def names(self, secret: str) -> bool:
        """Whether the request itself says it: then the answer may repeat it."""
        return secret in f"{self.path} {self.query} {self.body} {self.headers}"


class Member:
    """One of the two tenants: its key, its canary, and what the service has told it."""

    def __init__(self, service: Service, client: Client, tenant: str) -> None:
        self.tenant = tenant
        self.canary = f"canary{uuid4().hex[:10]}"
        create_tenant(service.recorder, tenant, self.canary)
        self._key = create_key(service.recorder, tenant, self.canary)
        self._service = service
        self._client = client
        self.seen: dict[str, list[str]] = {
            kind: []
            for kind in ("persona", "observation", "suggestion", "exposure", "cursor", "tag", "retry")
        }

    def send(self, sent: Sent, key: str = "") -> Response:
        return self._client.request(
            sent.method,
            sent.path,
            params=dict(sent.query),
            json=sent.body,
            headers={"Authorization": f"Bearer {key or self._key}", **sent.headers},
        )

    def limited_to(self, people: list[str], personas: list[str]) -> str:
        """A key of this tenant's, limited to whomever it is."""
        grant = granted([scope for scope in SCOPES if scope not in OF_ALL], people, personas)
        return grant_key(self._service.recorder, self.tenant, self.canary, grant).secret

    def gave(self, sent: Sent) -> bool:
        """Whether a request bears something that the service told this one."""
        return any(sent.names(each) for kind in self.seen.values() for each in kind)

    def post(self, path: str, body: Any, **headers: str) -> Response:
        return self.send(Sent("POST", path, body=body, headers=headers))

    def note(self, kind: str, value: str | None) -> None:
        """Remembers something that the service gave out, to be tried by the other one."""
        if value is not None:
            self.seen[kind].append(value)

    def last(self, kind: str, otherwise: str) -> str:
        """The newest that was given out of a kind."""
        return self.seen[kind][-1] if self.seen[kind] else otherwise

    def secrets(self) -> set[str]:
        """What nobody else may be told: its canary, its name, whom the log knows its people as, its keys."""
        with self._service.recorder.datastore.get_connection() as connection:
            people = connection.execute(
                "SELECT person FROM personakit.person_keys WHERE tenant = %s", (self.tenant,)
            ).fetchall()
            keys = connection.execute(
                "SELECT prefix FROM personakit.api_keys WHERE tenant = %s", (self.tenant,)
            ).fetchall()
        surrogates = {str(row["person"]) for row in people}
        return {self.canary, self.tenant, *surrogates, *(each.replace("-", "") for each in surrogates)} | {
            row["prefix"] for row in keys
        }


# What they do. Each takes a small number, by which both mean the same names.


def observation(canary: str, number: int) -> dict[str, Any]:
    content = {"lines_changed": 40, "files_changed": 2, "languages": [canary], "merge": False, canary: canary}
    return {
        "id": str(uuid5(NAMES, f"{number}")),
        "personId": PEOPLE[number % len(PEOPLE)],
        "type": "code_commit",
        "content": content,
        "metadata": {canary: canary},
        "source": canary,
        "occurredAt": (START + timedelta(days=number)).isoformat(),
    }


def observe(who: Member, number: int) -> None:
    told = observation(who.canary, number)
    who.post("/observations/batch", [told])
    who.note("observation", told["id"])


def observe_again(who: Member, number: int) -> None:
    body = {name: value for name, value in observation(who.canary, number).items() if name != "id"}
    who.post("/observations", body, **{"Idempotency-Key": f"try-{number}"})
    who.note("retry", f"try-{number}")


def retract(who: Member, number: int) -> None:
    path = f"/observations/{uuid5(NAMES, str(number))}"
    who.send(Sent("DELETE", path, {"reason": who.canary}))


def publish(who: Member, number: int) -> None:
    document = mapper(MAPPERS[number % len(MAPPERS)], who.canary, f"1.{number}.0")
    document["feedback_settings"] = {"exploration": 0.2}
    who.post("/mappers", document)


def teach_traits(who: Member, number: int) -> None:
    who.post("/computed-traits", traits_document(f"counted{number % 2}", who.canary))


def pin(who: Member, number: int) -> None:
    path = f"/mindscapes/{PEOPLE[number % len(PEOPLE)]}/traits/told.pinned"
    who.send(Sent("PUT", path, body={"value": who.canary, "reason": who.canary}))


def create_persona(who: Member, number: int) -> None:
    people = list(PEOPLE[: 1 + number % len(PEOPLE)])
    made = who.post("/personas", {"name": f"team {who.canary}", "people": people})
    who.note("persona", made.json().get("id") if made.status_code == 201 else None)


def regenerate(who: Member, number: int) -> None:
    who.post(f"/personas/{who.last('persona', PEOPLE[number % len(PEOPLE)])}/regenerate", None)


def ask(who: Member, number: int) -> None:
    query = {"mapperId": MAPPERS[number % len(MAPPERS)], "personaId": PEOPLE[number % len(PEOPLE)]}
    for suggestion in who.send(Sent("GET", "/map-persona", query)).json().get("suggestions", []):
        who.note("suggestion", suggestion["id"])
        who.note("exposure", suggestion.get("exposure"))


def judge(who: Member, number: int) -> None:
    about = {"suggestionId": who.last("suggestion", "none"), "helpful": number % 2 == 0}
    who.post("/feedback", about | {"comment": who.canary})


def pull(who: Member, number: int) -> None:
    since = {"since": who.last("cursor", "")} if number % 2 and who.seen["cursor"] else {}
    answer = who.send(Sent("GET", "/sync", {"limit": str(1 + number * 10), **since}))
    if answer.status_code == 200:
        who.note("cursor", answer.json()["next"])
        who.note("tag", answer.headers.get("ETag"))


def make_key(who: Member, number: int) -> None:
    who.post("/keys", {"name": who.canary, "scopes": ["read"], "people": [PEOPLE[number % len(PEOPLE)]]})


ACTIONS: Final[tuple[Callable[[Member, int], None], ...]] = (
    observe,
    observe_again,
    retract,
    publish,
    teach_traits,
    pin,
    create_persona,
    regenerate,
    ask,
    judge,
    pull,
    make_key,
)
Histories = list[tuple[int, Callable[[Member, int], None], int]]
HISTORIES = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(ACTIONS), st.integers(0, 5)), min_size=6, max_size=20
)
BEGINNING: Final = [(observe, 0), (observe, 3), (observe, 1), (publish, 0), (pull, 0), (ask, 0)]
"""With this both begin, so that there is something that could be told."""
ERASED: Final = "bo"
"""Each erases their own, at the end of what is asked."""


# What they are asked afterwards.


def shared_names(_: Member) -> dict[str, str]:
    """Names that both tenants use."""
    return {"observationId": str(uuid5(NAMES, "0")), "documentId": "counted0", "version": "1"}


def others_ids(other: Member) -> dict[str, str]:
    """Ids that the service gave to the other one alone."""
    return {
        "personaId": other.last("persona", "~00000000-0000-0000-0000-000000000001"),
        "observationId": other.last("observation", PLACES["observationId"]),
        "suggestionId": other.last("suggestion", PLACES["suggestionId"]),
        "keyId": min(each for each in other.secrets() if each.startswith("pk_")),
    }


def requests(other: Member) -> Iterator[Sent]:
    """Every operation there is, with either kind of names; what only reads comes first."""
    for operation in sorted(CALLS, key=lambda each: READ_FIRST.index(ROUTES[each][0])):
        method, path = ROUTES[operation]
        made = CALLS[operation]
        for names in (shared_names(other), others_ids(other)):
            filled = PLACES | dict(made.places) | names
            filled |= {"personId": ERASED} if operation == "erasePerson" else {}
            query = {**made.query}
            if method == "GET":
                query |= {"explain": "true", "detailLevel": "deep_dive"}
                query |= {name: filled[name] for name in ("personaId",) if name in query}
            body = made.body() if callable(made.body) else made.body
            yield Sent(method, re.sub(r"\{(\w+)\}", lambda at: filled[at[1]], path), query, body)  # noqa: B023
    yield from (Sent("GET", path) for path in OPEN)
    yield from tokens(other)
    yield from bodies(other)
    yield from pages(other)


def tokens(other: Member) -> Iterator[Sent]:
    """What the service gave to the other one to be brought back, brought by this one."""
    for cursor in other.seen["cursor"][-2:]:
        yield Sent("GET", "/sync", {"since": cursor})
        yield Sent("GET", "/sync", {"since": cursor, "personaId": "ada"})
    for tag in other.seen["tag"][-1:]:
        yield Sent("GET", "/sync", headers={"If-None-Match": tag})
    for suggestion in other.seen["suggestion"][-1:]:
        exposure = other.last("exposure", "none")
        yield Sent("POST", "/feedback", body={"suggestionId": suggestion, "helpful": True})
        yield Sent(
            "POST", "/feedback", body={"suggestionId": suggestion, "helpful": True, "exposure": exposure}
        )
    for retry in other.seen["retry"][-1:]:
        body = {name: value for name, value in observation("mine", 0).items() if name != "id"}
        yield Sent("POST", "/observations", body=body, headers={"Idempotency-Key": retry})
    yield Sent("GET", "/mindscapes/ada", {"asOf": "999999999"})
    yield Sent("GET", "/mindscapes/ada", {"asOf": datetime.now(UTC).isoformat()})
    yield Sent("GET", "/personas/ada", {"asOf": datetime.now(UTC).isoformat()})


def bodies(other: Member) -> Iterator[Sent]:
    """Requests that name in their bodies what is the other one's."""
    ids = others_ids(other)
    persona, told, mine = ids["personaId"], ids["observationId"], observation("mine", 0)
    corrected = mine | {"id": str(uuid4()), "supersedes": told}
    voted = {"mapperId": "focus", "ruleId": "always", "helpful": True}
    yield Sent("POST", "/map-persona", body={"mapperId": "focus", "personaId": persona, "explain": True})
    yield Sent("POST", "/feedback", body=voted | {"personaId": persona})
    yield Sent("POST", "/observations/batch", body=[corrected, mine | {"id": told}])
    yield Sent("POST", "/personas", body={"name": "mine", "people": [persona, "cy"]})
    yield Sent("POST", "/keys", body={"name": "mine", "scopes": ["read"], "personas": [persona]})
    body = {name: corrected[name] for name in ("type", "content", "supersedes")}
    items = [("observation", "ada", body), ("observation", persona, body), ("feedback", persona, voted)]
    pushed = [
        {
            "id": str(uuid4()),
            "kind": kind,
            "key": key,
            "occurredAt": START.isoformat(),
            "schema": 1,
            "body": body,
        }
        for kind, key, body in items
    ]
    yield Sent("POST", "/sync", body={"clientId": "mine", "items": pushed})


def pages(other: Member) -> Iterator[Sent]:
    """The rest of each of the other one's lists, from where its first page ends."""
    for operation in CALLS:
        method, path = ROUTES[operation]
        if method == "GET":
            filled = PLACES | shared_names(other)
            first = Sent("GET", re.sub(r"\{(\w+)\}", lambda at: filled[at[1]], path), CALLS[operation].query)  # noqa: B023
            page = other.send(first._replace(query={**first.query, "limit": "1"}))
            after = page.json().get("next") if page.status_code == 200 else None
            if after is not None:
                yield first._replace(query={**first.query, "limit": "500", "after": after})


def told(answer: Response) -> str:
    """All that an answer says: its body, its headers, and what is wrapped up in tokens in either."""
    text = f"{answer.text} {dict(answer.headers)}"
    return " ".join([text, *filter(None, map(_unwrapped, _TOKEN.findall(text)))])


def _unwrapped(token: str) -> str | None:
    try:
        clear = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("latin-1")
    except ValueError:
        return None
    return "".join(letter for letter in clear if letter in string.printable)


class Leak(NamedTuple):
    """An answer that said something of another tenant's."""

    sent: Sent
    status: int
    secret: str


def leaks(asking: Member, other: Member) -> Iterator[Leak]:
    """What of the other's is told to the one who asks: as themselves, then, where it is read, after the other
    one asked the same, and by a key that is limited to what is the other's."""
    secrets = other.secrets()
    persona = others_ids(other)["personaId"]
    limited = asking.limited_to(["ada"], [persona])
    may_say = {"/metrics": {other.tenant}, "/keys": {persona[1:], persona[1:].replace("-", "")}}
    for sent in list(requests(other)):
        answers = [asking.send(sent)]
        if sent.method == "GET":
            other.send(sent)
            answers.append(asking.send(sent))
            if other.gave(sent):
                answers.append(asking.send(sent, limited))
        for answer in answers:
            said = told(answer)
            known = may_say.get(sent.path, set())
            yield from (
                Leak(sent, answer.status_code, secret)
                for secret in secrets - known
                if secret in said and not sent.names(secret)
            )


def told_while_waiting(asking: Member, other: Member) -> str:
    """What a pull is told that waits for changes while the other one makes some."""
    pull(asking, 4)
    waiting = Sent("GET", "/sync", {"since": asking.last("cursor", ""), "wait": "1"})
    later = threading.Timer(0.2, lambda: (observe(other, 9), regenerate(other, 0)))
    later.start()
    answer = asking.send(waiting)
    later.join()
    return told(answer)


def act(service: Service, members: tuple[Member, Member], history: Histories) -> None:
    for who in members:
        for action, number in BEGINNING:
            action(who, number)
    for at, action, number in history:
        action(members[at], number)
    for who in members:
        service.reader.wait_for(who.tenant, service.reader.head(), 30)
        for number in range(2):
            ask(who, number)
        pull(who, 4)


def two(service: Service, client: Client) -> tuple[Member, Member]:
    name = uuid4().hex[:8]
    return Member(service, client, f"alder-{name}"), Member(service, client, f"birch-{name}")


def check(service: Service, client: Client, history: Histories) -> None:
    members = two(service, client)
    act(service, members, history)
    for who in members:  # what is looked for is there to be found, by whom it belongs to
        assert who.canary in told(who.send(Sent("GET", "/mappers")))
    for asking, other in (members, members[::-1]):
        before = holdings(service, other.tenant)
        assert list(leaks(asking, other)) == []
        assert holdings(service, other.tenant) == before
    said, secrets = told_while_waiting(*members), members[1].secrets()
    assert not [secret for secret in secrets if secret in said]


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )


@given(HISTORIES)
@bounded(2)
def test_no_answer_to_a_tenant_says_anything_of_another(
    service: Service, client: Client, history: Histories
) -> None:
    check(service, client, history)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@given(HISTORIES)
@bounded(30)
def test_no_answer_to_a_tenant_says_anything_of_another_for_long(
    service: Service, client: Client, history: Histories
) -> None:
    check(service, client, history)


# The test can fail.


def forgetful(projections: Mapping[str, Projection]) -> dict[str, Projection]:
    """The projections, had nobody thought of tenants in any query."""
    return {
        name: msgspec.structs.replace(
            each, queries={query: OF_A_TENANT.sub("true", text) for query, text in each.queries.items()}
        )
        for name, each in projections.items()
    }


@contextmanager
def reading(service: Service, reader: Reader) -> Iterator[Client]:
    """The API over another reader; the agents keep theirs."""
    with (
        mock.patch.object(service, "reader", reader),
        TestClient(create_app(service), raise_server_exceptions=False) as client,
    ):
        yield client


def planted(service: Service, client: Client) -> list[Leak]:
    members = two(service, client)
    act(service, members, [(0, create_persona, 1), (0, teach_traits, 0), (1, create_persona, 2)])
    return [leak for asking, other in (members, members[::-1]) for leak in leaks(asking, other)]


def paths(found: Iterable[Leak]) -> set[str]:
    return {leak.sent.path for leak in found}


def test_the_database_keeps_apart_what_every_query_forgets_to(service: Service) -> None:
    wall = Reader(service._writing, forgetful(service.projections), reading=service._reading)
    of_the_log = {query: OF_A_TENANT.sub("true", LOG[query]) for query in {*BEHIND} - {"person", "erased"}}
    with reading(service, wall) as client, mock.patch.dict(LOG, of_the_log):
        assert planted(service, client) == []


def test_without_the_wall_what_queries_forget_is_found(service: Service) -> None:
    open_ = Reader(service.pool, forgetful(service.projections), reading=service.pool)
    with reading(service, open_) as client:
        assert paths(planted(service, client)) >= {"/mappers", "/personas"}


def test_a_cache_that_forgets_the_tenant_is_found(service: Service, client: Client) -> None:
    get, put = service.freshness.get, service.freshness.put

    def anybodys(key: tuple[str, str, Any]) -> tuple[str, str, Any]:
        return (key[0], "", key[2])

    with (
        mock.patch.object(service.freshness, "get", lambda key: get(anybodys(key))),
        mock.patch.object(service.freshness, "put", lambda key, *more: put(anybodys(key), *more)),
    ):
        assert "/map-persona" in paths(planted(service, client))
