"""The scripted service: a real port that expects one request after the other and answers as the case says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from msgspec import UNSET

from tests.contract.sync.answers import content_of, fates, headers_of
from tests.contract.sync.difference import difference
from tests.contract.sync.exchange import Answer, Exchange, Fate, Request, Standing, Talk
from tests.contract.sync.outgoing import Outgoing

KEY: Final = "pk_conformance"
FREE: Final = frozenset({"limit", "wait"})
"""Parameters of a pull that are the SDK's own choice."""

POISONED: Final = {400: "malformed-json", 413: "too-large", 422: "invalid-input"}
"""What a request that is refused whole is called, by its status."""


class Sent(NamedTuple):
    """A request as it came; the names of `headers` are in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def ids(self) -> list[str]:
        """The ids of the items of a push."""
        return [item["id"] for item in json.loads(self.body)["items"]] if self.body else []


class Scripted:
    """What is expected, and what was wrong with what came. `now` is its time; `kill` ends the SDK."""

    def __init__(self, now: datetime, kill: Callable[[], None]) -> None:
        self.now, self.kill = now, kill
        self.url = ""
        self.outgoing = Outgoing()
        self.trouble: list[str] = []
        self._lock = threading.Lock()
        self._expected: list[Exchange] = []
        self._standing: Standing | None = None
        self._number = 0

    def expect(self, talk: Talk) -> None:
        """From now on, these requests and no other."""
        with self._lock:
            self._expected = list(talk.exchanges or ())
            self._standing = None if talk.standing is UNSET else talk.standing
            self._number = 0

    def outstanding(self) -> str | None:
        """What was wrong since `expect`, or has not come."""
        with self._lock:
            if not self.trouble and self._expected:
                missing = self._expected[0].request
                self.trouble.append(f"request {self._number + 1} never came: {missing.method} {missing.path}")
            self._expected, self._standing = [], None
            return self.trouble[0] if self.trouble else None

    def answer(self, sent: Sent) -> Answer:
        """The answer to a request; what is wrong with it is noted."""
        with self._lock:
            self._number += 1
            answer, wrong = self._next(sent)
            if wrong is not None:
                self.trouble.append(f"request {self._number}, {sent.method} {sent.path}: {wrong}")
                return Answer(status=500, text="not as the case has it", proxy=True)
            self._settle(sent, answer)
            return answer

    def _next(self, sent: Sent) -> tuple[Answer, str | None]:
        none = Answer(fault="closed")
        wrong = _wrong(sent) or (self.outgoing.wrong(sent.body) if sent.method == "POST" else None)
        if wrong is not None:
            return none, wrong
        if self._standing is not None:
            return self._by_rule(sent, self._standing)
        if not self._expected:
            return none, "no such request may come here"
        exchange = self._expected.pop(0)
        return exchange.answer, self._difference(exchange.request, sent)

    def _by_rule(self, sent: Sent, rule: Standing) -> tuple[Answer, str | None]:
        names = {self.outgoing.name(id_) for id_ in sent.ids}
        bad = next((code for name, code in rule.poison.items() if name in names), None)
        if bad is None:
            answer = Answer(fates=rule.fates, epoch=rule.epoch)
        elif bad == 500:
            answer = Answer(status=bad, text="something broke", proxy=True)
        else:
            answer = Answer(status=bad, problem=POISONED[bad])
        if (sent.method, sent.path) != ("POST", "/sync"):
            return answer, "only pushes may come here"
        return answer, f"{rule.most} requests are enough" if self._number > rule.most else None

    def _difference(self, request: Request, sent: Sent) -> str | None:
        query = {name: values for name, values in sent.query.items() if name not in FREE}
        named = {name: sent.headers.get(name.lower()) for name in request.headers}
        conditional = {"if-none-match": sent.headers.get("if-none-match")}
        asked = {name.lower(): value for name, value in request.headers.items()}
        pairs = [
            ("the method", request.method, sent.method),
            ("the path", request.path, sent.path),
            ("the parameters", sorted(request.query), sorted(query)),
            ("the query", {name: [value] for name, value in request.query.items()}, query),
            ("the header", dict(request.headers), named),
            ("the header", {"if-none-match": asked.get("if-none-match")}, conditional),
        ]
        if request.items is not UNSET:
            pairs.append(("the items", request.items, [self.outgoing.name(id_) for id_ in sent.ids]))
        if request.body is not UNSET:
            pairs.append(("the body", request.body, json.loads(sent.body or b"null")))
        return next((told for at, one, other in pairs if (told := difference(one, other, at))), None)

    def _settle(self, sent: Sent, answer: Answer) -> None:
        if answer.fates is not UNSET and answer.fault is None:
            results = fates(answer.fates, self.names(sent), answer.epoch)["results"]
            self.outgoing.settle({id_: result["status"] for id_, result in results.items()})
        elif answer.status in {400, 413, 422} and len(sent.ids) == 1:
            rejected: dict[str, Fate] = {sent.ids[0]: "rejected"}
            self.outgoing.settle(rejected)

    def names(self, sent: Sent) -> dict[str, str]:
        """By the ids of a push: what the case calls the items."""
        return {id_: self.outgoing.name(id_) for id_ in sent.ids}


def _wrong(sent: Sent) -> str | None:
    """What is wrong with any request."""
    if sent.headers.get("authorization") != f"Bearer {KEY}":
        return f"Authorization is {sent.headers.get('authorization')!r}, not the bearer's key"
    kind = sent.headers.get("content-type", "").partition(";")[0]
    if sent.method == "POST" and kind != "application/json":
        return f"Content-Type is {kind!r}, not application/json"
    return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    scripted: Scripted
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("content-length") or 0)))

    def _serve(self, body: bytes) -> None:
        # One request a connection: what a client does with one that it may use again is its library's matter.
        self.close_connection = True
        at = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        sent = Sent(self.command, at.path, parse_qs(at.query, keep_blank_values=True), headers, body)
        answer = self.scripted.answer(sent)
        if answer.fault == "crash":
            self.scripted.kill()
        elif answer.fault != "closed":
            # What is wrong with a push may be that its items have no ids.
            names = {} if answer.fates is UNSET else self.scripted.names(sent)
            content, kind = content_of(answer, names, self.scripted.now)
            with suppress(OSError):  # who asked may be gone
                headers = headers_of(answer, self.scripted.now)
                self._send(answer, content, {"Content-Type": kind, **headers})

    def _send(self, answer: Answer, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        if answer.empty is UNSET:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if answer.fault == "cut" else content)

    def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002
        return format_datetime(self.scripted.now, usegmt=True)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def serving(scripted: Scripted) -> Iterator[Scripted]:
    """The service on a loopback port of its own, until the block ends."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"scripted": scripted}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    scripted.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield scripted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
