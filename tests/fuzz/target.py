"""A target of fuzzing: what untrusted input comes to, and by which errors it may be refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import HypothesisWarning
from hypothesis.strategies import SearchStrategy

from tests.fuzz.watchdog import SECONDS, require_memory, within_seconds

TARGETS: Final[dict[str, Target]] = {}


class Target(NamedTuple):
    """`run` takes an input that `inputs` makes, and raises none but the errors that `refused` names, within
    `seconds` of processor time."""

    inputs: SearchStrategy[Any]
    run: Callable[[Any], object]
    refused: tuple[type[Exception], ...]
    seconds: float

    def hold(self, input_: Any) -> None:
        """Runs it. Raises what nobody foresaw, and TooSlow."""
        with within_seconds(self.seconds), suppress(*self.refused):
            self.run(input_)

    def weigh(self, input_: Any) -> None:
        """Runs it. Raises TooLarge."""

        def run() -> None:
            with suppress(*self.refused):
                self.run(input_)

        require_memory(run, size_of(input_))

    def check(self, hold: Callable[[Any], None], inputs: int, *, number: int | None = None) -> None:
        """Calls `hold` with so many inputs, drawn by a number; without one, the same ones always. One that
        does not hold is made smaller."""
        held = settings(
            max_examples=inputs,
            derandomize=number is None,
            database=None,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HypothesisWarning)  # of an input that is long to show
            held(_seeded(given(self.inputs)(hold), number))()


def target(
    inputs: SearchStrategy[Any], *refused: type[Exception], seconds: float = SECONDS
) -> Callable[[Callable[[Any], object]], Callable[[Any], object]]:
    """Makes a function of one input a target, under its name."""

    def added(run: Callable[[Any], object]) -> Callable[[Any], object]:
        TARGETS[run.__name__] = Target(inputs, run, refused, seconds)
        return run

    return added


def size_of(input_: Any) -> int:
    """About how large an input is, in bytes."""
    if isinstance(input_, str | bytes):
        return len(input_)
    if isinstance(input_, dict):
        return sum(size_of(key) + size_of(value) for key, value in input_.items())
    if isinstance(input_, list | tuple):
        return sum(8 + size_of(each) for each in input_)
    return 8


def _seeded(test: Callable[[], None], number: int | None) -> Callable[[], None]:
    return test if number is None else seed(number)(test)
