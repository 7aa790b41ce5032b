"""A real git repository to fill, and a real HTTP server that keeps observations as the service promises."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from personakit_sdk.transport import Transport


class GitRepository:
    """A repository below a temporary folder, with a git that sees no configuration of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, told: bytes | None = None, **environ: str) -> str:
        done = subprocess.run(
            ("git", "-C", str(self.path), *arguments),
            input=told,
            capture_output=True,
            check=True,
            env=bare() | environ,
        )
        return done.stdout.decode()

    def write(self, **files: str | bytes) -> None:
        for name, content in files.items():
            self.put(name.replace("__", "."), content)

    def put(self, name: str, content: str | bytes) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, date: str, email: str = "ann@example.org", *more: str) -> str:
        """Commit all that is there; the hash."""
        self.git("add", "--all")
        self.git(
            *("commit", "--quiet", "--allow-empty", "--message", "work", *more),
            GIT_AUTHOR_DATE=date,
            GIT_AUTHOR_EMAIL=email,
        )
        return self.git("rev-parse", "HEAD").strip()


def bare() -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ann",
        "GIT_COMMITTER_NAME": "Ann",
        "GIT_COMMITTER_EMAIL": "ann@example.org",
        "GIT_COMMITTER_DATE": "2026-01-01T00:00:00+0000",
    }


class BatchService:
    """`POST /observations/batch` in memory: idempotent by id, 409 for the same id with another body.

    `script` holds statuses to answer with before anything is taken; `busy` ids are answered `retry` once;
    `refused` ids are rejected. Other paths answer what `answers` has for them; `seen` keeps what was asked.
    """

    def __init__(self) -> None:
        self.observations: dict[str, dict[str, Any]] = {}
        self.batches: list[int] = []
        self.script: list[int] = []
        self.busy: set[str] = set()
        self.refused: set[str] = set()
        self.answers: dict[str, tuple[int, Any]] = {}
        self.seen: list[tuple[str, str, bytes]] = []
        self.url = ""

    def answer(self, path: str, body: bytes, status: int) -> tuple[int, Any]:
        if path in self.answers:
            return self.answers[path]
        if status == 200 and path == "/observations/batch":
            return 200, self.take(body)
        return status, problem(status, f"It is a {status}.")

    def take(self, body: bytes) -> dict[str, Any]:
        items = [msgspec.json.decode(line) for line in body.splitlines()]
        self.batches.append(len(items))
        return {"results": [self._result(item) for item in items]}

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [item for item in self.observations.values() if item["type"] == kind]

    def _result(self, item: dict[str, Any]) -> dict[str, Any]:
        found = self.observations.get(item["id"])
        if item["id"] in self.busy:
            self.busy.remove(item["id"])
            return {"id": item["id"], "status": "retry"}
        if item["id"] in self.refused:
            return {"id": item["id"], "status": "rejected", "problem": problem(422, "It has no content.")}
        if found is not None and found != item:
            return {
                "id": item["id"],
                "status": "rejected",
                "problem": problem(409, "Another body was stored."),
            }
        self.observations.setdefault(item["id"], item)
        return {"id": item["id"], "status": "duplicate" if found else "stored", "position": 1}


def problem(status: int, detail: str) -> dict[str, Any]:
    return {"type": f"/problems/{status}", "title": "No", "status": status, "detail": detail}


@pytest.fixture(autouse=True)
def no_configuration_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("GIT_", "PERSONAKIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def service() -> Iterator[BatchService]:
    batches = BatchService()

    class Handler(BaseHTTPRequestHandler):
        def take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = batches.script.pop(0) if batches.script else 200
            batches.seen.append((self.path, self.headers.get("Content-Type", ""), body))
            status, said = batches.answer(self.path, body, status)
            content = msgspec.json.encode(said)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    for method in ("GET", "POST"):
        setattr(Handler, f"do_{method}", Handler.take)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    batches.url = f"http://127.0.0.1:{server.server_port}"
    yield batches
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def transport(service: BatchService) -> Iterator[Transport]:
    one = Transport(service.url, "pk_test", sleep=lambda _: None)
    yield one
    one.close()


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "lantern")
