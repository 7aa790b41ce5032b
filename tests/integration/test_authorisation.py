"""Who may do what: every route with every scope, another tenant's key, a revoked and an expired one.

The rows are made from the route table, so that a route of which nothing is said here fails.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from unittest import mock
from uuid import uuid4

import pytest
from httpx import Response
from litestar import Litestar, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from personakit.agents.service import Service
from personakit.api import guesses, scopes
from personakit.api.app import create_app
from personakit.api.key_ring import BELIEVED_SECONDS
from personakit.domain.grant import SCOPES, Grant, granted
from personakit.eventlog.access import create_tenant, grant_key, revoke_key
from personakit_sdk.rules import suggestion_id
from personakit_sdk.wire import KeyScope
from tests.integration.conftest import Client

CANARY = "canary5b1e"
HIDDEN = "hidden9c4d"
"""Stands in what is believed of ada, and in what she said before: for those who may read it."""
START = datetime(2026, 3, 2, 21, 15, tzinfo=UTC)
ADA = {"personId": "ada"}


def observation(person: str) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "personId": person,
        "type": "code_commit",
        "content": {"lines_changed": 40, "files_changed": 2, "languages": [CANARY], "merge": False},
        "occurredAt": START.isoformat(),
    }


def mapper(id_: str) -> dict[str, Any]:
    rule = {
        "id": "always",
        "conditions": {"trait_check": {"path": "work.commits", "operator": "exists"}},
        "actions": [{"generate_suggestion": {"type": "note", "title": CANARY, "description": CANARY}}],
    }
    return {"metadata": {"id": id_, "version": "1.0.0", "description": CANARY}, "rules": [rule]}


def traits(id_: str) -> dict[str, Any]:
    trait = {"path": f"told.{id_}", "aggregate": "count", "volatility": "low"}
    return {
        "metadata": {"id": id_, "version": "1.0.0", "description": CANARY},
        "observes": "code_commit",
        "traits": [trait],
    }


class Call(NamedTuple):
    """What is sent to a route; its path is filled in from `PLACES`, or from `places`."""

    query: Mapping[str, str] = {}
    body: Any = None
    places: Mapping[str, str] = {}

    def path(self, operation: str) -> str:
        """The path of the route, not filled in."""
        return ROUTES[operation][1]


SUGGESTION = suggestion_id.encode("ada", "focus", 1, "always", 1, datetime(2099, 12, 31, tzinfo=UTC))
PLACES = {
    "personId": "ada",
    "personaId": "ada",
    "mapperId": "focus",
    "documentId": "counted",
    "path": "work.commits",
    "suggestionId": SUGGESTION,
    "version": "1",
    "ruleId": "always",
    "keyId": "pk_00000000",
    "observationId": "00000000-0000-0000-0000-000000000001",
}
CALLS: dict[str, Call] = {
    "recordObservation": Call(body=lambda: observation("ada")),
    "recordObservations": Call(body=lambda: [observation("ada")]),
    "listObservations": Call(query=ADA),
    "retractObservation": Call(),
    "getMindscape": Call(),
    "listMindscapeVersions": Call(),
    "getTraitEvidence": Call(),
    "pinTrait": Call(body={"value": 1, "reason": "said so"}),
    "unpinTrait": Call(query={"reason": "said so"}),
    "listPersonas": Call(),
    "createPersona": Call(body={"name": "team", "people": ["ada"]}),
    "getPersona": Call(),
    "redefinePersona": Call(body={"name": "team", "people": ["ada"]}),
    "retirePersona": Call(),
    "regeneratePersona": Call(),
    "mapPersona": Call(query={"mapperId": "focus", "personaId": "ada"}),
    "mapPersonaByBody": Call(body={"mapperId": "focus", "personaId": "ada"}),
    "getSuggestion": Call(),
    "giveFeedback": Call(body={"suggestionId": SUGGESTION, "helpful": True}),
    "listMappers": Call(),
    "getMapper": Call(),
    "uploadMapper": Call(body=mapper("focus")),
    "updateMapper": Call(body=mapper("focus")),
    "withdrawMapper": Call(places={"mapperId": "nothing"}),
    "validateMapper": Call(body=mapper("focus")),
    "listMapperVersions": Call(),
    "getMapperVersion": Call(),
    "diffMapperVersions": Call(),
    "publishMapperVersion": Call(),
    "changeRuleWeight": Call(body={"weight": 1.0}),
    "getLearnedWeights": Call(),
    "adjustLearnedWeights": Call(body={"action": "freeze", "rules": ["always"], "reason": "so"}),
    "listComputedTraits": Call(),
    "getComputedTraits": Call(),
    "uploadComputedTraits": Call(body=traits("counted")),
    "updateComputedTraits": Call(body=traits("counted")),
    "withdrawComputedTraits": Call(places={"documentId": "nothing"}),
    "validateComputedTraits": Call(body=traits("counted")),
    "listComputedTraitsVersions": Call(),
    "erasePerson": Call(places={"personId": "nobody"}),
    "makePerson": Call(places={"personId": "somebody"}),
    "getModelUse": Call(),
    "getAudit": Call(),
    "listPeople": Call(),
    "exportPerson": Call(),
    "getConsent": Call(),
    "changeConsent": Call(body={"purposes": [CANARY], "reason": CANARY}),
    "getConsentPolicy": Call(),
    "setConsentPolicy": Call(body={"policy": "off", "reason": CANARY}),
    "sync": Call(query={"limit": "500"}),
    "push": Call(body={"clientId": "test", "items": []}),
    "createKey": Call(body={"name": "made", "scopes": ["read"]}),
    "listKeys": Call(),
    "revokeKey": Call(),
    "rotateKey": Call(body={}),
}
"""What is sent to each route that takes a key: a good request, about what is there where there is any."""
TAKES: dict[str, set[KeyScope]] = {
    "recordObservation": {"observe"},
    "recordObservations": {"observe"},
    "listObservations": {"read"},
    "retractObservation": {"observe"},
    "getMindscape": {"read"},
    "listMindscapeVersions": {"read"},
    "getTraitEvidence": {"read"},
    "pinTrait": {"observe"},
    "unpinTrait": {"observe"},
    "listPersonas": {"read"},
    "createPersona": {"admin"},
    "getPersona": {"read"},
    "redefinePersona": {"admin"},
    "retirePersona": {"admin"},
    "regeneratePersona": {"map"},
    "mapPersona": {"map"},
    "mapPersonaByBody": {"map"},
    "getSuggestion": {"read"},
    "giveFeedback": {"feedback"},
    "listMappers": {"read"},
    "getMapper": {"read"},
    "uploadMapper": {"mappers:write"},
    "updateMapper": {"mappers:write"},
    "withdrawMapper": {"mappers:write"},
    "validateMapper": {"mappers:write"},
    "listMapperVersions": {"read"},
    "getMapperVersion": {"read"},
    "diffMapperVersions": {"read"},
    "publishMapperVersion": {"mappers:write"},
    "changeRuleWeight": {"mappers:write"},
    "getLearnedWeights": {"read"},
    "adjustLearnedWeights": {"mappers:write"},
    "listComputedTraits": {"read"},
    "getComputedTraits": {"read"},
    "uploadComputedTraits": {"mappers:write"},
    "updateComputedTraits": {"mappers:write"},
    "withdrawComputedTraits": {"mappers:write"},
    "validateComputedTraits": {"mappers:write"},
    "listComputedTraitsVersions": {"read"},
    "erasePerson": {"people:erase"},
    "makePerson": {"people:erase"},
    "getModelUse": {"admin"},
    "getAudit": {"admin"},
    "listPeople": {"read"},
    "exportPerson": {"read"},
    "getConsent": {"read"},
    "changeConsent": {"observe"},
    "getConsentPolicy": {"admin"},
    "setConsentPolicy": {"admin"},
    "sync": {"map"},
    "push": {"feedback", "observe"},
    "createKey": {"admin"},
    "listKeys": {"admin"},
    "revokeKey": {"admin"},
    "rotateKey": {"admin"},
}
"""The scopes of which each takes one: written out here, for the code under test may be wrong."""
OPEN = {
    "/health/live",
    "/health/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/schemas/mapper.json",
    "/-",
    "/-/{path}",
    "/-/openapi.json",
}
"""What takes no key, whatever `scopes.py` thinks. At `/-` the framework has descriptions of its own."""


def application() -> Litestar:
    stub = SimpleNamespace(recorder=None, on_append=id, reader=None, freshness=SimpleNamespace(on_moved=id))
    return create_app(cast(Service, stub))


def routes() -> dict[str, tuple[str, str]]:
    """Of each operation that takes a key: its method and its path, as the application has them."""
    return {
        str(handler.operation_id): (method, route.path_format)
        for route in application().routes
        if isinstance(route, HTTPRoute) and route.path_format not in OPEN
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    }


ROUTES = routes()


@pytest.fixture(scope="module", autouse=True)
def unlimited_guesses() -> Iterator[None]:
    """All that is asked here comes from one address."""
    with mock.patch.object(guesses, "A_SECOND", 1e6):
        yield


@pytest.fixture(scope="module", autouse=True)
def ada(client: Client) -> None:
    """Somebody, a mapper and a document of computed traits of the tenant, all with the canary."""
    assert client.post("/mappers", json=mapper("focus")).status_code == 201
    assert client.post("/computed-traits", json=traits("counted")).status_code == 201
    recorded = client.post("/observations/batch", json=[observation("ada") for _ in range(3)])
    position = recorded.headers["PersonaKit-Position"]
    assert client.get("/mindscapes/ada", headers={"PersonaKit-Min-Position": position}).json()["traits"]
    pin, said = {"value": HIDDEN, "reason": HIDDEN}, {"purposes": [CANARY, HIDDEN], "reason": HIDDEN}
    assert HIDDEN in client.put("/mindscapes/ada/traits/told.hidden", json=pin).text
    assert HIDDEN in client.put("/people/ada/consent", json=said).text


def call(
    client: Client, operation: str, secret: str, changed: Callable[[Any], Any] = lambda sent: sent
) -> Response:
    """The answer to the operation's request, with a key; `changed` makes another request of it."""
    method, path = ROUTES[operation]
    made = CALLS[operation]
    body = made.body() if callable(made.body) else made.body
    query, body, filled = changed([dict(made.query), body, PLACES | dict(made.places)])
    return client.request(
        method,
        re.sub(r"\{(\w+)\}", lambda found: str(filled[found[1]]), path),
        params=query,
        json=body,
        headers={"Authorization": f"Bearer {secret}"},
    )


