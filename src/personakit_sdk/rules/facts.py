"""What a rule may look at: traits with the evidence behind them, the caller's context, one instant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import log2
from typing import Any, Final, Literal

import msgspec

Volatility = Literal["low", "medium", "high"]

ALWAYS: Final = datetime.max.replace(tzinfo=UTC)
"""Later than every instant of a request."""
_MARGIN: Final = 1e-9
_FAR_DAYS: Final = 365.0

CREDIBILITY_K: Final = 4.0
"""Weighted samples at which a trait without spread or age is believed by half."""


class TraitFact(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A trait's value and the clock-free evidence that its confidence is computed from.

    `weight` is the decayed number of samples as of `last_observed_at`; None means that the value is
    certain (pinned by a person, or given in a test). `spread` is the dispersion of the samples from
    0 (all agree) to 1. `half_life_days` None means that age does not count. `trust` is what feedback on
    suggestions that rest on the trait taught of it; 1 is nothing.
    """

    value: Any
    volatility: Volatility = "low"
    weight: float | None = None
    spread: float = 0.0
    last_observed_at: datetime | None = None
    half_life_days: float | None = None
    trust: float = 1.0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that one evaluation depends on besides the plan. `at` must be timezone-aware.

    `traits` is keyed by the trait's full dotted path.
    """

    traits: Mapping[str, TraitFact]
    context: Mapping[str, Any]
    at: datetime


def age_discount(trait: TraitFact, at: datetime) -> float:
    """2^(-age / half-life), in (0, 1]; 1 for a trait without half-life or seen at or after `at`."""
    if trait.half_life_days is None or trait.last_observed_at is None:
        return 1.0
    days = (at - trait.last_observed_at).total_seconds() / 86400
    return 2.0 ** (-days / trait.half_life_days) if days > 0 else 1.0


def confidence(trait: TraitFact, at: datetime) -> float:
    """How far a trait is to be believed at `at`, from 0 to 1, rounded to 4 decimals.

    w / (w + K) x (1 - spread / 2) x trust, at most 1, x 2^(-age / half-life). The first factor is the
    credibility factor Z = n / (n + K) of Bühlmann ("Experience rating and credibility", ASTIN Bulletin 4,
    1967).
    """
    if trait.weight is None:
        return 1.0
    return round(_unaged(trait, trait.weight) * age_discount(trait, at), 4)


def _unaged(trait: TraitFact, weight: float) -> float:
    return min(1.0, weight / (weight + CREDIBILITY_K) * (1 - trait.spread / 2) * trait.trust)


def steady_until(trait: TraitFact, believed: float) -> datetime:
    """Up to which instant the confidence stays at `believed`, which it is at some instant before: until age
    takes it over the edge to the next four decimals. ALWAYS where it never does."""
    half_life, last = trait.half_life_days, trait.last_observed_at
    if trait.weight is None or half_life is None or last is None or not believed:
        return ALWAYS
    # The margin is far wider than what arithmetic in doubles may be off by.
    days = half_life * log2(max(1.0, _unaged(trait, trait.weight) / (believed - 0.00005 + _MARGIN)))
    return later(last, timedelta(days=min(days, _FAR_DAYS)))


def later(at: datetime, by: timedelta) -> datetime:
    """`at` and some time more; ALWAYS beyond the end of the calendar."""
    try:
        return at + by
    except OverflowError:
        return ALWAYS
