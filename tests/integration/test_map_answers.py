"""However an answer comes about (by GET or POST, from the cache or from the database, decided now or kept),
for the same instant it is the same to the byte."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID

import pytest

from personakit.agents.service import Service
from personakit.api import map_persona
from personakit.api.hot_reads import Mapping, cached_mapping
from personakit.domain.grant import Grant
from personakit.eventlog.access import grant_key
from tests.integration.conftest import Client

AT = datetime(2026, 4, 10, 19, 59, 58, 600_000, tzinfo=UTC)
LATER = [timedelta(seconds=seconds) for seconds in (0, 0.3, 0.5, 1.6, 600, 86_400 * 3, -30)]
"""Within a second, over its end, over an hour's, after some days of forgetting, and back again."""


def rule(name: str, condition: dict[str, Any], value: Any) -> dict[str, Any]:
    suggestion = {"type": "t", "title": name, "description": "D {x}", "parameters": {"x": value}}
    return {"id": name, "conditions": condition, "actions": [{"generate_suggestion": suggestion}]}


BELIEVED = {"path": "work.commits", "operator": "greater", "value": 3, "min_confidence": 0.1}
SOON = {"field": "due", "operator": "within_minutes", "value": 10}
BUSY = {"field": "busy", "operator": "equals", "value": True}
RULES = {
    "metadata": {"id": "now", "version": "1.0.0", "description": "Rules that look at all there is"},
    "rules": [
        rule("believed", {"trait_check": BELIEVED}, {"from_trait": "work.commits"}),
        rule("evening", {"time_check": {"period": "evening"}}, "\u00e9\x01"),
        rule("soon", {"context_check": SOON}, {"from_context": "due"}),
        rule("dropped", {"not": {"context_check": BUSY}}, {"from_context": "nothing"}),
    ],
}
ASKED: list[dict[str, Any]] = [
    {"mapperId": "now"},
    {"mapperId": "now", "context": {"due": "2026-04-10T20:05:00Z"}, "detailLevel": "instant"},
    {"mapperId": "now", "timezone": "Asia/Tokyo", "limit": 1},
    {"mapperId": "work_rhythm"},
    {"mapperId": "wellbeing_companion", "explain": True, "detailLevel": "deep_dive"},
]


class Clock:
    """Stands for the class that tells `_map` what time it is."""

    def __init__(self) -> None:
        self.instant = AT

    def now(self, zone: tzinfo) -> datetime:
        return self.instant.astimezone(zone)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    stopped = Clock()
    monkeypatch.setattr(map_persona, "datetime", stopped)
    return stopped


@pytest.fixture(scope="module", autouse=True)
def ada(client: Client, service: Service) -> None:
    """Somebody whose work is known, and whom nothing more is recorded about."""
    commits = [
        {
            "id": str(UUID(int=day)),
            "personId": "ada",
            "type": "code_commit",
            "content": {
                "lines_changed": 20 + day,
                "files_changed": 2,
                "languages": ["Python"],
                "merge": False,
            },
            "occurredAt": f"2026-03-{day:02}T21:15:00+01:00",
        }
        for day in range(1, 31)
    ]
    assert client.post("/mappers", json=RULES).status_code == 201
    position = client.post("/observations/batch", json=commits).headers["PersonaKit-Position"]
    client.get("/mindscapes/ada", headers={"PersonaKit-Min-Position": position})
    until(lambda: client.get("/personas/ada").json()["coreVersion"] == 1)
    until(lambda: all(not state.lag_events for state in service.reader.states()))


def until(true: Any) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def cached(client: Client, service: Service, ask: dict[str, Any]) -> Mapping:
    """What is in the cache once it has been asked for."""
    caller = grant_key(service.recorder, "default", "test", Grant()).key

    def there() -> bool:
        client.post("/map-persona", json=ask)
        return cached_mapping(service, caller, "ada", ask["mapperId"]) is not None

    until(there)
    found = cached_mapping(service, caller, "ada", ask["mapperId"])
    assert found is not None
    return found


def by_query(client: Client, ask: dict[str, Any]) -> bytes:
    spelled = {name: value if isinstance(value, str) else json.dumps(value) for name, value in ask.items()}
    answer = client.get("/map-persona", params=spelled)
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize("ask", ASKED, ids=lambda ask: "-".join(map(str, ask)))
def test_an_answer_is_the_same_however_it_came_about(
    client: Client, service: Service, clock: Clock, ask: dict[str, Any]
) -> None:
    ask = {"personaId": "ada", **ask}
    cached(client, service, ask)
    kept: list[tuple[bytes, bytes, bytes]] = []
    for later in LATER:
        clock.instant = AT + later
        at = clock.instant.isoformat()
        by_body = client.post("/map-persona", json=ask).content
        kept.append((by_body, by_query(client, ask), by_query(client, ask | {"at": at})))
        assert kept[-1] == (by_body,) * 3
    for later, (answer, *_) in zip(LATER, kept, strict=True):
        clock.instant = AT + later
        service.freshness.doubt({})
        assert by_query(client, ask) == answer
        assert client.post("/map-persona", json=ask).content == answer


def test_a_decision_is_kept_while_it_holds_and_no_longer(
    client: Client, service: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    evaluate = map_persona.evaluate_until
    monkeypatch.setattr(map_persona, "evaluate_until", lambda *a, **k: made.append(1) or evaluate(*a, **k))
    ask = {"personaId": "ada", "mapperId": "now", "context": {"busy": False}}
    cached(client, service, ask)
    counts = []
    for later in LATER[:4]:
        clock.instant = AT + later
        made.clear()
        client.post("/map-persona", json=ask)
        counts.append(len(made))
    assert counts == [0, 0, 1, 1]  # its evening shows the seconds, and ends with the hour
