"""The transport against a real HTTP server on this machine that misbehaves in the ways servers do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit_sdk.errors import InvalidInput
from personakit_sdk.transport import Backoff, ServiceError, Transport, Unreachable

Respond = Callable[[BaseHTTPRequestHandler, int], None]


class Count(msgspec.Struct):
    """A body to decode."""

    items: int


class Timeline:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@contextmanager
def service(respond: Respond) -> Iterator[tuple[str, list[BaseHTTPRequestHandler]]]:
    """A server that answers with `respond(handler, how many requests came before)`."""
    seen: list[BaseHTTPRequestHandler] = []

    class Handler(BaseHTTPRequestHandler):
        def take(self) -> None:
            self.sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append(self)
            respond(self, len(seen) - 1)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    for method in ("GET", "POST", "PUT", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.take)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"{}", **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Promise a body and close in the middle of it."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"it')
    handler.close_connection = True


@contextmanager
def transport(url: str, patience: float = 30.0) -> Iterator[tuple[Transport, Timeline]]:
    line = Timeline()
    one = Transport(
        url,
        "pk_test",
        timeout=2,
        patience=patience,
        sleep=line.sleep,
        clock=lambda: line.now,
        chance=lambda: 0.5,
    )
    try:
        yield one, line
    finally:
        one.close()


def test_a_request_bears_the_key_and_its_body_as_json() -> None:
    with (
        service(lambda handler, _: answer(handler, 201, b'{"items": 3}')) as (url, seen),
        transport(url) as (to, _),
    ):
        reply = to.request(
            "POST", "/observations", body={"a": [1, "ü"]}, query={"x": "a b", "none": None, "n": 2}
        )
    assert reply.decode(Count) == Count(items=3)
    assert reply.status == 201
    assert seen[0].path == "/observations?x=a+b&n=2"
    assert seen[0].headers["Authorization"] == "Bearer pk_test"
    assert seen[0].headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(seen[0].sent) == {"a": [1, "ü"]}


def test_headers_of_an_answer_are_found_in_any_case() -> None:
    respond = lambda handler, _: answer(handler, 200, PersonaKit_Position="41")  # noqa: E731
    with service(respond) as (url, _), transport(url) as (to, _):
        headers = to.request("GET", "/mappers").headers
    assert (headers["PersonaKit-Position"], headers["personakit-position"]) == ("41", "41")


def test_bytes_are_sent_as_they_are() -> None:
    headers = {"Content-Type": "application/yaml"}
    with service(lambda handler, _: answer(handler, 200)) as (url, seen), transport(url) as (to, _):
        to.request("POST", "/mappers", body=b"metadata: {}", headers=headers)
    assert (seen[0].sent, seen[0].headers["Content-Type"]) == (b"metadata: {}", "application/yaml")


def test_a_problem_becomes_an_error_with_its_status_type_detail_and_faults() -> None:
    problem = {
        "type": "/problems/invalid",
        "title": "Invalid",
        "status": 422,
        "detail": "The mapper is not valid.",
        "errors": [{"pointer": "/rules/0", "message": "has no id"}],
    }
    body = msgspec.json.encode(problem)
    respond = lambda handler, _: answer(handler, 422, body, Content_Type="application/problem+json")  # noqa: E731
    with service(respond) as (url, _), transport(url) as (to, _), pytest.raises(ServiceError) as caught:
        to.request("POST", "/mappers", body={})
    error = caught.value
    assert (error.status, error.type, str(error)) == (422, "/problems/invalid", "The mapper is not valid.")
    assert [(fault.pointer, fault.message) for fault in error.errors] == [("/rules/0", "has no id")]


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"\xff\xfe", b'{"error": "no"}', b""])
def test_an_error_that_is_no_problem_asks_whether_that_is_personakit(body: bytes) -> None:
    respond = lambda handler, _: answer(handler, 502, body, Content_Type="text/html")  # noqa: E731
    with service(respond) as (url, _), transport(url) as (to, _), pytest.raises(ServiceError) as caught:
        to.request("GET", "/mappers")
    assert str(caught.value) == f"{url} answered 502 with text/html, not with a problem; is that PersonaKit?"


def test_a_good_status_with_an_unreadable_body_is_an_error() -> None:
    with service(lambda handler, _: answer(handler, 200, b"<html>")) as (url, _), transport(url) as (to, _):
        reply = to.request("GET", "/mappers")
    with pytest.raises(ServiceError, match="answered 200 with a body that is no Count"):
        reply.decode(Count)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_does_not_follow_a_redirect(status: int) -> None:
    with service(lambda handler, _: answer(handler, 200)) as (elsewhere, visited):
        respond = lambda handler, _: answer(handler, status, Location=elsewhere)  # noqa: E731
        with service(respond) as (url, _), transport(url) as (to, _), pytest.raises(ServiceError) as caught:
            to.request("GET", "/mappers")
    assert caught.value.status == status
    assert visited == []


def test_an_answer_that_nothing_changed_is_no_error() -> None:
    with service(lambda handler, _: answer(handler, 304, b"")) as (url, _), transport(url) as (to, _):
        assert to.request("GET", "/sync", headers={"If-None-Match": '"a"'}).status == 304


def test_503_is_tried_again_after_what_retry_after_asks() -> None:
    def respond(handler: BaseHTTPRequestHandler, before: int) -> None:
        answer(handler, 503, Retry_After="7") if before < 2 else answer(handler, 200)

    with service(respond) as (url, seen), transport(url) as (to, line):
        assert to.request("GET", "/mappers").status == 200
    assert len(seen) == 3
    assert line.slept == [7.0, 7.0]


def test_retry_after_may_be_a_date_and_is_read_against_the_answers_own_date() -> None:
    def respond(handler: BaseHTTPRequestHandler, before: int) -> None:
        if before:
            return answer(handler, 200)
        handler.send_response_only(429)
        handler.send_header("Date", "Mon, 02 Mar 2026 09:00:00 GMT")
        handler.send_header("Retry-After", "Mon, 02 Mar 2026 09:00:12 GMT")
        handler.send_header("Content-Length", "0")
        return handler.end_headers()

    with service(respond) as (url, _), transport(url) as (to, line):
        to.request("GET", "/mappers")
    assert line.slept == [12.0]


def test_a_retry_after_beyond_the_patience_ends_the_call_at_once() -> None:
    respond = lambda handler, _: answer(handler, 503, b"", Retry_After="3600")  # noqa: E731
    with service(respond) as (url, seen), transport(url) as (to, line), pytest.raises(ServiceError) as caught:
        to.request("GET", "/mappers")
    assert caught.value.status == 503
    assert (len(seen), line.slept) == (1, [])


def test_a_cut_answer_is_fetched_again_when_that_is_harmless() -> None:
    respond = lambda handler, before: cut(handler) if before == 0 else answer(handler, 200)  # noqa: E731
    with service(respond) as (url, seen), transport(url) as (to, _):
        assert to.request("POST", "/observations/batch", body=[], idempotent=True).status == 200
    assert len(seen) == 2


def test_an_idempotency_key_makes_a_post_harmless_to_repeat() -> None:
    respond = lambda handler, before: answer(handler, 503 if before == 0 else 201)  # noqa: E731
    with service(respond) as (url, seen), transport(url) as (to, _):
        to.request("POST", "/observations", body={}, headers={"Idempotency-Key": "a"})
    assert len(seen) == 2


@pytest.mark.parametrize("failure", [cut, lambda handler: answer(handler, 503)])
def test_a_post_that_may_have_been_taken_is_never_repeated(
    failure: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    with (
        service(lambda handler, _: failure(handler)) as (url, seen),
        transport(url) as (to, line),
        pytest.raises((ServiceError, Unreachable)),
    ):
        to.request("POST", "/personas", body={})
    assert (len(seen), line.slept) == (1, [])


def test_nobody_there_says_how_to_start_a_service_and_gives_up_in_time() -> None:
    with service(lambda handler, _: answer(handler, 200)) as (url, _):
        pass  # the port is free again
    with transport(url, patience=5) as (to, line), pytest.raises(Unreachable) as caught:
        to.request("GET", "/mappers")
    assert str(caught.value).startswith(
        f"No PersonaKit service answers at {url} (the connection was refused)."
    )
    assert "personakit up" in str(caught.value)
    assert len(line.slept) > 3
    assert line.now < 5


def test_a_call_may_have_less_patience_than_its_transport() -> None:
    with (
        service(lambda handler, _: answer(handler, 503)) as (url, seen),
        transport(url) as (to, line),
        pytest.raises(ServiceError),
    ):
        to.request("GET", "/health/live", patience=0)
    assert (len(seen), line.slept) == (1, [])


@given(
    patience=st.floats(0, 600),
    draws=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=60),
    least=st.floats(0, 30),
)
def test_waits_stay_under_a_doubling_ceiling_and_end_before_the_deadline(
    patience: float, draws: list[float], least: float
) -> None:
    line, left = Timeline(), iter(draws)
    backoff = Backoff(patience, lambda: line.now, lambda: next(left))
    for number in range(len(draws)):
        wait = backoff.next(least)
        if wait is None:
            break
        assert least <= wait <= max(least, min(10.0, 0.1 * 2**number))
        line.sleep(wait)
        assert line.now < patience


@pytest.mark.parametrize("url", ["", "localhost:8042", "ftp://x", "http://", "http://[", "https:///x"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidInput, match="is no address"):
        Transport(url, "pk_test")


@pytest.mark.parametrize("key", ["", "pk_a\r\nX-Evil: 1", "pk_ü"])
def test_a_key_that_could_not_be_a_header_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Transport("http://127.0.0.1:8042", key)
    assert not key or key not in str(caught.value)
