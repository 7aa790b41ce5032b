"""kill -9 between feedback and what it teaches: it is taught once, whenever the service was killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from personakit_sdk.transport import Transport
from personakit_sdk.wire import Mapper, MapperVersionList
from tests.mapper_documents import mapper
from tests.postgres import data_dir
from tests.processes import Installation, installation

PEOPLE = ["ada", "bo", "cy"]
DELAYS = [0.0, 0.03, 0.06, 0.1, 0.2]
"""How long after the last acknowledgement the service is killed: before the votes are followed, read, and
published, and after."""
OFTEN_LIKE_OTHERS = {0.03, 0.1}
"""Those that on most machines meet the same moment as the ones beside them."""


@pytest.fixture(scope="module")
def installed() -> Iterator[Installation]:
    with data_dir() as folder, installation(folder) as made:
        made.start()
        yield made


def say(transport: Transport, mapper_id: str) -> None:
    """Everybody dislikes one rule, and likes the other: enough for a step, and no more."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    for person in PEOPLE:
        for rule, helpful in (("liked", True), ("disliked", False)):
            for _ in range(4):
                body: dict[str, Any] = {"mapperId": mapper_id, "ruleId": rule, "personaId": person}
                body |= {"helpful": helpful, "occurredAt": yesterday}
                transport.request("POST", "/feedback", body=body, idempotent=False)


def learned(transport: Transport, mapper_id: str) -> dict[str, float]:
    return transport.request("GET", f"/mappers/{mapper_id}").decode(Mapper).learned


@pytest.mark.parametrize(
    "delay",
    [pytest.param(delay, marks=[pytest.mark.soak] * (delay in OFTEN_LIKE_OTHERS)) for delay in DELAYS],
)
def test_what_was_acknowledged_before_a_kill_teaches_once(installed: Installation, delay: float) -> None:
    transport = installed.transport(patience=5.0)
    mapper_id = f"killed{DELAYS.index(delay)}"
    for person in PEOPLE:
        observation = {
            "personId": person,
            "type": "note",
            "content": {},
            "occurredAt": "2026-03-02T09:00:00Z",
        }
        transport.request("POST", "/observations", body=observation, idempotent=False)
    document = mapper(mapper_id, liked=1.0, disliked=1.0)
    transport.request("POST", "/mappers", body=document, idempotent=True)
    say(transport, mapper_id)
    time.sleep(delay)
    installed.kill()
    transport = installed.start()
    deadline = time.monotonic() + 30
    expected = {"liked": 1.1, "disliked": 0.9}
    while learned(transport, mapper_id) != expected:
        assert time.monotonic() < deadline, learned(transport, mapper_id)
        time.sleep(0.1)
    time.sleep(4.0)  # a sweep, and another pass if there were one
    versions = transport.request("GET", f"/mappers/{mapper_id}/versions").decode(MapperVersionList).items
    made = [
        transport.request("GET", f"/mappers/{mapper_id}/versions/{each.version}").decode(Mapper).learned
        for each in versions
        if each.change == "learned"
    ]
    assert made[0] == expected
    assert len(made) == len({tuple(sorted(each.items())) for each in made})
    done = installed.run("projections", "verify", "votes", "mappers", "mapper_versions", "personas")
    assert done.returncode == 0, done.stdout + done.stderr
