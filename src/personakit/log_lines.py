"""What the service writes to its log: one line each, and of an exception where it came from.

What an exception says may be about somebody: a database quotes the row that it refuses, a decoder the text.
So of one that nobody foresaw its kind and its place are written, and not its words.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

FORMAT = "%(levelname)s %(name)s: %(message)s"


class Discreet(logging.Formatter):
    """Writes records in FORMAT, and exceptions without their words."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        """The kinds of the exception and of what it came from, each with its frames."""
        return "\n".join(_lines(ei[1]))


def begin_logging() -> None:
    """Writes warnings and worse to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(Discreet(FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _lines(error: BaseException | None) -> list[str]:
    if error is None:
        return []
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    own = [f"{type(error).__module__}.{type(error).__qualname__} (what it says is not written)", frames]
    return [*_lines(error.__cause__ or error.__context__), *(line for line in own if line)]
