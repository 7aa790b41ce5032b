"""What writers sent, what was acknowledged, and what readers were told: to be held against the log."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any, NamedTuple

from tests.faults.chaos.changes import Changes

Body = dict[str, Any]


class Acknowledged(NamedTuple):
    """An observation or feedback that the service said it has, and where."""

    kind: str
    id: str
    person: str
    body: Body
    position: int


class Claim(NamedTuple):
    """An answer that said it reflects `position`, and showed this version of a person's mindscape or core."""

    what: str
    person: str
    version: int
    position: int


class Uploaded(NamedTuple):
    """A mapper version that the service said it has."""

    mapper: str
    version: int
    document: Body


class Ledger:
    """Safe to share between threads. What contradicts itself is a finding at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Acknowledged] = {}
        self._of_person: defaultdict[str, list[Acknowledged]] = defaultdict(list)
        self._findings: Counter[str] = Counter()
        self.uploads: list[Uploaded] = []
        self.claims: list[Claim] = []
        self.changes: list[Changes] = []
        self.marks: set[str] = set()
        self.counts: Counter[str] = Counter()

    @property
    def entries(self) -> list[Acknowledged]:
        """All that was acknowledged."""
        with self._lock:
            return list(self._entries.values())

    @property
    def findings(self) -> list[str]:
        """What was found wrong while the load was on, each once."""
        with self._lock:
            return [
                f"{text} ({times} times)" if times > 1 else text for text, times in self._findings.items()
            ]

    def finding(self, text: str) -> None:
        """Notes something that must not happen."""
        with self._lock:
            self._findings[text] += 1

    def count(self, what: str, by: int = 1) -> None:
        """Adds to a figure of the report."""
        with self._lock:
            self.counts[what] += by

    def sent(self, mark: str) -> None:
        """Notes the mark of a body before it is sent: what is stored bears one of these."""
        with self._lock:
            self.marks.add(mark)

    def acknowledge(self, new: Acknowledged, status: str) -> None:
        """Notes an answer: `stored` is said at most once of an item, and always at the same position."""
        with self._lock:
            known = self._entries.get(new.id)
            if known is None:
                self._entries[new.id] = new
                self._of_person[new.person].append(new)
                self.counts[f"acknowledged {new.kind}"] += 1
            elif known.position != new.position:
                self._findings[
                    f"{new.kind} {new.id} was acknowledged at {known.position}, then at {new.position}"
                ] += 1
            elif status == "stored":
                self._findings[f"{new.kind} {new.id} was acknowledged as stored twice"] += 1

    def uploaded(self, new: Uploaded) -> None:
        """Notes a mapper version."""
        with self._lock:
            self.uploads.append(new)
            self.counts["acknowledged mapper version"] += 1

    def changed(self, changes: Changes) -> None:
        """Notes what a changer keeps of what it does."""
        with self._lock:
            self.changes.append(changes)

    def claimed(self, claim: Claim) -> None:
        """Notes what an answer claimed."""
        with self._lock:
            self.claims.append(claim)
            self.counts["claims of a position"] += 1

    def of_person(self, person: str, *, after: int = 0, through: int) -> list[Acknowledged]:
        """The acknowledged observations of a person within these positions."""
        with self._lock:
            known = list(self._of_person[person])
        return [each for each in known if each.kind == "observation" and after < each.position <= through]

    def some(self, chance: float, most: int) -> list[Acknowledged]:
        """Up to `most` neighbouring observations from somewhere (`chance` is 0 to 1) among all."""
        with self._lock:
            known = list(self._entries.values())
        start = int(chance * len(known))
        return [each for each in known[start : start + most] if each.kind == "observation"]


def same_instant(one: str, other: str) -> bool:
    """Whether two RFC 3339 times are the same instant in the same offset."""
    first, second = datetime.fromisoformat(one), datetime.fromisoformat(other)
    return first == second and first.utcoffset() == second.utcoffset()
