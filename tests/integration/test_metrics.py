"""`/metrics` and the position on every answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from personakit.agents.service import Service
from personakit.api import metrics_page
from personakit.api.app import create_app
from personakit.domain.events import FeedbackReceived
from personakit.domain.mindscape import Pin
from personakit.eventlog.access import create_key
from personakit.eventlog.appender import NewEvent
from personakit.eventlog.stored import StreamId
from personakit_sdk import wire
from tests.history import a_little_of_everything
from tests.integration.conftest import Client, follow
from tests.people import somebody
from tests.postgres import MASTER_KEY

TOTAL = "personakit_conflicts_total"
TENANT = 'tenant="default"'
OF_THE_SERVICE = {
    "personakit_appender_queue",
    "personakit_appender_queue_bytes",
    "personakit_http_request_seconds",
    "personakit_log_position",
    "personakit_log_readable",
    "personakit_projection_lag_events",
    "personakit_projection_lag_seconds",
    "personakit_projection_position",
    "personakit_projection_quarantined_streams",
}
"""Figures of the whole service, whoever's work it does."""
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def observation(person: str = "ada") -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "personId": person,
        "type": "note",
        "content": {"a": 1},
        "occurredAt": "2026-03-02T09:00:00Z",
    }


def figures(client: Client) -> dict[tuple[str, str], float]:
    """Each sample's value by its name and labels."""
    answer = client.get("/metrics", headers={"Authorization": ""})
    assert answer.status_code == 200
    found = [SAMPLE.match(line) for line in answer.text.splitlines() if not line.startswith("#")]
    assert all(found)
    return {(match[1], match[2] or ""): float(match[3]) for match in found if match}


def test_what_is_appended_and_answered_is_counted(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_page, "PAGE_SECONDS", 0.0)
    before = figures(client)
    body = observation()
    position = int(client.post("/observations", json=body).headers["PersonaKit-Position"])
    client.post("/observations", json=body)
    client.get("/mindscapes/ada")
    after = figures(client)

    def more(name: str, labels: str) -> float:
        return after[name, labels] - before.get((name, labels), 0)

    made = 'method="POST",route="/observations",status="201",tenant="default"'
    assert more("personakit_http_requests_total", made) == 1
    assert more("personakit_http_requests_total", made.replace("201", "200")) == 1
    assert more("personakit_http_request_seconds_count", 'method="POST",route="/observations"') == 2
    assert more("personakit_duplicate_events_total", TENANT) >= 1
    assert more("personakit_appended_events_total", TENANT) >= 2  # the person, and the observation
    assert after["personakit_log_position", ""] >= position
    assert after["personakit_appender_queue", ""] == 0
    assert after["personakit_log_readable", ""] == 1
    lags = {labels for name, labels in after if name == "personakit_projection_lag_seconds"}
    assert 'projection="mindscapes"' in lags


def test_labels_are_routes_and_never_what_a_caller_made_up(client: Client) -> None:
    client.get("/mindscapes/a-person-nobody-knows")
    client.get("/no/such/address")
    client.request("SNEEZE", "/observations")
    text = client.get("/metrics").text
    assert 'route="/mindscapes/{personId}"' in text
    assert 'route="(none)"' in text
    for made_up in ("a-person-nobody-knows", "such", "SNEEZE"):
        assert made_up not in text


def test_what_is_about_a_tenants_doings_bears_its_name(client: Client, service: Service) -> None:
    """Of each family, made from the page itself: and no other tenant than those there are."""
    a_little_of_everything(service, "ada")
    client.get("/mindscapes/ada")
    client.get("/mindscapes/ada", headers={"Authorization": "Bearer pk_unknown"})
    with service.recorder.datastore.get_connection() as connection:
        rows = connection.execute("SELECT tenant FROM personakit.tenants").fetchall()
    there = {row["tenant"] for row in rows}
    named = set()
    for family in text_string_to_metric_families(client.get("/metrics").text):
        name = family.name.removesuffix("_created")
        for sample in family.samples:
            tenant = sample.labels.get("tenant")
            if name in OF_THE_SERVICE:
                assert tenant is None
            else:
                # Where no key opened a tenant, none is named.
                assert tenant in (there | {""} if name == "personakit_http_requests" else there), sample
                named.add(name)
    assert {
        "personakit_http_requests",
        "personakit_appended_events",
        "personakit_adjusted_personas",
        "personakit_inference_people",
        "personakit_model_calls",
        "personakit_model_dropped",
    } <= named


