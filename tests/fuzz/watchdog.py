"""Ends what takes too long or too much: by processor time, which a busy machine does not use up, and by
memory that is counted."""

from __future__ import annotations

import signal
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SECONDS: Final = 1.0
"""Of processor time, that one input may take."""
MEBIBYTE: Final = 2**20
SPARE: Final = 16 * MEBIBYTE
PER_BYTE: Final = 250
"""Bytes that may be taken for one of the input, besides SPARE: a list of empty objects takes that much."""


class TooSlow(AssertionError):
    """An input took more than SECONDS of processor time."""


class TooLarge(AssertionError):
    """An input took more memory than goes with its size."""


@contextmanager
def within_seconds(seconds: float) -> Iterator[None]:
    """Raises TooSlow in the block once this process has computed for so long, and at its end at the latest.
    Only in the main thread; what waits is ended by the test's own time-out."""

    def end(_number: int, frame: FrameType | None) -> None:
        if frame is None or frame.f_code.co_name != "gc_callback":  # Hypothesis counts in it
            raise TooSlow(f"It takes more than {seconds:g} seconds of processor time.")

    before = signal.signal(signal.SIGVTALRM, end)
    began = time.process_time()
    # Again and again: raised in a callback of the interpreter's own, an error is only printed.
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds / 10)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    taken = time.process_time() - began
    if taken > seconds:  # a library in C hears of no signal
        raise TooSlow(f"It took {taken:.2f} seconds of processor time.")


def memory_taken(run: Callable[[], object]) -> int:
    """The most bytes that Python had for it at once."""
    tracemalloc.start()
    try:
        run()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return most


def require_memory(run: Callable[[], object], size: int) -> None:
    """Raises TooLarge where `run` takes more than goes with an input of `size` bytes."""
    most = memory_taken(run)
    if most > SPARE + PER_BYTE * size:
        raise TooLarge(f"It takes {most / MEBIBYTE:.0f} MiB for {size} bytes.")
