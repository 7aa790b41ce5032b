"""A trait: what is believed about a person, with the evidence it rests on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from functools import cache
from typing import Any, Final
from uuid import UUID

from personakit_sdk.rules.facts import TraitFact, confidence

EVIDENCE_KEPT = 20
"""Newest observation ids kept with a trait; the rest is found in the observations."""

CONFIDENCE_BANDS: Final = (0.4, 0.7)
"""Crossing one of these makes a change of confidence material."""

Precision = float | dict[str, float]
"""A step, or one for each named member of an object."""


class Trait(TraitFact, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A trait as the mindscape stores it.

    `source` names what derived it, for example `computed:work_sessions@1.0.0`. `evidence` are the
    newest observations, by (occurredAt, id), newest first. `state` is the aggregate's accumulator:
    what it needs to take the next observation in at constant cost; never shown to a caller. One that is
    not `visible` has too few samples yet: readers do not see it, and its value is None. `truncated` says
    that the value is an estimate, because more keys came than are kept. `precision` says which
    difference of the value is material: a step; None means two significant digits. `evidence_changed` says
    of a trait that cannot be computed again that some of what it rested on was retracted since.
    """

    samples: int = 0
    source: str = ""
    pinned: bool = False
    evidence: tuple[UUID, ...] = ()
    state: Any = None
    visible: bool = True
    truncated: bool = False
    precision: Precision | None = None
    evidence_changed: bool = False


def is_material(before: Trait | None, after: Trait | None) -> bool:
    """Whether the change could make a core stale: of a trait that is slow (of low or medium volatility)
    before or after, and that came, went, changed its volatility, its value at its precision, or its band
    of confidence. None is a trait that is not there.

    Confidence is judged at the newest instant of the two, so that no clock is read.
    """
    seen = [trait for trait in (before, after) if trait is not None and trait.visible]
    if all(trait.volatility == "high" for trait in seen):
        return False
    if len(seen) == 1:
        return True
    old, new = seen
    return (
        old.volatility != new.volatility
        or coarse(old.value, new.precision) != coarse(new.value, new.precision)
        or _bands_differ(old, new)
    )


def coarse(value: Any, precision: Precision | None) -> Any:
    """`value` with every number in it as coarse as `precision` (None: two significant digits), for
    comparing. Members of an object that an object `precision` does not name have two digits."""
    if isinstance(value, Mapping):
        steps = precision if isinstance(precision, dict) else dict.fromkeys(value, precision)
        return {key: coarse(member, steps.get(key)) for key, member in value.items()}
    if isinstance(precision, dict):
        precision = None
    if isinstance(value, list | tuple):
        return [coarse(member, precision) for member in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return type(value).__name__, value  # true is not 1
    if precision is None:
        return float(f"{value:.2g}")
    return _steps(value, precision)


def _steps(value: float, precision: float) -> int:
    """`value` in whole steps of `precision`, exactly, a half to the even one."""
    numerator, denominator = value.as_integer_ratio()
    step = _fraction(precision)
    count, rest = divmod(numerator * step.denominator, denominator * step.numerator)
    twice, whole = 2 * rest, denominator * step.numerator
    return count + (twice > whole or (twice == whole and count % 2 == 1))


@cache
def _fraction(precision: float) -> Fraction:
    """The precision as it is written: 0.1 is a tenth."""
    return Fraction(str(precision))


def _bands_differ(old: Trait, new: Trait) -> bool:
    instants = [trait.last_observed_at for trait in (old, new) if trait.last_observed_at is not None]
    return bool(instants) and _band(old, max(instants)) != _band(new, max(instants))


def _band(trait: Trait, at: datetime) -> int:
    """0 below 0.4, 1 below 0.7, 2 from there on."""
    return bisect_right(CONFIDENCE_BANDS, confidence(trait, at))