class Secrets:
    """Keys of the tenant by what they are for, each made when it is first asked for."""

    def __init__(self, service: Service) -> None:
        self._recorder = service.recorder
        self._of_scope: dict[str, str] = {}

    def of_scope(self, scope: KeyScope) -> str:
        if scope not in self._of_scope:
            self._of_scope[scope] = self.make(granted([scope], None, None))
        return self._of_scope[scope]

    def make(self, grant: Grant, tenant: str = "default", **more: Any) -> str:
        return grant_key(self._recorder, tenant, "test", grant, **more).secret


@pytest.fixture(scope="module")
def secrets(service: Service) -> Secrets:
    return Secrets(service)


@pytest.fixture(scope="module")
def foreign(service: Service, secrets: Secrets) -> str:
    """A key of another tenant, which has nothing."""
    create_tenant(service.recorder, "birch", "Birch")
    return secrets.make(Grant(), "birch")


@pytest.fixture(scope="module")
def closed(service: Service, secrets: Secrets, client: Client) -> dict[str, str]:
    """Keys that opened everything, and do not any more."""
    revoked = secrets.make(Grant())
    assert call(client, "listMappers", revoked).status_code == 200
    revoke_key(service.recorder, "default", revoked[:11])
    expired = secrets.make(Grant(), expires_at=datetime.now(UTC) - timedelta(seconds=1))
    time.sleep(BELIEVED_SECONDS)
    return {"revoked": revoked, "expired": expired, "unknown": f"pk_{'x' * 43}", "none": ""}


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert ROUTES.keys() == CALLS.keys()
    assert scopes.NEEDED.keys() == CALLS.keys() == TAKES.keys()


