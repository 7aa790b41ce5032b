"""A whole service over the module's database, and a client that holds a key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.eventlog.access import create_key, create_tenant

Client = TestClient[Litestar]


@pytest.fixture(scope="module")
def service(database: str) -> Iterator[Service]:
    with Service(database) as service:
        create_tenant(service.recorder, "default", "Default")
        service.publish_shipped("default")
        yield service


@pytest.fixture(scope="module")
def key(service: Service) -> str:
    return create_key(service.recorder, "default", "test")


@pytest.fixture(scope="module")
def client(service: Service, key: str) -> Iterator[Client]:
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client
