"""Requests and answers as bytes."""

from __future__ import annotations

import pytest

from bench.exchange import answer_size, request, require_success, status_of

HEAD = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nContent-Length: 11\r\nx: y\r\n\r\n"
ANSWER = HEAD + b'{"a": true}'


def test_an_answer_is_measured_once_its_head_is_there() -> None:
    cuts = range(len(ANSWER))
    assert {answer_size(ANSWER[:cut]) for cut in cuts if cut < len(HEAD)} == {None}
    assert {answer_size(ANSWER[:cut]) for cut in cuts if cut >= len(HEAD)} == {len(ANSWER)}


def test_what_follows_an_answer_does_not_change_its_size() -> None:
    assert answer_size(bytearray(ANSWER + ANSWER)) == len(ANSWER)


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="without Content-Length"):
        answer_size(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


def test_an_answer_that_is_no_success_is_quoted() -> None:
    assert status_of(ANSWER) == 201
    require_success(ANSWER)
    with pytest.raises(AssertionError, match="503 Service Unavailable"):
        require_success(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")


def test_a_request_is_complete() -> None:
    sent = request("POST", "/observations", key="pk_x", body=b"{}")
    assert sent.startswith(b"POST /observations HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer pk_x\r\n" in sent
    assert sent.endswith(b"\r\nContent-Length: 2\r\n\r\n{}")
    assert b"Content" not in request("GET", "/")
