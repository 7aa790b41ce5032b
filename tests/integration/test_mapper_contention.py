"""Many at one mapper at once, in two services over one database: nothing is lost, and one of those wins who
saw the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from litestar.testing import TestClient

from personakit.agents.mappers import mapper_stream
from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.projections.verify import verify
from personakit_sdk.rules import compile_mapper
from tests.integration.conftest import Client
from tests.mapper_documents import mapper
from tests.postgres import MASTER_KEY

WRITERS, CHANGES = 16, 1000


@pytest.fixture(scope="module")
def clients(database: str, service: Service, key: str) -> Iterator[list[Client]]:
    """A client of each of two services that know of each other by the database only."""
    with ExitStack() as stack:
        other = stack.enter_context(Service(database, MASTER_KEY))
        apps = [create_app(each) for each in (service, other)]
        made = [stack.enter_context(TestClient(app, raise_server_exceptions=False)) for app in apps]
        for client in made:
            client.headers["Authorization"] = f"Bearer {key}"
        yield made


def test_of_sixteen_who_saw_the_same_version_one_publishes_the_next(clients: list[Client]) -> None:
    for round_ in range(5):
        id_ = f"raced{round_}"
        seen = clients[0].post("/mappers", json=mapper(id_)).headers["ETag"]

        def put(number: int, id_: str = id_, seen: str = seen) -> int:
            document = mapper(id_, "1.1.0", always=number / 8)
            client = clients[number % len(clients)]
            return client.put(f"/mappers/{id_}", json=document, headers={"If-Match": seen}).status_code

        with ThreadPoolExecutor(WRITERS) as threads:
            answers = Counter(threads.map(put, range(WRITERS)))
        assert answers == {200: 1, 412: 15}
        assert len(clients[1].get(f"/mappers/{id_}/versions").json()["items"]) == 2


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_of_a_thousand_changes_of_a_weight_at_once_none_is_lost(
    clients: list[Client], service: Service
) -> None:
    assert clients[0].post("/mappers", json=mapper("counted", counted=0.0, other=1.0)).is_success

    def change(number: int) -> int:
        client = clients[number % len(clients)]
        return client.patch("/mappers/counted/rules/counted", json={"change": 0.001}).status_code

    with ThreadPoolExecutor(WRITERS) as threads:
        assert Counter(threads.map(change, range(CHANGES))) == {200: CHANGES}

    shown = clients[1].get("/mappers/counted").json()
    assert (shown["version"], shown["status"]) == (CHANGES + 1, "active")
    assert [rule["weight"] for rule in shown["document"]["rules"]] == [1.0, 1.0]
    assert compile_mapper(shown["document"]).hash == shown["hash"]
    events = service.recorder.select_events(str(mapper_stream("default", "counted")))
    assert [event.originator_version for event in events] == list(range(1, CHANGES + 2))
    statuses = Counter[str]()
    after: dict[str, str] = {}
    while True:
        page = clients[0].get("/mappers/counted/versions", params={"limit": 500, **after}).json()
        statuses.update(item["status"] for item in page["items"])
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert statuses == {"active": 1, "deprecated": CHANGES}
    for name in ("mappers", "mapper_versions", "changes"):
        assert verify(service.pool, service.projections[name], service.keys).clean
