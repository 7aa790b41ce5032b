"""What the service writes to its log: one line each, and of an exception where it came from.

What an exception says may be about somebody: a database quotes the row that it refuses, a decoder the text.
So of one that nobody foresaw its kind and its place are written, and not its words.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from typing import Any

FORMAT = "%(levelname)s %(name)s: %(message)s"


class Discreet(logging.Formatter):
    """Writes records in FORMAT, and exceptions without their words."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        """The kinds of the exception and of what it came from, each with its frames."""
        return "\n".join(_lines(ei[1]))


def begin_logging() -> None:
    """Writes warnings and worse to standard error, and exceptions that nothing caught: there, in a thread, or
    while something was cleared away."""
    handler = logging.StreamHandler()
    handler.setFormatter(Discreet(FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    sys.excepthook = lambda _kind, error, _trace: _uncaught(error)
    sys.unraisablehook = lambda unraisable: _uncaught(unraisable.exc_value)
    threading.excepthook = lambda of_thread: _uncaught(of_thread.exc_value)


def _uncaught(error: BaseException | None) -> None:
    if not isinstance(error, SystemExit):  # with which a thread may end
        sys.stderr.write("\n".join([*_lines(error), ""]))


def _lines(error: BaseException | None) -> list[str]:
    if error is None:
        return []
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    own = [f"{type(error).__module__}.{type(error).__qualname__} (what it says is not written)", frames]
    return [*_lines(error.__cause__ or error.__context__), *(line for line in own if line)]
