"""A lock between processes that the operating system takes back when its process dies."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from personakit_sdk import forking

if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(descriptor: int) -> None:
        # By open file, so that two threads with a descriptor each exclude each other too.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


ASK_AGAIN: Final = 0.02


class FileLock:
    """One lock at one path. The file stays: to remove it would let two hold locks on two files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: set[int] = set()
        self._own = threading.Lock()
        forking.watch(self)

    def acquire(self) -> int | None:
        """Takes the lock if it is free: a handle for `release`, else None."""
        with self._own:  # so that no fork copies a descriptor that is not known here
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            try:
                _take(descriptor)
            except OSError:
                os.close(descriptor)
                return None
            self._held.add(descriptor)
            return descriptor

    def release(self, handle: int) -> None:
        """Gives the lock back."""
        with self._own:
            self._held.discard(handle)
            os.close(handle)

    @contextmanager
    def within(self, seconds: float) -> Generator[bool]:
        """Whether the lock could be taken within `seconds`; it is held for the block."""
        deadline = time.monotonic() + seconds
        while (handle := self.acquire()) is None and time.monotonic() < deadline:
            time.sleep(ASK_AGAIN)
        try:
            yield handle is not None
        finally:
            if handle is not None:
                self.release(handle)

    def before_fork(self) -> None:
        """No descriptor is opened or closed while the process forks."""
        self._own.acquire()

    def after_fork_in_parent(self) -> None:
        """Goes on."""
        self._own.release()

    def after_fork_in_child(self) -> None:
        """Closes the child's copies: a lock lives as long as any copy of its descriptor."""
        self._own = threading.Lock()
        for descriptor in self._held:
            with suppress(OSError):
                os.close(descriptor)
        self._held.clear()