def test_nothing_is_open_but_what_is_said_to_be() -> None:
    found = application().routes
    assert all(isinstance(route, HTTPRoute) for route in found)
    assert {route.path_format for route in found if scopes.is_open(route.path_format)} == OPEN


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("operation", CALLS)
def test_a_key_may_do_what_its_scope_says_and_nothing_else(
    client: Client, secrets: Secrets, operation: str, scope: KeyScope
) -> None:
    answer = call(client, operation, secrets.of_scope(scope))
    assert answer.status_code < 500, answer.text
    assert scope in {"read", "map"} or HIDDEN not in answer.text
    if scope in TAKES[operation]:
        assert answer.status_code not in (401, 403), answer.text
    else:
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:personakit:problem:forbidden")
        for needed in TAKES[operation]:
            assert f"`{needed}`" in answer.json()["detail"]
        assert CANARY not in answer.text


def test_whoever_defines_a_persona_and_may_not_read_is_told_nothing_that_it_shows(
    client: Client, secrets: Secrets
) -> None:
    body = {"name": "again", "people": ["ada"]}
    path = f"/personas/{client.post('/personas', json={'people': ['ada']}).json()['id']}"
    told = client.put(path, json=body, headers={"Authorization": f"Bearer {secrets.of_scope('admin')}"})
    assert (told.status_code, told.json()["name"], told.json()["core"]["traits"]) == (200, "again", {})
    assert HIDDEN not in told.text
    assert HIDDEN in client.put(path, json=body).text


