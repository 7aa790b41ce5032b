"""What a run of overload did and found, in words."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from math import isinf
from typing import NamedTuple

from tests.faults.overload.traffic import Traffic
from tests.faults.overload.watching import PATHS, Health, Memory

HEALTH_SECONDS = 1.0
"""Within so long 99 of 100 probes are answered, however busy the machine."""
MORE_MEMORY_MIB = 256.0
"""So much more than at capacity."""
RECOVERY_SECONDS = 2.0
GOODPUT = 0.5
"""So much of what is answered at capacity is answered under load."""
ASKED = 0.5
"""So much of what was meant to be asked has to be asked: else there was no overload to be seen."""
CUT = 0.001
"""Of a thousand requests one may meet the end of a connection that was idle for too long."""
MOST_EXAMPLES = 5


class Outcome(NamedTuple):
    """Of one run. No findings: every bound holds."""

    seed: int
    times: float
    capacity: Traffic
    load: Traffic
    nuisances: Counter[str]
    health: Health
    memory: Memory
    usual_memory: float
    lost: int
    recovery: float
    exit_code: int

    @property
    def per_second(self) -> float:
        """What the service did when it was asked no more than it could."""
        return self.capacity.good / self.capacity.seconds

    @property
    def findings(self) -> list[str]:
        """What must not be."""
        return [*self.broken, *self._slow()]

    @property
    def broken(self) -> list[str]:
        """What must not be, however busy the machine is with other things."""
        return list(self._broken())

    def _broken(self) -> Iterator[str]:
        if self.health.failures:
            examples = "; ".join(sorted(set(self.health.failures))[:MOST_EXAMPLES])
            yield f"{len(self.health.failures)} probes of health were not answered with 200: {examples}"
        if self.lost:
            yield f"{self.lost} observations were acknowledged and are not in the log"
        yield from self._badly_answered()
        if (more := max(self.memory.samples) - self.usual_memory) > MORE_MEMORY_MIB:
            yield f"memory grew by {more:.0f} MiB; {MORE_MEMORY_MIB:.0f} are bearable"
        if isinf(self.recovery):
            yield "no normal answer came any more"
        if self.exit_code:
            yield f"the service ended with exit code {self.exit_code}"

    def _badly_answered(self) -> Iterator[str]:
        load = self.load
        if load.unanswered:
            yield f"{load.unanswered} requests were not answered"
        if load.cut > CUT * load.asked:
            yield f"{load.cut} requests were cut"
        if other := {code: n for code, n in load.statuses.items() if code not in {200, 201, 404, 429, 503}}:
            yield f"answers that nobody should get: {other}"

    def _slow(self) -> Iterator[str]:
        load = self.load
        if (slow := self.health.share(0.99)) > HEALTH_SECONDS:
            yield f"of 100 probes of health the slowest took {slow:.2f} s; {HEALTH_SECONDS:g} s are bearable"
        if self.recovery > RECOVERY_SECONDS:
            yield f"{self.recovery:.1f} s went by until a normal answer; {RECOVERY_SECONDS:g} s are bearable"
        if (good := load.good / load.seconds) < GOODPUT * self.per_second:
            yield f"{good:,.0f} were answered a second; at capacity it were {self.per_second:,.0f}"
        if (asked := load.asked / load.seconds / self.per_second) < ASKED * self.times:
            yield f"only {asked:.1f} times of the capacity was asked; the run says little"

    def __str__(self) -> str:
        return "\n".join(
            [
                f"seed {self.seed}, load for {self.load.seconds:.0f} s",
                *(f"  {name:34} {value}" for name, value in self._rows()),
                *([f"{len(self.findings)} findings:"] if self.findings else ["Every bound holds."]),
                *(f"- {finding}" for finding in self.findings),
            ]
        )

    def _rows(self) -> Iterator[tuple[str, str]]:
        load, samples = self.load, self.memory.samples
        asked = load.asked / load.seconds
        busy, cores = os.getloadavg()[0], os.cpu_count()
        yield "the machine, all that runs on it", f"load {busy:.1f} on {cores} cores"
        yield "capacity", f"{self.per_second:,.0f} answers/s"
        yield "asked", f"{asked:,.0f} requests/s ({asked / self.per_second:.1f} times capacity)"
        yield "answered", f"{load.good / load.seconds:,.0f}/s"
        yield "told to come again (503, 429)", f"{load.refused / load.seconds:,.0f}/s"
        yield "no connection left to ask over", f"{load.unsent / load.seconds:,.0f}/s"
        yield "cut, without an answer", f"{load.cut}, {load.unanswered}"
        yield (
            "slow and broken clients",
            ", ".join(f"{kind} {n}" for kind, n in sorted(self.nuisances.items())),
        )
        for path in PATHS:
            half, most = (self.health.share(part, path) * 1000 for part in (0.5, 0.99))
            yield (
                f"{path}, p50 and p99",
                f"{half:,.0f} and {most:,.0f} ms of {len(self.health.seconds[path])}",
            )
        yield "memory at capacity", f"{self.usual_memory:,.0f} MiB"
        yield "memory under load, by thirds", " ".join(f"{each:,.0f}" for each in _thirds(samples)) + " MiB"
        yield "acknowledged, of these lost", f"{len(load.accepted):,}, {self.lost}"
        yield "from the end to a normal answer", f"{self.recovery * 1000:,.0f} ms"


def _thirds(samples: list[float]) -> Iterator[float]:
    """The greatest of each third."""
    third = max(1, len(samples) // 3)
    yield from (max(samples[n * third : (n + 1) * third], default=0.0) for n in range(3))
