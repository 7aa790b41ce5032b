"""Folds samples into one trait: the aggregate, and the evidence that its confidence rests on."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from personakit.domain.aggregates import AGGREGATES
from personakit.domain.aggregates.accumulator import Options
from personakit.domain.aggregates.decay import Decay, Sums, instant_of
from personakit.domain.aggregates.sample import Sample, rounded
from personakit.domain.traits import EVIDENCE_KEPT, Trait


class Fold:
    """A trait taken up where its state left off (None: from the start)."""

    def __init__(self, aggregate: str, options: Options, trait: Trait | None) -> None:
        state = trait.state if trait is not None else {"at": [], "weight": None, "aggregate": None}
        self._options = options
        self._accumulator = AGGREGATES[aggregate].start(state["aggregate"], options)
        self._weight = Sums.load(state["weight"])
        self._samples = trait.samples if trait is not None else 0
        evidence = trait.evidence if trait is not None else ()
        self._newest: list[tuple[int, UUID]] = list(zip(state["at"], evidence, strict=True))
        self.decay = Decay.of_days(options.half_life_days)
        self.taken = False

    def take(self, sample: Sample) -> None:
        """Takes one observation in; nothing happens where its value is no sample."""
        count = self._accumulator.take(sample)
        if not count:
            return
        self.taken = True
        self._samples += count
        self._weight.add(sample.weight, "n", count)
        self._newest.append((sample.micros, sample.id))

    def stats(self) -> dict[str, Any]:
        """The fields of a Trait that come from the samples; there must be at least one."""
        self._newest.sort(reverse=True)
        del self._newest[EVIDENCE_KEPT:]
        as_of = self.decay.weight(self._newest[0][0])
        reading = self._accumulator.read(as_of)
        visible = self._samples >= self._options.min_samples
        return {
            "value": reading.value if visible else None,
            "visible": visible,
            "truncated": reading.truncated,
            "weight": float(rounded(self._weight.totals()["n"], self._weight.in_unit(as_of))),
            "spread": reading.spread,
            "last_observed_at": instant_of(self._newest[0][0]),
            "half_life_days": self._options.half_life_days,
            "samples": self._samples,
            "evidence": tuple(id_ for _, id_ in self._newest),
            "state": self._state(),
        }

    def _state(self) -> dict[str, Any]:
        return {
            "at": [micros for micros, _ in self._newest],
            "weight": self._weight.dump(),
            "aggregate": self._accumulator.dump(),
        }
