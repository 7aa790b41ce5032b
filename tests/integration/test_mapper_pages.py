"""The pages about changing mappers, what feedback teaches and consent: every command answers as they say."""

from __future__ import annotations

import json

import pytest

from personakit.agents.service import Service
from personakit.eventlog.access import create_key
from tests.history import TENANT, observation
from tests.integration.conftest import Client
from tests.pages import Page, holds


@pytest.mark.parametrize(
    ("name", "least"), [("change-a-mapper.md", 15), ("let-feedback-teach.md", 13), ("ask-for-consent.md", 10)]
)
def test_every_command_answers_what_the_page_says(
    client: Client, service: Service, name: str, least: int
) -> None:
    client.headers["Authorization"] = f"Bearer {create_key(service.recorder, TENANT, 'first')}"
    service.intake.record(TENANT, [observation("ada"), observation("bo")])
    seen = {"PersonaKit-Min-Position": str(service.reader.head())}
    assert client.get("/mindscapes/ada", headers=seen).is_success
    page = Page(name)
    steps = page.steps()
    assert len(steps) >= least
    for command, status, said in steps:
        for answer in page.run(client, command):
            assert answer.status_code == status, (command, answer.text)
            if said.startswith("{"):
                assert holds(json.loads(said), answer.json()), (command, answer.text)
            else:
                assert said.strip() in answer.text, (command, answer.text)
        if "/feedback" in command:  # a reader of the page is slower than a test
            position = {"PersonaKit-Min-Position": answer.headers["PersonaKit-Position"]}
            assert client.get("/mappers", headers=position).is_success
