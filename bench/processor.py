"""Processor time: what is computing in one thread is measured by it, whatever else the machine does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def microseconds(run: Callable[[T], object], inputs: Iterable[T]) -> float:
    """The processor time of one run, the mean over all inputs."""
    began, runs = time.process_time(), 0
    for each in inputs:
        run(each)
        runs += 1
    return (time.process_time() - began) / runs * 1e6
