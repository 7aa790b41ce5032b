"""Cores worded by a model: on request, once however many ask, at a price that is told before and after."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from litestar.testing import TestClient

from personakit.agents.model import ModelFailed
from personakit.agents.service import Service
from personakit.api import regenerating
from personakit.api.app import create_app
from personakit.eventlog.access import create_key
from personakit.eventlog.leases import Lease, Leases
from tests.history import TENANT, observation, surrogate
from tests.integration.asked_model import USD_A_CALL, asking, model_settings, spent
from tests.integration.conftest import Client, follow
from tests.messages_api import Asked, MessagesApi, Reply, failure, message
from tests.postgres import MASTER_KEY

SUMMARY = "They write software, mostly in the evening."
SAID = message(json.dumps({"summary": SUMMARY}))


@pytest.fixture
def api(model_server: MessagesApi) -> MessagesApi:
    model_server.forget()
    model_server.answer = lambda _: SAID
    return model_server


@pytest.fixture(scope="module")
def working(database: str, model_server: MessagesApi) -> Iterator[Service]:
    """A service at work, but for the reading of free text."""
    with asking(database, model_server, batch_tokens=10**9, batch_seconds=1e9) as service:
        service.mappers.publish_shipped(TENANT)
        service.work()
        yield service


@pytest.fixture(scope="module")
def client(working: Service) -> Iterator[Client]:
    key = create_key(working.recorder, TENANT, "test")
    with TestClient(create_app(working), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


def stale(service: Service, person: str) -> None:
    """A person with a composed core that is stale."""
    for hours in (range(10), range(100, 140)):
        recorded = service.intake.record(TENANT, [observation(person, hour) for hour in hours])
        position = recorded[-1].position
        service.reader.wait_for(TENANT, position, 30)
        until(lambda: core_version(service, person) >= 1)
    until(lambda: row(service, person)["is_stale"])


def until(reached: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if reached():
            return
        pause.wait(0.01)
    raise AssertionError("it never came")


def row(service: Service, person: str) -> dict[str, Any]:
    with service.reader.snapshot_of_all() as snapshot:
        found = snapshot.row("personas.by_id", tenant=TENANT, personas=[surrogate(service, person)])
    assert found is not None
    return found


def core_version(service: Service, person: str) -> int:
    return int(row(service, person)["core_version"])


def test_a_first_core_is_composed_for_free_and_says_what_words_would_cost(
    working: Service, client: Client, api: MessagesApi
) -> None:
    stale(working, "first")
    persona = client.get("/personas/first").json()
    assert (persona["core"]["source"], persona["core"]["cost"]) == ("composed", None)
    estimate = persona["regenerate"]["estimate"]
    assert persona["regenerate"]["href"] == "/personas/first/regenerate"
    assert estimate["inputTokens"] > 300
    assert 0 < estimate["usd"] < 0.01
    mapped = client.get("/map-persona?personaId=first&mapperId=work_rhythm").json()
    assert mapped["regenerate"]["estimate"] == estimate
    assert api.calls == 0


def test_a_core_on_request_is_worded_and_says_what_it_cost(
    working: Service, client: Client, api: MessagesApi
) -> None:
    stale(working, "worded")
    answer = client.post("/personas/worded/regenerate")
    core = answer.json()["core"]
    assert answer.status_code == 200
    assert (core["source"], core["summary"]) == ("model", SUMMARY)
    assert core["cost"]["usd"] == pytest.approx(USD_A_CALL)
    assert core["cost"]["model"] == "claude-test"
    assert answer.json()["isStale"] is False
    assert "work.commits" in api.asked[0]["messages"][0]["content"]


def test_a_core_that_was_only_composed_can_be_worded_though_nothing_changed(
    working: Service, client: Client, api: MessagesApi
) -> None:
    (recorded, *_) = working.intake.record(TENANT, [observation("plain", hour) for hour in range(10)])
    working.reader.wait_for(TENANT, recorded.position, 30)
    until(lambda: core_version(working, "plain") == 1)
    assert client.post("/personas/plain/regenerate").json()["core"]["source"] == "model"
    assert client.post("/personas/plain/regenerate").json()["coreVersion"] == 2
    assert api.calls == 1


def test_eight_who_ask_at_once_pay_once_and_get_the_same(
    working: Service, client: Client, api: MessagesApi
) -> None:
    stale(working, "crowded")
    begun, go_on = threading.Event(), threading.Event()

    def slowly(_: Asked) -> Reply:
        begun.set()
        go_on.wait(20)
        return SAID

    api.answer = slowly
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(client.post, "/personas/crowded/regenerate") for _ in range(8)]
        begun.wait(20)
        until(lambda: held(working, "crowded"))
        go_on.set()
        shown = [answer.result(30) for answer in answers]
    assert [answer.status_code for answer in shown] == [200] * 8
    assert {answer.json()["core"]["summary"] for answer in shown} == {SUMMARY}
    assert api.calls == 1


def held(service: Service, person: str) -> bool:
    state = service.leases.state(TENANT, "core", surrogate(service, person), 60)
    return state is not None and state.held


def test_who_waits_for_one_that_fails_fails_with_it_and_does_not_pay(
    working: Service, client: Client, api: MessagesApi
) -> None:
    stale(working, "unlucky")
    begun, go_on = threading.Event(), threading.Event()

    def slowly(_: Asked) -> Reply:
        begun.set()
        go_on.wait(20)
        return failure(400, "invalid_request_error")

    api.answer = slowly
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(client.post, "/personas/unlucky/regenerate")
        begun.wait(20)
        others = [threads.submit(client.post, "/personas/unlucky/regenerate") for _ in range(3)]
        until(lambda: working._regenerations is not None and working._regenerations.waiting == 3)
        go_on.set()
        statuses = [answer.result(30).status_code for answer in (first, *others)]
    assert statuses == [502] * 4
    assert api.calls == 1


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("broken", failure(400, "invalid_request_error")),
        ("refused", message("", stop_reason="refusal")),
        ("blank", message('{"summary": " "}')),
        ("garbled", message("I have been pwned.")),
    ],
)
def test_when_it_fails_the_old_core_goes_on_serving_and_it_is_said(
    name: str, reply: Reply, working: Service, client: Client, api: MessagesApi
) -> None:
    stale(working, name)
    api.answer = lambda _: reply
    before = client.get(f"/personas/{name}").json()["core"]
    already = spent(working)
    refused = client.post(f"/personas/{name}/regenerate")
    assert (refused.status_code, refused.json()["type"]) == (502, "urn:personakit:problem:model-failed")
    mapped = client.get(f"/map-persona?personaId={name}&mapperId=work_rhythm&ifStale=regenerate")
    assert (mapped.status_code, mapped.json()["persona"]["isStale"]) == (200, True)
    assert client.get(f"/personas/{name}").json()["core"] == before
    follow(working)
    paid = 0 if name == "broken" else api.calls * USD_A_CALL
    assert spent(working) - already == pytest.approx(paid)


def test_if_stale_regenerate_pays_and_answers_fresh_and_fail_says_the_price(
    working: Service, client: Client, api: MessagesApi
) -> None:
    stale(working, "choosy")
    ask = "/map-persona?personaId=choosy&mapperId=work_rhythm&ifStale="
    refused = client.get(f"{ask}fail")
    price = client.get("/personas/choosy").json()["regenerate"]["estimate"]["usd"]
    assert (refused.status_code, api.calls) == (409, 0)
    assert f"for about {price} USD" in refused.json()["detail"]
    fresh = client.get(f"{ask}regenerate").json()
    assert (fresh["persona"]["isStale"], fresh["persona"]["core"]["source"]) == (False, "model")
    assert api.calls == 1
    assert client.get(f"{ask}fail").status_code == 200


def test_one_that_takes_long_is_answered_with_the_old_core_and_goes_on(
    working: Service, client: Client, api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale(working, "lengthy")
    monkeypatch.setattr(regenerating, "WAIT_SECONDS", 0.1)
    go_on = threading.Event()

    def slowly(_: Asked) -> Reply:
        go_on.wait(20)
        return SAID

    api.answer = slowly
    answers = [
        client.post("/personas/lengthy/regenerate"),
        client.get("/map-persona?personaId=lengthy&mapperId=work_rhythm&ifStale=regenerate"),
    ]
    go_on.set()
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["isStale"] is True
    until(lambda: row(working, "lengthy")["core"]["source"] == "model")
    assert api.calls == 1


def test_without_budget_nothing_is_asked_and_it_is_said_until_when(
    working: Service, database: str, api: MessagesApi
) -> None:
    stale(working, "poor")
    poor = Service(database, MASTER_KEY, model=model_settings(api, budget_usd=0.0))
    try:
        key = create_key(poor.recorder, TENANT, "poor")
        with TestClient(create_app(poor), raise_server_exceptions=False) as client:
            client.headers["Authorization"] = f"Bearer {key}"
            refused = client.post("/personas/poor/regenerate")
            failed = poor.leases.state(TENANT, "core", surrogate(poor, "poor"), 60)
            assert failed is not None
            assert failed.error is None
            # who waits for one that is refused so is told the same
            lease = poor.leases.take(TENANT, "core", surrogate(poor, "poor"), 60, patient=False)
            assert lease is not None
            with ThreadPoolExecutor(1) as threads:
                waiting = threads.submit(client.post, "/personas/poor/regenerate")
                until(lambda: poor._regenerations is not None and poor._regenerations.waiting == 1)
                poor.leases.failed(lease, None)
                waited = waiting.result(30)
    finally:
        poor.close()
    assert (waited.status_code, waited.json()["type"]) == (503, refused.json()["type"])
    assert (refused.status_code, api.calls) == (503, 0)
    assert refused.json()["type"] == "urn:personakit:problem:model-budget-spent"
    assert 0 < int(refused.headers["Retry-After"]) <= 86400


def test_without_a_model_it_is_composed_for_free(database: str, working: Service) -> None:
    stale(working, "free")
    without = Service(database, MASTER_KEY)
    try:
        key = create_key(without.recorder, TENANT, "free")
        with TestClient(create_app(without), raise_server_exceptions=False) as client:
            client.headers["Authorization"] = f"Bearer {key}"
            core = client.post("/personas/free/regenerate").json()
    finally:
        without.close()
    assert (core["core"]["source"], core["isStale"]) == ("composed", False)
    assert core["regenerate"]["estimate"]["usd"] == 0


def test_one_that_is_defined_anew_meanwhile_is_asked_for_again_under_a_lease_of_full_length(
    working: Service, client: Client, api: MessagesApi
) -> None:
    stale(working, "moving")
    pair = client.post("/personas", json={"people": ["moving"], "name": "First"}).json()["id"]
    persona = UUID(pair[1:])
    already, ends = spent(working), []

    def redefining(_: Asked) -> Reply:
        ends.append(lease_end(working, persona))
        if len(ends) < 3:
            client.put(f"/personas/{pair}", json={"people": ["moving"], "uses": [f"a{len(ends)}", "work.*"]})
        return SAID

    api.answer = redefining
    made = client.post(f"/personas/{pair}/regenerate")
    assert (made.status_code, made.json()["core"]["source"]) == (200, "model")
    assert ends[0] < ends[1] < ends[2]
    follow(working)
    assert spent(working) - already == pytest.approx(3 * USD_A_CALL)


def test_one_that_is_defined_anew_all_the_time_is_given_up_and_paid_for_no_further(
    working: Service, client: Client, api: MessagesApi
) -> None:
    stale(working, "restless")
    pair = client.post("/personas", json={"people": ["restless"], "name": "First"}).json()["id"]

    def redefining(_: Asked) -> Reply:
        client.put(f"/personas/{pair}", json={"people": ["restless"], "uses": [f"a{api.calls}", "work.*"]})
        return SAID

    api.answer = redefining
    assert client.post(f"/personas/{pair}/regenerate").status_code == 503
    assert api.calls == 3


def lease_end(service: Service, entity: UUID) -> Any:
    with service.pool.connection() as connection:
        found = connection.execute(
            "SELECT until FROM personakit.leases WHERE entity = %s", [entity]
        ).fetchone()
    assert found is not None
    return found["until"]


def test_who_lost_the_lease_before_it_asked_waits_for_who_has_it(
    working: Service, client: Client, api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process took it over while this one was held up."""
    stale(working, "overtaken")
    persona = surrogate(working, "overtaken")
    extend, taken = Leases.extend, []

    def too_late(leases: Leases, lease: Lease, seconds: float) -> None:
        if not taken:
            with working.pool.connection() as connection:
                connection.execute("UPDATE personakit.leases SET until = now() WHERE entity = %s", [persona])
            taken.append(leases.take(TENANT, "core", persona, 60, patient=False))
        extend(leases, lease, seconds)

    monkeypatch.setattr(Leases, "extend", too_late)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(client.post, "/personas/overtaken/regenerate")
        until(lambda: working._regenerations is not None and working._regenerations.waiting == 1)
        assert api.calls == 0
        working.leases.failed(taken[0], "the other one failed")
        assert answer.result(30).status_code == 502
    assert api.calls == 0


