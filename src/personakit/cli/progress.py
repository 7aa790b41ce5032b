"""How long work shows that it goes on: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from personakit.cli.delivery import Report

SECONDS_BETWEEN_LINES = 3.0


@contextmanager
def progress(stream: TextIO) -> Iterator[Report]:
    """A report that shows itself on `stream` until the block ends."""
    if stream.isatty():
        with _bars(stream) as report:
            yield report
    else:
        yield plain_lines(stream, time.monotonic)


def plain_lines(stream: TextIO, clock: Callable[[], float]) -> Report:
    """A report that writes a line every few seconds, none for work that ends before the first."""
    last = clock()

    def report(what: str, done: int, total: int | None) -> None:
        nonlocal last
        if clock() - last >= SECONDS_BETWEEN_LINES:
            last = clock()
            stream.write(f"{what}: {done:,}{'' if total is None else f' of {total:,}'}\n")
            stream.flush()

    return report


@contextmanager
def _bars(stream: TextIO) -> Iterator[Report]:
    from rich.console import Console  # noqa: PLC0415 - not paid for where there is no terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), transient=True) as bars:
        tasks = {}

        def report(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield report
