"""What one changer did and was told is done: retractions, pins, personas and documents of computed traits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Body = dict[str, Any]
RETRACTION, PIN, UNPIN, DEFINITION, RETIREMENT, DOCUMENT = KINDS = (
    "retraction",
    "pin",
    "unpin",
    "persona definition",
    "persona retirement",
    "computed traits",
)


class Changes:
    """Kept by one thread, about one person that nobody else changes: so what was answered is what is. One
    change at most is `unsure` when it ends: the one that was under way."""

    def __init__(self, person: str) -> None:
        self.person = person
        self.observation_type = f"seen_by_{person.replace('-', '_')}"
        self.retracted: dict[str, int] = {}
        self.pins: dict[str, Any] = {}
        self.personas: dict[str, Body | None] = {}
        """By id, how each is defined; None where it was retired."""
        self.names: set[str] = set()
        self.documents: list[tuple[int, Body]] = []
        """Version and document, as they came."""
        self.done: Counter[str] = Counter()
        self.unsure: tuple[str, str] | None = None

    @contextmanager
    def under_way(self, kind: str, what: str) -> Iterator[None]:
        """While a change was sent and is not answered."""
        self.unsure = (kind, what)
        yield

    def answered(self) -> None:
        """The change under way is done."""
        if self.unsure is not None:
            self.done[self.unsure[0]] += 1
        self.unsure = None

    def is_unsure(self, kind: str, what: str) -> bool:
        """Whether nobody can say if that was done."""
        return self.unsure == (kind, what)

    def may_be(self, kind: str) -> range:
        """How often that may stand in the log."""
        unsure = self.unsure is not None and self.unsure[0] == kind
        return range(self.done[kind], self.done[kind] + unsure + 1)
