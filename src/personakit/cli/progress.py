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
    began: dict[str, tuple[float, int]] = {}

    def report(what: str, done: int, total: int | None) -> None:
        nonlocal last
        now = clock()
        since, at_first = began.setdefault(what, (now, done))
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            of = "" if total is None else f" of {total:,}"
            stream.write(f"{what}: {done:,}{of}{_pace(done - at_first, now - since, done, total)}\n")
            stream.flush()

    return report


def _pace(made: int, seconds: float, done: int, total: int | None) -> str:
    """The rate and, where the end is known, the time left."""
    if made <= 0 or seconds <= 0:
        return ""
    rate = made / seconds
    left = "" if total is None else f", {max(total - done, 0) / rate:,.0f} s left"
    return f" ({rate:,.0f}/s{left})"


@contextmanager
def _bars(stream: TextIO) -> Iterator[Report]:
    from rich.console import Console  # noqa: PLC0415 - not paid for where there is no terminal
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bars:
        tasks = {}

        def report(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total, completed=done, rate="")
            speed = bars.tasks[tasks[what]].speed
            bars.update(tasks[what], completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield report
