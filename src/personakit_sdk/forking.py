"""What must not be shared between a process and its forked children: each object says what to do with it."""

from __future__ import annotations

import itertools
import os
import threading
from contextlib import ExitStack
from typing import Protocol
from weakref import WeakValueDictionary


class ForkAware(Protocol):
    """An object that holds locks, sockets or threads."""

    def before_fork(self) -> None:
        """In the parent: bring what is shared to rest, and keep it there."""

    def after_fork_in_parent(self) -> None:
        """In the parent: go on."""

    def after_fork_in_child(self) -> None:
        """In the child, which has one thread: begin anew, and leave what is the parent's alone."""


_aware: WeakValueDictionary[int, ForkAware] = WeakValueDictionary()
_numbers = itertools.count()
_lock = threading.RLock()
_resting: list[ForkAware] = []


def watch(each: ForkAware) -> None:
    """From now on, `each` is told of forks; it is held weakly. What it uses itself is watched before it."""
    with _lock:
        _aware[next(_numbers)] = each


def _before() -> None:
    # Kept until after the fork, so that nothing is added meanwhile and the child finds the lock free.
    _lock.acquire()
    # Who uses others comes to rest before them: else one could wait for the other.
    _resting.extend(each for _, each in sorted(_aware.items(), reverse=True))
    for each in _resting:
        each.before_fork()


def _in_parent() -> None:
    with ExitStack() as ending:
        ending.callback(_lock.release)
        while _resting:
            ending.callback(_resting.pop().after_fork_in_parent)


def _in_child() -> None:
    global _lock  # noqa: PLW0603 - the parent's lock may be owned by a thread that is not here
    _lock = threading.RLock()
    while _resting:
        _resting.pop().after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