@pytest.mark.parametrize("why", ["revoked", "expired", "unknown", "none"])
@pytest.mark.parametrize("operation", CALLS)
def test_a_key_that_opens_nothing_opens_no_route(
    client: Client, closed: dict[str, str], operation: str, why: str
) -> None:
    answer = call(client, operation, closed[why])
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:personakit:problem:unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert CANARY not in answer.text


OF_ITS_OWN = {
    "recordObservation",
    "recordObservations",
    "push",
    "makePerson",
    "uploadMapper",
    "validateMapper",
    "uploadComputedTraits",
    "validateComputedTraits",
    "createKey",
    "changeConsent",
    "setConsentPolicy",
}
"""What these are asked for has no owner yet: `test_isolation.py` tells whose it is then."""
OF_EVERY_TENANT = {"listKeys", "listComputedTraits"}
"""Lists that have something for every tenant: its own keys, and the documents that the release brings."""


@pytest.fixture(scope="module")
def owned(client: Client, secrets: Secrets) -> dict[str, str]:
    """What the tenant has, to fill paths in with."""
    told = observation("ada")
    assert client.post("/observations", json=told).status_code == 201
    persona = client.post("/personas", json={"name": CANARY, "people": ["ada"]}).json()["id"]
    return {
        "observationId": str(told["id"]),
        "keyId": secrets.make(Grant())[:11],
        "mapperId": "focus",
        "documentId": "counted",
        "createdId": str(persona),
        "personId": "ada",
    }