def test_conflicts_of_derivations_and_of_curation_are_counted(
    client: Client, service: Service, database: str
) -> None:
    """Two services at one mindscape: each pins and derives, until each kind of work met the other."""
    labels = [f'{TENANT},work="{work}"' for work in ("computed", "curation")]
    before = figures(client)
    one, another = Service(database, MASTER_KEY), Service(database, MASTER_KEY)
    receipt = one.intake.record("default", [msgspec.convert(observation("contended"), wire.Observation)])
    service.reader.wait_for("default", receipt[0].position, 30)
    found = one.people.find("default", "contended")
    assert found is not None
    try:
        for round_ in range(50):
            together(
                partial(work, each, found.surrogate, f"{name}{round_}")
                for each, name in ((one, "a"), (another, "b"))
            )
            for each in (one, another):
                each.streams.conflicts.keep()
            now = figures(client)
            met = [now.get((TOTAL, label), 0) - before.get((TOTAL, label), 0) for label in labels]
            if all(met):
                break
    finally:
        one.close()
        another.close()
    assert all(met)


def work(service: Service, person: UUID, path: str) -> None:
    """Pins, and derives what was just observed."""
    for number in range(4):
        body = observation("contended") | {"type": "code_commit", "content": {"lines_changed": number}}
        service.intake.record("default", [msgspec.convert(body, wire.Observation)])
        service.curator.pin("default", person, f"{path}.{number}", Pin(number, "low", "told", "key: me"))
        service.mindscaper.derive("default", person)


def together(calls: Iterable[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(8) as threads:
        for each in [threads.submit(call) for call in calls]:
            each.result()


def test_a_quarantined_stream_is_loud(quiet: Service) -> None:
    """A rank beyond the column's range."""
    event = FeedbackReceived(mapper_id="m", rule_id="r", digest="d", rank=2**40)
    ada = somebody(quiet.recorder, quiet.keys, "default")
    quiet.appender.append([NewEvent(StreamId("default", "feedback", uuid4()), 1, event, ada)]).result()
    follow(quiet)
    with TestClient(create_app(quiet), raise_server_exceptions=False) as caller:
        ready = caller.get("/health/ready")
        found = figures(caller)
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert "QUARANTINED" in ready.json()["checks"]["feedback"]
    assert found["personakit_projection_quarantined_streams", 'projection="feedback"'] == 1


@pytest.mark.parametrize("authorized", [True, False], ids=["with a key", "without"])
def test_every_route_answers_with_a_position_whatever_it_answers(
    client: Client, key: str, authorized: bool
) -> None:
    known = int(client.post("/observations", json=observation()).headers["PersonaKit-Position"])
    headers = {"Authorization": f"Bearer {key}" if authorized else ""}
    paths = client.get("/openapi.json").json()["paths"]
    asked = [(method, re.sub(r"\{\w+\}", str(UUID(int=1)), path)) for path in paths for method in paths[path]]
    others = ["/metrics", "/docs", "/openapi.json", "/nowhere", "/observations/%00", "/-/openapi.json"]
    statuses = set()
    for method, path in [*asked, *(("get", other) for other in others), ("patch", "/observations")]:
        answer = client.request(method, path, headers=headers)
        statuses.add(answer.status_code)
        assert int(answer.headers["PersonaKit-Position"]) >= (known if answer.status_code > 400 else 0), path
    assert statuses >= ({200, 400, 404, 405, 422} if authorized else {200, 401, 404, 405})


def test_a_process_that_has_just_started_knows_where_the_log_stands(service: Service, database: str) -> None:
    key = create_key(service.recorder, "default", "test")
    with TestClient(create_app(service)) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        written = int(client.post("/observations", json=observation()).headers["PersonaKit-Position"])
    other = Service(database, MASTER_KEY)
    with TestClient(create_app(other)) as client:
        assert int(client.get("/health/live").headers["PersonaKit-Position"]) >= written
    other.close()
