"""What listens at the service's port passes on to each connection how long an answer may stay unread."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from personakit.api import slow_readers
from personakit.api.slow_readers import UNREAD_SECONDS, bound_unread_answers

_BOUND = socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT


def until_looked() -> None:
    deadline = time.monotonic() + 20
    while any(thread.name == "slow-readers" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_connection_ends_whose_other_end_does_not_read() -> None:
    with socket.socket() as listener, socket.socket() as other:
        for each in (listener, other):
            each.bind(("127.0.0.1", 0))
        other.listen()
        bound_unread_answers(listener.getsockname()[1])
        listener.listen()  # as a server does once its application has started
        until_looked()
        with socket.create_connection(listener.getsockname()) as caller:
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(*_BOUND) == UNREAD_SECONDS * 1000
            assert caller.getsockopt(*_BOUND) == 0
        assert other.getsockopt(*_BOUND) == 0


def test_looking_leaves_nothing_open() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    for _ in range(20):
        assert not list(slow_readers._listening(1))
    assert len(sorted(Path("/proc/self/fd").iterdir())) <= len(before)


def test_what_never_listens_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_readers, "_LOOKS", 2)
    bound_unread_answers(1)
    until_looked()
