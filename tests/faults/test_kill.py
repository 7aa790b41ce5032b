"""kill -9 of the service, of its PostgreSQL and of an import, and then on: nothing accepted is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from personakit_sdk.errors import PersonaKitError
from personakit_sdk.transport import Transport
from personakit_sdk.wire import BatchAnswer, Mindscape, ObservationList
from tests.postgres import data_dir
from tests.processes import Installation, git, installation

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@pytest.fixture
def installed() -> Iterator[Installation]:
    with data_dir() as folder, installation(folder) as made:
        yield made


def batch(size: int) -> list[dict[str, Any]]:
    return [
        {
            "id": str(uuid4()),
            "personId": "ada",
            "type": "code_commit",
            "content": {"lines_changed": n, "languages": ["Python"], "merge": False},
            "occurredAt": (START + timedelta(hours=n)).isoformat(),
        }
        for n in range(size)
    ]


def stored_ids(transport: Transport, person: str = "ada") -> list[str]:
    """Every observation id of a person, once the projections have caught up."""
    head = transport.request("POST", "/observations/batch", body=batch(1), idempotent=True)
    query = {"personId": person, "limit": "500"}
    position = {"PersonaKit-Min-Position": head.headers["PersonaKit-Position"]}
    ids: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = transport.request("GET", "/observations", query={**query, **after}, headers=position)
        items = page.decode(ObservationList)
        ids += [str(item.id) for item in items.items]
        if items.next is None:
            return ids
        after = {"after": items.next}


class Writer(threading.Thread):
    """Sends batches until told to stop, sends again what was not answered, remembers what was."""

    def __init__(self, installed: Installation) -> None:
        super().__init__()
        self.installed = installed
        self.acknowledged: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            items = batch(20)
            while not self._send(items):
                if self.stopping.is_set():
                    return
                time.sleep(0.05)

    def _send(self, items: list[dict[str, Any]]) -> bool:
        try:
            reply = self.installed.transport().request(
                "POST", "/observations/batch", body=items, idempotent=False
            )
        except PersonaKitError:
            return False
        results = reply.decode(BatchAnswer).results
        assert {result.status for result in results} <= {"stored", "duplicate"}
        self.acknowledged += [str(result.id) for result in results]
        return True


@pytest.mark.parametrize("victim", ["service", "postgres", "both"])
def test_nothing_acknowledged_is_lost_or_doubled(installed: Installation, victim: str) -> None:
    installed.start()
    writer = Writer(installed)
    writer.start()
    try:
        for _ in range(2):
            time.sleep(0.6)
            if victim in ("postgres", "both"):
                installed.kill_postmaster()
            installed.kill()
            installed.start()
        time.sleep(0.6)
    finally:
        writer.stopping.set()
        writer.join()
    found = stored_ids(installed.transport())
    assert len(writer.acknowledged) > 40
    assert len(found) == len(set(found))
    assert set(writer.acknowledged) <= set(found)


def test_a_service_whose_postgres_is_killed_comes_back_by_itself(installed: Installation) -> None:
    transport = installed.start()
    before, after = batch(5), batch(5)
    transport.request("POST", "/observations/batch", body=before, idempotent=True)
    installed.kill_postmaster()
    patient = installed.transport(patience=30.0)
    patient.request("POST", "/observations/batch", body=after, idempotent=True)
    assert {item["id"] for item in before + after} <= set(stored_ids(patient))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,500 commits in some 300 work sessions, made in one go."""
    folder = tmp_path_factory.mktemp("history")
    git(folder, "init", "--quiet", "--initial-branch=main")
    stream = bytearray()
    for n in range(1500):
        seconds = int((START + timedelta(hours=5 * (n // 5), minutes=20 * (n % 5))).timestamp())
        stream += (
            f"commit refs/heads/main\nmark :{n + 1}\n"
            f"author Ada <ada@example.org> {seconds} +0100\ncommitter Ada <ada@example.org> {seconds} +0100\n"
            f"data 2\nc\n{f'from :{n}' + chr(10) if n else ''}"
            f"M 100644 inline file{n % 7}.py\ndata {len(str(n)) + 1}\n{n}\n\n"
        ).encode()
    import subprocess

    subprocess.run(["git", "-C", str(folder), "fast-import", "--quiet"], input=bytes(stream), check=True)
    return folder


def imported(installed: Installation, repository: Path) -> dict[str, Any]:
    done = installed.run(
        "--json", "import", "git", repository, "--author", "ada@example.org", "--person", "ada-git"
    )
    assert done.returncode == 0, done.stderr
    return dict(msgspec.json.decode(done.stdout))


def mindscape(installed: Installation, person: str) -> Mindscape:
    head = installed.transport().request("POST", "/observations/batch", body=batch(1), idempotent=True)
    position = {"PersonaKit-Min-Position": head.headers["PersonaKit-Position"]}
    return installed.transport().request("GET", f"/mindscapes/{person}", headers=position).decode(Mindscape)


def comparable(found: Mindscape) -> dict[str, Any]:
    """What does not depend on how often the mindscaper passed by, nor on the clock."""
    return {path: (t.value, t.samples, t.evidence, t.last_observed_at) for path, t in found.traits.items()}


@pytest.mark.soak
def test_an_import_killed_again_and_again_gives_what_an_undisturbed_one_gives(repository: Path) -> None:
    with data_dir() as folder, installation(folder) as undisturbed:
        undisturbed.start()
        calm = imported(undisturbed, repository)
        wanted = comparable(mindscape(undisturbed, "ada-git"))
        count = len(stored_ids(undisturbed.transport(), "ada-git"))
    assert calm["stored"] == count > 1500

    with data_dir() as folder, installation(folder) as disturbed:
        disturbed.start()
        for seconds in (0.7, 1.0):
            started = disturbed.begin(
                "import", "git", repository, "--author", "ada@example.org", "--person", "ada-git"
            )
            time.sleep(seconds)
            started.kill()
            started.wait()
            disturbed.kill()
            disturbed.start()
        imported(disturbed, repository)
        again = imported(disturbed, repository)
        assert (again["stored"], again["duplicates"]) == (0, count)
        assert len(stored_ids(disturbed.transport(), "ada-git")) == count
        assert comparable(mindscape(disturbed, "ada-git")) == wanted
