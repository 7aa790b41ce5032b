"""What models cost is told: by day, in health, and in the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.eventlog.access import create_key, create_tenant
from tests.history import TENANT
from tests.integration.asked_model import (
    USD_A_CALL,
    asking,
    infer,
    note,
    reads_interests,
    shown_ids,
    write,
)
from tests.integration.conftest import Client
from tests.messages_api import failure, messages_api, proposals
from tests.postgres import MASTER_KEY

TODAY = datetime.now(UTC).date().isoformat()


@pytest.fixture(scope="module")
def used(database: str) -> Iterator[Service]:
    """A service whose model was asked three times: once it was obeyed, once not, once it could not be."""
    with messages_api() as api, asking(database, api) as service:
        for person in ("ann", "ben", "cat"):
            write(service, note(person, "I would love to go climbing again"))
        api.answer = reads_interests()
        infer(service, "ann")
        api.answer = lambda asked: proposals({"path": "Bad Path", "evidence": shown_ids(asked), **REST})
        infer(service, "ben")
        api.answer = lambda _: failure(400, "invalid_request_error")
        infer(service, "cat")
        yield service


REST = {"value": 1, "confidence": 0.5, "volatility": "low", "reason": "r"}


@pytest.fixture(scope="module")
def client(used: Service) -> Iterator[Client]:
    with TestClient(create_app(used), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {create_key(used.recorder, TENANT, 'test')}"
        yield client


def test_what_was_used_is_told_by_day_with_what_was_not_taken(client: Client) -> None:
    report = client.get("/model-use").json()
    assert report["items"] == [
        {
            "day": TODAY,
            "agent": "anthropic",
            "model": "claude-test",
            "calls": 2,
            "inputTokens": 2000,
            "outputTokens": 400,
            "cacheReadTokens": 0,
            "cacheWriteTokens": 0,
            "usd": pytest.approx(2 * USD_A_CALL),
        }
    ]
    assert report["dropped"] == [{"day": TODAY, "agent": "anthropic", "reason": "bad path", "dropped": 1}]
    assert report["budget"] == {"usdPerDay": 1.0, "spentToday": pytest.approx(2 * USD_A_CALL)}
    assert report["usd"] == pytest.approx(2 * USD_A_CALL)


def test_days_can_be_chosen(client: Client) -> None:
    assert client.get("/model-use?from=2026-01-01&to=2026-01-31").json()["items"] == []
    assert len(client.get(f"/model-use?from={TODAY}&to={TODAY}").json()["items"]) == 1


@pytest.mark.parametrize(
    "days", ["from=yesterday", "from=2026-02-01&to=2026-01-01", "from=2020-01-01&to=2026-01-01"]
)
def test_days_that_are_none_are_refused(days: str, client: Client) -> None:
    assert client.get(f"/model-use?{days}").status_code == 422


def test_another_tenants_use_is_not_told(client: Client, used: Service) -> None:
    create_tenant(used.recorder, "other", "Other")
    key = create_key(used.recorder, "other", "test")
    report = client.get("/model-use", headers={"Authorization": f"Bearer {key}"}).json()
    assert (report["items"], report["usd"], report["budget"]["spentToday"]) == ([], 0, 0)


def test_the_metrics_have_calls_tokens_usd_what_was_dropped_and_what_failed(client: Client) -> None:
    page = client.get("/metrics").text
    of_model = 'model="claude-test",tenant="default"'
    for line in (
        f'personakit_model_calls_total{{agent="anthropic",{of_model}}} 2.0',
        f'personakit_model_tokens_total{{agent="anthropic",kind="input",{of_model}}} 2000.0',
        'personakit_model_dropped_total{agent="anthropic",reason="bad path",tenant="default"} 1.0',
        'personakit_model_failing{tenant="default",work="inference"} 1.0',
        'personakit_inference_people{tenant="default"} 1.0',
    ):
        assert line in page
    assert f'personakit_model_usd_total{{agent="anthropic",{of_model}}} 0.004' in page


def test_health_says_which_model_is_asked_and_whose_budget_is_spent(client: Client, database: str) -> None:
    assert client.get("/health/ready").json()["checks"]["model"] == "claude-test, text of 1 people waits"
    with (
        messages_api() as api,
        asking(database, api, budget_usd=0.001) as poor,
        TestClient(create_app(poor), raise_server_exceptions=False) as asker,
    ):
        said = asker.get("/health/ready").json()
    assert said["status"] == "ok"
    assert said["checks"]["model"].endswith("of 1 tenants today's 0.001 USD are spent")


def test_without_a_key_the_service_says_that_it_works_on_computed_traits(
    client: Client, database: str
) -> None:
    without = Service(database, MASTER_KEY)
    try:
        with TestClient(create_app(without), raise_server_exceptions=False) as asker:
            said = asker.get("/health/ready").json()["checks"]["model"]
            key = client.headers["Authorization"]
            report = asker.get("/model-use", headers={"Authorization": key}).json()
    finally:
        without.close()
    assert said == "none, for no key is set: traits are computed, summaries composed"
    assert report["budget"] is None
