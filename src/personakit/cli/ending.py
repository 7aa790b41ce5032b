"""How a process of ours ends: what is under way first, and not for ever."""

from __future__ import annotations

import logging
import os
import threading

DRAIN_SECONDS = 40
"""How long requests under way, and the appends behind them, may take after SIGTERM; then they are cut. An
append is answered within 30 seconds, with 503 when the database does not answer."""
END_SECONDS = 60.0

logger = logging.getLogger(__name__)


def end_within(seconds: float = END_SECONDS) -> None:
    """Lets this process end by itself; one that is still there after `seconds` is ended with exit code 1."""
    timer = threading.Timer(seconds, _cut_short)
    timer.daemon = True
    timer.start()


def _cut_short() -> None:
    logger.error("What was under way did not end in time; the process is ended.")
    os._exit(1)
