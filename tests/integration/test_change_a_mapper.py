"""The page about changing mappers: every command is run, and answers what the page says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx

from personakit.agents.service import Service
from personakit.eventlog.access import create_key
from tests.integration.conftest import Client

PAGE = (Path(__file__).parents[2] / "docs/how-to/change-a-mapper.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```yaml (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def commands() -> list[tuple[str, int, str]]:
    """Each command with the status and the answer that stand below it."""
    found = re.findall(r"^((?:kind=\S+ )?pk .*)\n# (\d+) (.*)$", PAGE, re.MULTILINE)
    assert len(found) == len(re.findall(r"^(?:kind=\S+ )?pk ", PAGE, re.MULTILINE))
    return [(command, int(status), answer) for command, status, answer in found]


def run(client: Client, command: str) -> httpx.Response:
    """What `curl` would send."""
    words = shlex.split(command.replace("$PERSONAKIT_URL", ""))
    kind = words.pop(0).partition("=")[2] if words[0].startswith("kind=") else "application/json"
    method, headers, body, path = None, {"Content-Type": kind}, None, ""
    rest = iter(words[1:])
    for word in rest:
        match word:
            case "-X":
                method = next(rest)
            case "-H":
                name, _, value = next(rest).partition(": ")
                headers[name] = value
            case "-d":
                body = next(rest)
            case "--data-binary":
                body = FILES[next(rest).removeprefix("@")]
            case _:
                path = word
    return client.request(method or ("POST" if body else "GET"), path, headers=headers, content=body)


def holds(said: Any, found: Any) -> bool:
    """Whether what is said is in what was found; lists are said whole, or from their beginning."""
    if isinstance(said, dict):
        return all(key in found and holds(value, found[key]) for key, value in said.items())
    if isinstance(said, list):
        return len(said) <= len(found) and all(map(holds, said, found)) and (bool(said) or not found)
    return bool(said == found)


def test_every_command_answers_what_the_page_says(client: Client, service: Service) -> None:
    client.headers["Authorization"] = f"Bearer {create_key(service.recorder, 'default', 'first')}"
    seen = {
        "id": "00000000-0000-4000-8000-0000000000ac",
        "personId": "ada",
        "type": "note",
        "content": {},
        "occurredAt": "2026-03-02T15:00:00Z",
    }
    assert client.post("/observations", json=seen).is_success
    steps = commands()
    assert len(steps) >= 15
    for command, status, said in steps:
        answer = run(client, command)
        assert answer.status_code == status, (command, answer.text)
        if said.startswith("{"):
            assert holds(json.loads(said), answer.json()), (command, answer.text)
        else:
            assert said.strip() in answer.text, (command, answer.text)
