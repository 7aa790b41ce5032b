"""The load generator against a server of a few lines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.exchange import request
from bench.load import drive


class Counting(BaseHTTPRequestHandler):
    """Answers what was sent to it; /refused is refused."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        seen.append(body)
        self.send_response(409 if self.path == "/refused" else 201)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


seen: list[bytes] = []


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_each_request_is_sent_once_however_many_connections_there_are(port: int) -> None:
    seen.clear()
    bodies = [str(number).encode() for number in range(50)]
    load = drive(port, [request("POST", "/", body=body) for body in bodies], connections=7)
    assert sorted(seen) == sorted(bodies)
    assert load.answers == 50
    assert 0 < load.p50_ms <= load.p99_ms <= load.seconds * 1000
    assert load.rate == pytest.approx(50 / load.seconds)


def test_a_body_larger_than_the_sockets_buffers_arrives_whole(port: int) -> None:
    seen.clear()
    large = b"x" * 8_000_000
    assert drive(port, [request("POST", "/", body=large)] * 2, connections=2).answers == 2
    assert seen == [large, large]


def test_requests_are_repeated_for_as_long_as_asked(port: int) -> None:
    load = drive(port, [request("POST", "/", body=b"a")], connections=2, seconds=0.2)
    assert load.answers > 2
    assert load.seconds == pytest.approx(0.2, abs=0.15)


def test_an_answer_that_is_no_success_ends_the_load(port: int) -> None:
    with pytest.raises(AssertionError, match="409"):
        drive(port, [request("POST", "/refused", body=b"")], connections=1)
