"""Notices: what goes on between a client and its service, told to the application and, without what the
service says of somebody, to the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Literal

import msgspec

logger: Final = logging.getLogger("personakit_sdk")

NoticeKind = Literal[
    "delivered",
    "rejected",
    "erased",
    "retrying",
    "paused",
    "lost",
    "offered-again",
    "synced",
    "reset",
    "stuck",
    "set-aside",
    "upgrade-required",
    "failed",
]
_QUIET: Final = frozenset({"delivered", "synced"})


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened beside the calls. `detail` says it in a sentence; `count` counts items."""

    kind: NoticeKind
    detail: str
    count: int = 0


OnEvent = Callable[[Notice], None]


class Notices:
    """Passes notices on: to the log `personakit_sdk`, and to whom the application named."""

    def __init__(self, on_event: OnEvent | None = None) -> None:
        self._on_event = on_event

    def give(self, kind: NoticeKind, detail: str, count: int = 0, *, logged: str | None = None) -> None:
        """Tells it. `logged` is what the log says instead of a detail in which the service may name somebody.
        What the application's callback raises is logged, and stops nothing."""
        level = logging.DEBUG if kind in _QUIET else logging.WARNING
        logger.log(level, "%s: %s", kind, detail if logged is None else logged)
        if self._on_event is None:
            return
        try:
            self._on_event(Notice(kind=kind, detail=detail, count=count))
        except Exception:
            logger.exception("on_event failed at a notice of kind %r", kind)
