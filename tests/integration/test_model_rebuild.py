"""What a model said is in the log: read models are rebuilt from it with the network cut, byte for byte."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from psycopg import sql

from personakit.agents.service import Service
from personakit.eventlog.access import create_tenant
from personakit.projections import builds
from personakit.projections.rebuild import rebuild
from personakit.projections.verify import verify
from tests.history import TENANT, observation, surrogate
from tests.integration.asked_model import asking, infer, note, reads_interests, write
from tests.integration.conftest import follow
from tests.messages_api import Asked, Reply, message, messages_api
from tests.postgres import MASTER_KEY

MADE_OF_IT = ("mindscapes", "personas", "model_use", "inference_due", "derivation_due", "changes")


def told(asked: Asked) -> Reply:
    """Reads what it is shown, and writes summaries."""
    if "observations" in asked["messages"][0]["content"]:
        return reads_interests(value=["bouldering", "łupek", "登山"], confidence=0.7341)(asked)
    return message(json.dumps({"summary": "They climb — often, and far."}), cache_read_input_tokens=77)


def rows(service: Service, name: str) -> dict[str, list[Any]]:
    """All rows of a projection's tables, as PostgreSQL writes them."""
    with service.pool.connection() as connection:
        schema = str(builds.active(connection, service.projections[name]))
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema]
        ).fetchall()
        return {
            row["tablename"]: connection.execute(
                sql.SQL("SELECT t::text AS text FROM {} AS t ORDER BY 1").format(
                    sql.Identifier(schema, row["tablename"])
                )
            ).fetchall()
            for row in tables
        }


@pytest.fixture(scope="module")
def read_by_a_model(database: str) -> str:
    """A database with traits and cores by a model; the server is gone."""
    with messages_api(told) as api, asking(database, api) as service:
        for person in ("ada", "bo"):
            write(service, *[observation(person, hour) for hour in range(10)])
            write(service, note(person, "I would love to go climbing again"))
            service.mindscaper.derive(TENANT, surrogate(service, person))
            infer(service, person)
            assert service.regenerate(TENANT, surrogate(service, person), 30) is not None
            write(service, note(person, "This one has not been read yet", 1))
    return database


@pytest.mark.parametrize("name", MADE_OF_IT)
def test_a_rebuild_with_the_network_cut_makes_the_same_rows(
    name: str, read_by_a_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            raise OSError("the network is cut")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    service = Service(read_by_a_model, MASTER_KEY)
    try:
        create_tenant(service.recorder, TENANT, "Default")
        follow(service)
        before = rows(service, name)
        assert any(before.values())
        rebuild(service.pool, service.projections[name], service.keys)
        assert rows(service, name) == before
        assert verify(service.pool, service.projections[name], service.keys).clean
    finally:
        service.close()


def test_what_is_rebuilt_is_what_the_model_said(read_by_a_model: str) -> None:
    service = Service(read_by_a_model, MASTER_KEY)
    try:
        mindscape = str(rows(service, "mindscapes"))
        personas = str(rows(service, "personas"))
    finally:
        service.close()
    assert "登山" in mindscape
    assert "anthropic:claude-test" in mindscape
    assert "They climb — often, and far." in personas
