"""What a check saw: its outcome in full, and the reasons that a suggestion gives for itself."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

REASONS_KEPT: Final = 32
"""Reasons that one suggestion carries; a rule has at most 64 checks, but may refer to many more."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Whether one condition held, and what it saw.

    `path` is a trait's path or a context field; `seen` is absent where the path is missing, and then
    `missing` is true. A time check has seen `{time, timezone, period, dayOfWeek}`.
    """

    kind: Literal["all", "any", "not", "condition", "trait_check", "context_check", "time_check"]
    holds: bool
    path: str | UnsetType = UNSET
    operator: str | UnsetType = UNSET
    wanted: Any = UNSET
    seen: Any = UNSET
    missing: bool = False
    confidence: float | UnsetType = UNSET
    min_confidence: float | UnsetType = UNSET
    name: str | UnsetType = UNSET
    conditions: list[Outcome] = []


class Reason(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One check that a suggestion rests on.

    `path` is a trait's path or a context field and absent for time. `negated` says that the rule needed
    the check to fail, and it did. `seen` is absent where the path was missing.
    """

    kind: Literal["trait", "context", "time"]
    path: str | UnsetType = UNSET
    operator: str | UnsetType = UNSET
    wanted: Any = UNSET
    seen: Any = UNSET
    confidence: float | UnsetType = UNSET
    negated: bool = False


class Reasons:
    """The reasons of one suggestion, in the author's order; `followed` are the named conditions that it has
    come through, for each is told once."""

    __slots__ = ("followed", "found")

    def __init__(self) -> None:
        self.found: list[Reason] = []
        self.followed: set[str] = set()

    def add(self, reason: Reason) -> None:
        """Takes the first REASONS_KEPT."""
        if len(self.found) < REASONS_KEPT:
            self.found.append(reason)
