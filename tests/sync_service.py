"""A service that speaks the sync protocol, in memory, over real HTTP, and fails in the ways that a test asks.

What it has been sent and what it serves is open to the test. A fault that is laid in with `next_push` or
`next_pull` meets one request; `poison`, `reject`, `busy` and `down` hold until they are taken away.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import msgspec

from personakit_sdk import wire
from personakit_sdk.rules.clock import time_zone_data

Item = dict[str, Any]
FIRST_KEY = "pk_test"


class Fault(NamedTuple):
    """What becomes of one request. `committed` says whether the work was done before."""

    kind: Literal["status", "lost", "cut", "html", "omit"]
    status: int = 200
    committed: bool = True
    retry_after: str | None = None
    count: int = 0
    problem_type: str = "about:blank"


def lost(*, committed: bool = True) -> Fault:
    """The connection closes without an answer."""
    return Fault("lost", committed=committed)


def cut() -> Fault:
    """The answer breaks off in its middle."""
    return Fault("cut")


def html(status: int = 200, *, committed: bool = True) -> Fault:
    """A page of some proxy comes instead of the answer."""
    return Fault("html", status, committed)


def omit(count: int = 1) -> Fault:
    """The answer says nothing of the first items, which are stored."""
    return Fault("omit", count=count)


def status(code: int, *, retry_after: str | None = None, problem_type: str = "about:blank") -> Fault:
    """A problem, and nothing is done."""
    return Fault("status", code, committed=False, retry_after=retry_after, problem_type=problem_type)


class Entity(NamedTuple):
    """A mapper or persona at the version that last changed it; without a body it is deleted."""

    version: int
    body: Any


class SyncService:
    """The state of the service, and the faults that are laid in."""

    def __init__(self) -> None:
        self.epoch = uuid4()
        self.position = 0
        self.url = ""
        self.keys = {FIRST_KEY}
        self.stored: dict[str, Item] = {}
        self.order: list[Item] = []
        self.pushes: list[list[Item]] = []
        self.pulls: list[dict[str, str]] = []
        self.entities: dict[tuple[str, str], Entity] = {}
        self.poison: Callable[[Item], int | None] = lambda _: None
        self.reject: Callable[[Item], str | None] = lambda _: None
        self.busy: Callable[[Item], bool] = lambda _: False
        self.down: Fault | None = None
        self.digest_is_wrong = 0
        self.valid_for = timedelta(days=7)
        self.before_pull: Callable[[], None] = lambda: None
        self.before_answer: Callable[[], None] = lambda: None
        self._push_faults: list[Fault] = []
        self._pull_faults: list[Fault] = []
        self._lock = threading.RLock()

    def next_push(self, *faults: Fault) -> None:
        """What becomes of the next pushes."""
        with self._lock:
            self._push_faults += faults

    def next_pull(self, *faults: Fault) -> None:
        """What becomes of the next pulls."""
        with self._lock:
            self._pull_faults += faults

    def put(self, kind: str, id_: str, body: Any) -> int:
        """A new state of an entity; the position that it changed at."""
        with self._lock:
            self.position += 1
            self.entities[kind, id_] = Entity(self.position, msgspec.to_builtins(body))
            return self.position

    def delete(self, kind: str, id_: str) -> None:
        """An entity is there no more."""
        with self._lock:
            self.position += 1
            self.entities[kind, id_] = Entity(self.position, None)

    def restore(self, *, without: int = 0) -> None:
        """The service comes back from a backup: another epoch, and the newest items are not in it."""
        with self._lock:
            self.epoch = uuid4()
            for item in self.order[len(self.order) - without :]:
                del self.stored[item["id"]]
            del self.order[len(self.order) - without :]

    @property
    def served(self) -> dict[tuple[str, str], Any]:
        """What a client has after a pull: the version and body of each entity."""
        return {at: (each.version, each.body) for at, each in self.entities.items() if each.body is not None}

    def push(self, body: Item) -> tuple[int, Any, Fault | None]:
        """Status, answer and fault of a push."""
        with self._lock:
            items = body["items"]
            self.pushes.append(items)
            fault = self.down or (self._push_faults.pop(0) if self._push_faults else None)
            bad = next((code for item in items if (code := self.poison(item))), None)
            if bad is not None:
                return bad, problem(bad, "an item that is not taken"), fault
            if fault is not None and not fault.committed:
                return fault.status, problem(fault.status, "no", fault.problem_type), fault
            results = {item["id"]: self._take(item) for item in items}
            if fault is not None and fault.kind == "omit":
                results = dict(list(results.items())[fault.count :])
            return 200, {"epoch": str(self.epoch), "results": results}, fault

    def _take(self, item: Item) -> Item:
        if self.busy(item):
            return {"status": "retry"}
        reason = self.reject(item)
        known = self.stored.get(item["id"])
        if reason is None and known is not None and known != item:
            reason = "another item has this id"
        if reason is not None:
            return {"status": "rejected", "problem": problem(422, reason)}
        if known is not None:
            return {"status": "duplicate", "position": 1}
        self.stored[item["id"]] = item
        self.order.append(item)
        self.position += 1
        return {"status": "stored", "position": self.position}

    def pull(self, query: dict[str, str], tag: str | None) -> tuple[int, Any, dict[str, str], Fault | None]:
        """Status, answer, headers and fault of a pull."""
        self.before_pull()
        with self._lock:
            self.pulls.append(query)
            fault = self.down or (self._pull_faults.pop(0) if self._pull_faults else None)
            if fault is not None and fault.kind == "status" and fault.status != 304:
                said = problem(fault.status, "no", fault.problem_type)
                return fault.status, said, {"cache-control": "no-store"}, fault
            valid = {"PersonaKit-Valid-Until": self._valid_until()}
            here = f'"{self.epoch}-{self.position}"'
            if (fault is not None and fault.status == 304) or tag == here:
                return 304, None, {**valid, "etag": here}, fault
            return self._page(query, here, valid, fault)

    def _page(
        self, query: dict[str, str], here: str, headers: dict[str, str], fault: Fault | None
    ) -> tuple[int, Any, dict[str, str], Fault | None]:
        since, limit = query.get("since"), int(query.get("limit", 50))
        mode, epoch, head, last = self._standing(since)
        if epoch != str(self.epoch):
            return 410, problem(410, "another log", "epoch-changed"), {}, fault
        rows = self._rows(mode, head, last)
        page, more = rows[:limit], len(rows) > limit
        # After its last page, a full pull replays from the head that its first page had.
        behind = more or (mode == "full" and self.position > head)
        following = ["changes", epoch, self.position, []]
        if mode == "full" and more:
            following = ["full", epoch, head, list(page[-1][:2])]
        elif behind:
            following = ["changes" if mode == "changes" else "rest", epoch, page[-1][2] if more else head, []]
        full, done = mode != "changes", not behind
        answer = wire.SyncAnswer(
            epoch=self.epoch,
            intent="full" if full else "changes" if page else "none",
            items=[
                wire.SyncItem(
                    kind=row[0],
                    id=row[1],
                    version=row[2],
                    op="delete" if row[3] is None else "put",
                    body=row[3],
                )
                for row in page
            ],
            next=json.dumps(following),
            has_more=behind,
            up_to_date=done,
            as_of=datetime.now(UTC),
            position=self.position,
            valid_until=datetime.now(UTC) + self.valid_for,
            digest=self._digest() if full and done else None,
            rule_language=1,
            time_zone_data=time_zone_data(),
        )
        return 200, msgspec.to_builtins(answer), {**headers, "etag": here} if done else headers, fault

    def _standing(self, since: str | None) -> Any:
        if since is None:
            return ["full", str(self.epoch), self.position, []]
        if not since.startswith("["):  # an instant, as if nothing had changed since
            return ["changes", str(self.epoch), self.position, []]
        return json.loads(since)

    def _rows(self, mode: str, head: int, last: list[str]) -> list[tuple[str, str, int, Any]]:
        rows = [(*at, *each) for at, each in self.entities.items()]
        if mode == "full":
            return sorted(row for row in rows if row[3] is not None and list(row[:2]) > last)
        return sorted((row for row in rows if row[2] > head), key=lambda row: row[2])

    def _digest(self) -> str:
        if self.digest_is_wrong:
            self.digest_is_wrong -= 1
            return "0" * 64
        return wire.sync_digest((*at, version) for at, (version, _) in self.served.items())

    def _valid_until(self) -> str:
        return (datetime.now(UTC) + self.valid_for).isoformat()


def problem(code: int, detail: str, kind: str = "about:blank") -> Item:
    """A problem as the service words it."""
    return {"type": kind, "title": "No", "status": code, "detail": detail}


def ids(items: list[Item]) -> list[UUID]:
    """The ids of items, in their order."""
    return [UUID(item["id"]) for item in items]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


class _Handler(BaseHTTPRequestHandler):
    service: SyncService
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self._known():
            return
        code, answer, fault = self.service.push(body)
        self.service.before_answer()
        self._answer(code, answer, {}, fault)

    def do_GET(self) -> None:
        if not self._known():
            return
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        code, answer, headers, fault = self.service.pull(query, self.headers.get("if-none-match"))
        self._answer(code, answer, headers, fault)

    def _known(self) -> bool:
        known = self.headers["authorization"].removeprefix("Bearer ") in self.service.keys
        if not known:
            self._answer(401, problem(401, "the key opens nothing"), {}, None)
        return known

    def _answer(self, code: int, answer: Any, headers: dict[str, str], fault: Fault | None) -> None:
        if fault is not None and fault.kind == "lost":
            self.close_connection = True
            return
        if fault is not None and fault.retry_after:
            headers = {**headers, "Retry-After": fault.retry_after}
        content, kind = b"" if answer is None else msgspec.json.encode(answer), "application/json"
        if fault is not None and fault.kind == "html":
            code, content, kind = fault.status, b"<html>Welcome to the hotel</html>", "text/html"
        with suppress(OSError):  # who asked may be gone
            self._send(code, content, {**headers, "Content-Type": kind}, whole=not _is_cut(fault))

    def _send(self, code: int, content: bytes, headers: dict[str, str], *, whole: bool) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if whole else content[: len(content) // 2])
        self.close_connection = self.close_connection or not whole

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def sync_service(port: int = 0, state: SyncService | None = None) -> Iterator[SyncService]:
    """The service on a port of its own, or on the given one, until the block ends."""
    service = state or SyncService()

    handler = type("Handler", (_Handler,), {"service": service})
    server = _Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _is_cut(fault: Fault | None) -> bool:
    return fault is not None and fault.kind == "cut"
