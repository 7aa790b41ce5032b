"""What a run did and found, in words."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from tests.faults.chaos.changes import KINDS as CHANGES
from tests.faults.chaos.plan import VICTIMS

MOST_FINDINGS = 30
KINDS: Final = ("observation", "feedback", "mapper version")
OTHERS: Final = (
    "flushed redis",
    "ended while they started",
    "not answered",
    "answered 503",
    "sent again",
    "own writes seen",
    "claims of a position",
)


class Outcome(NamedTuple):
    """Of one run. No findings: everything that was acknowledged is there once, and all reads were honest."""

    seed: int
    counts: Counter[str]
    findings: list[str]
    load_seconds: float
    check_seconds: float

    @property
    def kills(self) -> dict[str, int]:
        """How often each was killed."""
        return {name: self.counts[f"killed {name}"] for name in VICTIMS}

    def __str__(self) -> str:
        return "\n".join([*self._what_was_done(), *self._what_was_found()])

    def _what_was_done(self) -> list[str]:
        counts = self.counts
        killed = ", ".join(f"{name} {times}" for name, times in self.kills.items())
        stored = {kind: counts[f"acknowledged {kind}"] for kind in KINDS}
        each = ", ".join(f"{kind} {number:,}" for kind, number in stored.items())
        rate = sum(stored.values()) / self.load_seconds
        changed = ", ".join(f"{kind} {counts[f'acknowledged {kind}']:,}" for kind in CHANGES)
        others = ", ".join(f"{what} {counts[what]:,}" for what in OTHERS)
        return [
            f"seed {self.seed}: {sum(self.kills.values())} kills in {self.load_seconds:.0f} s ({killed})",
            f"acknowledged: {each} ({rate:,.0f}/s)",
            f"changed: {changed}",
            f"also: {others}",
            f"checked in {self.check_seconds:.0f} s",
        ]

    def _what_was_found(self) -> list[str]:
        if not self.findings:
            return ["Nothing is lost, doubled or misread; every projection verifies."]
        more = len(self.findings) - MOST_FINDINGS
        return [
            f"{len(self.findings)} findings:",
            *(f"- {finding}" for finding in self.findings[:MOST_FINDINGS]),
            *([f"… and {more} more"] if more > 0 else []),
            f"The same strikes again: make faults kills={sum(self.kills.values())} seed={self.seed}",
        ]
