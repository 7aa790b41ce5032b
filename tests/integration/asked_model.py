"""A service that asks a model at a local server, moved by hand; and what a model that reads would answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from personakit.agents.inferrer import Inferrer
from personakit.agents.service import Service
from personakit.config import ModelSettings, Prices
from personakit.eventlog.access import create_tenant
from personakit.eventlog.stored import LogNotification, StreamId
from personakit_sdk import wire
from tests.history import START, TENANT, surrogate
from tests.integration.conftest import follow
from tests.messages_api import Asked, MessagesApi, Reply, proposals
from tests.postgres import MASTER_KEY

PRICES = Prices(1.0, 5.0, 0.1, 1.25)
USD_A_CALL = (1000 * 1.0 + 200 * 5.0) / 1e6
"""What the local server says that a call took, at these prices."""


def model_settings(api: MessagesApi, **changed: Any) -> ModelSettings:
    """Settings in which nothing is waited for."""
    quick = {
        "attempts": 2,
        "retry_seconds": 0.001,
        "batch_tokens": 1,
        "batch_seconds": 0.0,
        "timeout": 5.0,
        "pause_seconds": 60.0,
    }
    return ModelSettings(
        api_key="sk-test", prices=PRICES, name="claude-test", base_url=api.url, **{**quick, **changed}
    )


@contextmanager
def asking(database: str, api: MessagesApi, **changed: Any) -> Iterator[Service]:
    """A service whose agents sleep, with a model to ask."""
    service = Service(database, MASTER_KEY, model=model_settings(api, **changed))
    create_tenant(service.recorder, TENANT, "Default")
    try:
        yield service
    finally:
        service.close()


def inferrer(service: Service) -> Inferrer:
    """Who asks."""
    assert service.inference is not None
    return service.inference.inferrer


def note(person: str, text: str, hour: int = 0) -> wire.Observation:
    """An observation with free text."""
    return wire.Observation(
        id=uuid4(),
        person_id=person,
        type="note",
        content={"text": text},
        occurred_at=START.replace(hour=hour),
    )


def write(service: Service, *observations: wire.Observation) -> list[UUID]:
    """Records them, and lets the read models follow."""
    service.intake.record(TENANT, list(observations))
    follow(service)
    return [each.id for each in observations if each.id is not None]


def infer(service: Service, person: str) -> int | None:
    """One pass, followed."""
    position = inferrer(service).infer(TENANT, surrogate(service, person))
    follow(service)
    return position


def shown_ids(asked: Asked) -> list[str]:
    """The ids of the observations in a question."""
    block = asked["messages"][0]["content"].split("<observations>\n")[1]
    return re.findall(r'"id":"([0-9a-f-]{36})"', block)


def reads_interests(path: str = "interests.climbing", **changed: Any) -> Callable[[Asked], Reply]:
    """A model that makes one trait of all it is shown."""

    def answer(asked: Asked) -> Reply:
        trait = {
            "path": path,
            "value": True,
            "confidence": 0.8,
            "volatility": "low",
            "evidence": shown_ids(asked),
            "reason": "They wrote about it.",
        }
        return proposals({**trait, **changed})

    return answer


def mindscape(service: Service, person: str) -> dict[str, Any]:
    """The row of the read model."""
    with service.reader.snapshot_of_all() as snapshot:
        row = snapshot.row("mindscapes.by_person", tenant=TENANT, person=surrogate(service, person))
    assert row is not None
    return row


def events(service: Service, kind: str, person: str) -> list[LogNotification]:
    """The rows of a person's stream."""
    return list(service.recorder.select_events(str(StreamId(TENANT, kind, surrogate(service, person)))))


def last_completed(service: Service, person: str) -> Any:
    """The newest DerivationCompleted of the model's derivation."""
    return service.streams.last(StreamId(TENANT, "derivation.anthropic", surrogate(service, person))).state


def spent(service: Service) -> float:
    """What the tenant spent today."""
    assert service.inference is not None
    with service.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("model_use.totals")
    return sum(row["usd"] for row in rows)


def dumped(rows: dict[str, Any]) -> str:
    """A row as text, to compare byte for byte."""
    return json.dumps(rows, default=str)
