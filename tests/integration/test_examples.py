"""The examples do what their first lines say, each in processes of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.messages_api import message, messages_api
from tests.processes import free_port
from tests.sync_service import FIRST_KEY, SyncService, sync_service
from tests.unit.sdk.conftest import mapper, persona

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def double() -> Iterator[SyncService]:
    with sync_service() as service:
        service.put("mapper", "wellbeing_companion", mapper("wellbeing_companion"))
        service.put("persona", "me", persona("me"))
        yield service


def run(name: str, url: str, *arguments: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        env={**os.environ, "PERSONAKIT_URL": url, "PERSONAKIT_API_KEY": FIRST_KEY, **environ},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_the_habit_tracker_works_offline_and_catches_up(double: SyncService, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    store = {"HABITS": str(tmp_path / "habits.db")}
    assert "Nothing yet" in run("habit_tracker.py", nowhere, "today", **store)
    assert "1 to be sent" in run("habit_tracker.py", nowhere, "log", "running", "minutes=30", **store)
    assert "Not now" in run("habit_tracker.py", nowhere, "sync", **store)
    assert "All is sent; 1 personas, 1 mappers" in run("habit_tracker.py", double.url, "sync", **store)
    assert double.order[0]["body"]["content"] == {"habit": "running", "minutes": 30.0}
    shown = run("habit_tracker.py", nowhere, "today", **store)
    assert "- early: D" in shown
    suggestion = shown.split("(")[1].split(")")[0]
    assert "Thank you" in run("habit_tracker.py", nowhere, "helpful", suggestion, **store)
    run("habit_tracker.py", double.url, "sync", **store)
    assert double.order[1]["body"] == {"suggestionId": suggestion, "helpful": True}


def test_the_web_app_takes_check_ins_in_two_workers(double: SyncService, tmp_path: Path) -> None:
    environ = {
        "PERSONAKIT_URL": double.url,
        "PERSONAKIT_API_KEY": FIRST_KEY,
        "STORE": str(tmp_path / "web.db"),
        "PORT": "0",
        "SYNC_EVERY": "0.2",
    }
    command = [sys.executable, "-W", "ignore", EXAMPLES / "web_app.py"]
    with subprocess.Popen(command, env=os.environ | environ, stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None
        url = app.stdout.readline().split()[0]
        try:
            answers = [ask(url, "POST", "/people/me/check-ins", {"mood": n}) for n in range(20)]
            assert {status for status, _ in answers} == {202}
            assert ask(url, "POST", "/people/not a person/check-ins", {})[0] == 422
            assert ask(url, "GET", "/nothing")[0] == 404
            deadline = time.monotonic() + 60
            while len(double.order) < 20 or ask(url, "GET", "/people/me/suggestions")[0] == 404:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert ask(url, "GET", "/people/me/suggestions")[1]["suggestions"] == ["early"]
        finally:
            app.send_signal(signal.SIGTERM)
        assert app.wait(60) == 0
    assert {item["id"] for item in double.order} == {said["id"] for _, said in answers}
    assert len(double.order) == 20


def test_the_agent_tells_the_model_whom_it_talks_to(double: SyncService, tmp_path: Path) -> None:
    with messages_api(lambda _: message("Begin with the hardest thing.")) as api:
        said = run(
            "agent.py",
            double.url,
            "me",
            "What first?",
            STORE=str(tmp_path / "agent.db"),
            ANTHROPIC_API_KEY="sk-test",
            ANTHROPIC_BASE_URL=api.url,
        )
    assert said == "Begin with the hardest thing.\n"
    (asked,) = api.asked
    assert "me works in the morning." in asked["system"]
    assert "rhythm.period: morning" in asked["system"]
    assert "- early: D" in asked["system"]
    assert asked["messages"] == [{"role": "user", "content": "What first?"}]
    assert [item["body"]["content"] for item in double.order] == [{"text": "What first?"}]


def ask(url: str, method: str, path: str, said: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request(method, path.replace(" ", "%20"), None if said is None else json.dumps(said))
    answer = connection.getresponse()
    try:
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()
