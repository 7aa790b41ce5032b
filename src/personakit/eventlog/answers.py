"""How the appender answers those who wait: threads one by one, an event loop once a group.

Waking a loop costs a system call, and a group answers up to hundreds of requests of one loop.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from personakit.eventlog.recorder import Appended

WAIT_SECONDS = 30.0


class Waiting(Protocol):
    """What both kinds of future have."""

    def set_result(self, result: Any, /) -> None:
        """What came of it."""

    def set_exception(self, exception: BaseException, /) -> None:
        """Why nothing came of it."""


ThreadFuture = Future[list[Appended]]
LoopFuture = asyncio.Future[list[Appended]]


class Answer(NamedTuple):
    """The fate of one submission: what was appended, or the error instead."""

    to: ThreadFuture | LoopFuture
    outcome: list[Appended] | BaseException


def answer_all(answers: Iterable[Answer]) -> None:
    """Gives each its answer; from any thread. Who has gone away is passed over."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[Answer]] = defaultdict(list)
    for each in answers:
        if isinstance(each.to, Future):
            _settle(each)
        else:
            by_loop[each.to.get_loop()].append(each)
    for loop, those in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle_all, those)


def _settle_all(answers: Sequence[Answer]) -> None:
    for each in answers:
        if not each.to.done():
            _settle(each)


def _settle(answer: Answer) -> None:
    waiting: Waiting = answer.to
    if isinstance(answer.outcome, BaseException):
        waiting.set_exception(answer.outcome)
    else:
        waiting.set_result(answer.outcome)
