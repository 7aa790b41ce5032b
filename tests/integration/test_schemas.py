"""The schema of mapper documents, as a service has it."""

from __future__ import annotations

from click.testing import CliRunner

from personakit.cli.main import personakit
from personakit_sdk.rules.schema import mapper_schema
from tests.integration.conftest import Client


def test_it_is_open_to_all_and_what_the_command_prints(client: Client) -> None:
    answer = client.get("/schemas/mapper.json", headers={"Authorization": ""})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/schema+json")
    printed = CliRunner().invoke(personakit, ["mappers", "schema"], catch_exceptions=False)
    assert printed.exit_code == 0
    assert answer.json() == mapper_schema()
    assert '"$id": "/schemas/mapper.json"' in printed.stdout


def test_no_other_address_below_is_open(client: Client) -> None:
    assert client.get("/schemas/other.json", headers={"Authorization": ""}).status_code == 404
    assert client.get("/mappers", headers={"Authorization": ""}).status_code == 401