BY_AGENTS = (
    "MindscapeUpdated",
    "DerivationCompleted",
    "PersonaCoreGenerated",
    "PersonaWeightsAdjusted",
    "TraitTrustAdjusted",
)
"""Events that follow from what a tenant did before, whenever an agent comes to it."""
_HOLDINGS = """
SELECT 'events' AS what, count(*) AS n FROM personakit.events
WHERE tenant = %(tenant)s AND NOT split_part(topic, '.', 1) = ANY (%(agents)s)
UNION ALL SELECT 'people', count(*) FROM personakit.person_keys WHERE tenant = %(tenant)s
UNION ALL SELECT 'keys', count(*) FROM personakit.api_keys
WHERE tenant = %(tenant)s AND revoked_at IS NULL AND overlap_until IS NULL
"""


def holdings(service: Service, tenant: str) -> dict[str, int]:
    """How much there is of a tenant, but for what agents add by themselves."""
    with service.recorder.datastore.get_connection() as connection:
        rows = connection.execute(_HOLDINGS, {"tenant": tenant, "agents": list(BY_AGENTS)}).fetchall()
    return {row["what"]: row["n"] for row in rows}


@pytest.mark.parametrize("operation", sorted(CALLS.keys() - OF_ITS_OWN))
def test_a_key_of_another_tenant_finds_nothing_or_an_empty_list(
    service: Service, client: Client, foreign: str, owned: dict[str, str], operation: str
) -> None:
    created = {"personaId": owned["createdId"]} if operation in ("redefinePersona", "retirePersona") else {}
    before = holdings(service, "default")
    answer = call(client, operation, foreign, lambda sent: [*sent[:2], sent[2] | owned | created])
    assert holdings(service, "default") == before
    assert holdings(service, "birch")["events"] == 0
    assert CANARY not in answer.text
    assert owned["keyId"] not in answer.text or answer.status_code == 404
    if answer.status_code != 404:
        assert answer.status_code == 200
        assert answer.json().get("items", []) == [] or operation in OF_EVERY_TENANT


def test_a_route_without_a_scope_keeps_the_application_from_starting() -> None:
    @get("/new", operation_id="somethingNew", sync_to_thread=False)
    def something_new() -> str:
        return ""

    app = application()
    scopes.require_scoped(app.routes)
    app.register(cast(HTTPRouteHandler, something_new))
    with pytest.raises(scopes.RouteWithoutScope, match="somethingNew"):
        scopes.require_scoped(app.routes)


def test_a_push_takes_a_scope_for_each_kind_of_item(client: Client, secrets: Secrets) -> None:
    told, voted = observation("ada"), {"suggestionId": SUGGESTION, "helpful": True}
    items = [
        {
            "id": told["id"],
            "kind": "observation",
            "key": "ada",
            "occurredAt": told["occurredAt"],
            "schema": 1,
            "body": {"type": told["type"], "content": told["content"]},
        },
        {
            "id": str(uuid4()),
            "kind": "feedback",
            "key": "ada",
            "occurredAt": told["occurredAt"],
            "schema": 1,
            "body": voted,
        },
    ]
    for scope, fates in (("observe", ["stored", "rejected"]), ("feedback", ["rejected", "stored"])):
        sent = [each | {"id": str(uuid4())} for each in items]
        answer = client.post(
            "/sync",
            json={"clientId": "test", "items": sent},
            headers={"Authorization": f"Bearer {secrets.of_scope(cast(KeyScope, scope))}"},
        )
        results = [answer.json()["results"][each["id"]] for each in sent]
        assert [each["status"] for each in results] == fates
        (refused,) = (each["problem"] for each in results if each["status"] == "rejected")
        assert (refused["status"], refused["type"]) == (403, "urn:personakit:problem:forbidden")


def test_what_is_open_needs_no_key(client: Client) -> None:
    for path in OPEN - {"/-/{path}"}:
        assert client.get(path, headers={"Authorization": ""}).status_code == 200


def test_the_description_says_which_scope_a_route_takes(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    described = {
        operation["operationId"]: {scope for way in operation["security"] for scope in way["key"]}
        for methods in paths.values()
        for operation in methods.values()
        if operation["security"]
    }
    assert described == TAKES
