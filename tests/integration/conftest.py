"""A whole service over the module's database, and a client that holds a key."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from psycopg.conninfo import conninfo_to_dict

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.embedded import EmbeddedPostgres
from personakit.eventlog.access import create_key, create_tenant
from personakit.eventlog.appender import Appender
from personakit.eventlog.person_keys import PersonKeys
from personakit.eventlog.recorder import LogRecorder, open_datastore
from personakit.projections.follow import Followers
from tests.messages_api import MessagesApi, messages_api
from tests.postgres import MASTER_KEY, create_database

Client = TestClient[Litestar]


@pytest.fixture(scope="module")
def databases(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Databases with an empty log and read models, each a copy of the first."""

    def copies() -> Iterator[str]:
        first = create_database(postgres)
        Service(first, MASTER_KEY).close()
        while True:
            yield create_database(postgres, str(conninfo_to_dict(first)["dbname"]))

    return copies()


@pytest.fixture(scope="module")
def recorder(database: str) -> Iterator[LogRecorder]:
    """The log alone, and a tenant in it."""
    recorder = LogRecorder(open_datastore(database))
    recorder.create_table()
    create_tenant(recorder, "default", "Default")
    yield recorder
    recorder.datastore.close()


@pytest.fixture(scope="module")
def keys(recorder: LogRecorder) -> PersonKeys:
    return PersonKeys(recorder.datastore.get_connection, MASTER_KEY)


@pytest.fixture
def appender(recorder: LogRecorder) -> Iterator[Appender]:
    appender = Appender(recorder)
    yield appender
    appender.close()


@pytest.fixture(scope="module")
def service(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    journal = tmp_path_factory.mktemp("erasures") / "erasures.jsonl"
    with Service(database, MASTER_KEY, erasure_journal=journal) as service:
        create_tenant(service.recorder, "default", "Default")
        service.mappers.publish_shipped("default")
        yield service


@pytest.fixture(scope="module")
def quiet(database: str) -> Iterator[Service]:
    """A service whose agents sleep: a test moves each part by hand."""
    service = Service(database, MASTER_KEY)
    create_tenant(service.recorder, "default", "Default")
    yield service
    service.close()


@pytest.fixture(scope="module")
def key(service: Service) -> str:
    return create_key(service.recorder, "default", "test")


@pytest.fixture(scope="module")
def client(service: Service, key: str) -> Iterator[Client]:
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


@pytest.fixture(scope="module")
def model_server() -> Iterator[MessagesApi]:
    """Answers as the API of a model does, and asks nobody."""
    with messages_api() as server:
        yield server


def follow(service: Service, *names: str) -> None:
    """Lets the named read models, or all, take what is in the log."""
    chosen = [service.projections[name] for name in names or service.projections]
    followers = Followers(service.pool, chosen, service.keys)
    while followers.catch_up().busy:  # agents of another service are at some of them
        time.sleep(0.01)