def test_those_that_queued_before_one_failed_take_its_failure_as_theirs(
    database: str, working: Service, api: MessagesApi
) -> None:
    """One thread, which is busy with somebody else while they come."""
    for person in ("ahead", "queued"):
        stale(working, person)
    begun, go_on = threading.Event(), threading.Event()

    def answer(_: Asked) -> Reply:
        if not begun.is_set():
            begun.set()
            go_on.wait(20)
            return SAID
        return failure(400, "invalid_request_error")

    api.answer = answer
    with asking(database, api, calls=1) as service, ThreadPoolExecutor(5) as threads:
        regenerations = service._regenerations
        assert regenerations is not None
        first = threads.submit(service.regenerate, TENANT, surrogate(service, "ahead"), 30)
        begun.wait(20)
        persona = surrogate(service, "queued")
        queued = [threads.submit(service.regenerate, TENANT, persona, 30) for _ in range(4)]
        until(lambda: regenerations._threads._work_queue.qsize() == 4)
        go_on.set()
        assert first.result(30) is not None
        errors = [each.exception(30) for each in queued]
        assert all(isinstance(error, ModelFailed) for error in errors), errors
        assert api.calls == 2
        # whoever asks later pays again
        with pytest.raises(ModelFailed):
            service.regenerate(TENANT, persona, 30)
        assert api.calls == 3
