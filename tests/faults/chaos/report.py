"""What a run did and found, in words."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from tests.faults.chaos.plan import VICTIMS

MOST_FINDINGS = 30


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
        counts, kills = self.counts, self.kills
        each = ", ".join(f"{name} {times}" for name, times in kills.items())
        acknowledged = {
            kind: counts[f"acknowledged {kind}"] for kind in ("observation", "feedback", "mapper version")
        }
        rate = sum(acknowledged.values()) / self.load_seconds
        stored = ", ".join(f"{number:,} {kind}s" for kind, number in acknowledged.items())
        return [
            f"seed {self.seed}: {sum(kills.values())} kills in {self.load_seconds:.0f} s ({each}), "
            f"Redis flushed {counts['flushed redis']} times",
            f"acknowledged: {stored} ({rate:,.0f}/s); sent again {counts['sent again']:,}, not answered "
            f"{counts['not answered']:,}, answered 503 {counts['answered 503']:,}",
            f"read: {counts['reads']:,} claims of a position, {counts['own writes seen']:,} own writes waited for "
            f"and seen; processes that ended while they started: {counts['ended while they started']}",
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
