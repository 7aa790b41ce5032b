"""A local server that speaks the Messages API: it answers what a test laid in, and counts the calls."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Asked = dict[str, Any]
"""The body of a request, as the client sent it."""


class Reply:
    """What the server does with a request: a status, headers and a body; or nothing, or a cut. One that drips
    sends all of it byte by byte, with `drip` seconds before each."""

    def __init__(
        self,
        body: bytes = b"",
        status: int = 200,
        headers: dict[str, str] | None = None,
        *,
        cut: bool = False,
        seconds: float = 0.0,
        drip: float = 0.0,
    ) -> None:
        self.body = body
        self.status = status
        self.headers = {"content-type": "application/json", **(headers or {})}
        self.cut = cut
        self.seconds = seconds
        self.drip = drip


def message(
    text: str, *, stop_reason: str = "end_turn", thinking: bool = False, drip: float = 0.0, **usage: int
) -> Reply:
    """A message with this text; with `thinking` a block of that comes first."""
    content: list[dict[str, str]] = [{"type": "text", "text": text}]
    if thinking:
        content.insert(0, {"type": "thinking", "thinking": "", "signature": "s"})
    counted = {"input_tokens": 1000, "output_tokens": 200} | usage
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": counted,
    }
    return Reply(json.dumps(body).encode(), drip=drip)


def proposals(*traits: dict[str, Any]) -> Reply:
    """An answer to a question about observations."""
    return message(json.dumps({"traits": traits}))


def failure(status: int, kind: str, **headers: str) -> Reply:
    """An error as the provider words it."""
    body = {"type": "error", "error": {"type": kind, "message": "no"}}
    return Reply(
        json.dumps(body).encode(), status, {name.replace("_", "-"): v for name, v in headers.items()}
    )


class MessagesApi:
    """`answer` decides from the body of a request; replies laid in with `next` go first, each once."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.headers: list[dict[str, str]] = []
        self._next: list[Reply] = []
        self._lock = threading.Lock()
        self.url = ""
        self.sent = 0
        """How many replies were written to their end."""
        self.hung_up = threading.Event()
        """Set when who asked hung up before they had all of a reply."""

    def next(self, *replies: Reply) -> None:
        """The replies to the next requests."""
        with self._lock:
            self._next += replies

    def forget(self) -> None:
        """As if nothing had been asked, nor laid in."""
        with self._lock:
            self.asked, self.headers, self._next = [], [], []
        self.sent = 0
        self.hung_up.clear()

    @property
    def calls(self) -> int:
        """How many requests came."""
        return len(self.asked)

    def reply(self, asked: Asked, headers: dict[str, str]) -> Reply:
        """What to do with a request, which is noted."""
        with self._lock:
            self.asked.append(asked)
            self.headers.append(headers)
            laid_in = self._next.pop(0) if self._next else None
        return laid_in or self.answer(asked)


def _send(to: BaseHTTPRequestHandler, reply: Reply) -> None:
    if reply.cut:
        to.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")
        to.wfile.flush()
        to.close_connection = True
        return
    if reply.drip:
        _drip(to, reply)
        return
    to.send_response(reply.status)
    for name, value in {**reply.headers, "content-length": str(len(reply.body))}.items():
        to.send_header(name, value)
    to.end_headers()
    to.wfile.write(reply.body)


def _drip(to: BaseHTTPRequestHandler, reply: Reply) -> None:
    head = f"HTTP/1.1 {reply.status} OK\r\ncontent-type: application/json\r\n"
    to.close_connection = True
    for byte in f"{head}content-length: {len(reply.body)}\r\n\r\n".encode() + reply.body:
        time.sleep(reply.drip)
        to.wfile.write(bytes([byte]))
        to.wfile.flush()


@contextmanager
def messages_api(answer: Callable[[Asked], Reply] = lambda _: proposals()) -> Iterator[MessagesApi]:
    """The server, on a port of its own, until the block ends."""
    api = MessagesApi(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            reply = api.reply(asked, {name.lower(): value for name, value in self.headers.items()})
            if reply.seconds:
                time.sleep(reply.seconds)
            try:
                _send(self, reply)
                api.sent += 1
            except OSError:
                api.hung_up.set()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
