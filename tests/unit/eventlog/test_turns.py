"""Whoever changes one entity in one process does it one after another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import TooContended
from personakit.eventlog.turns import Turns

STREAM = StreamId("t", "mapper", UUID(int=1))


def test_one_at_a_time_is_at_a_stream() -> None:
    turns, inside, most = Turns(), [], []

    def visit(number: int) -> None:
        with turns.of(STREAM):
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(visit, range(400)))
    assert most == [1] * 400


def test_whose_turn_does_not_come_is_told_and_takes_nobody_elses() -> None:
    turns = Turns(wait_seconds=0.01)
    entered, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with turns.of(STREAM):
            entered.set()
            leave.wait(10)

    staying = threading.Thread(target=stay)
    staying.start()
    entered.wait(10)
    with pytest.raises(TooContended, match="mapper"), turns.of(STREAM):
        pass
    leave.set()
    staying.join()
    with turns.of(STREAM):
        pass


def test_a_turn_ends_with_an_error() -> None:
    turns = Turns(wait_seconds=0.01)
    with pytest.raises(KeyError), turns.of(STREAM):
        raise KeyError
    with turns.of(STREAM):
        pass
