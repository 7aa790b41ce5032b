"""What feedback teaches: from votes to how far a rule is believed in, and from that to its multiplier.

A vote counts for an idea (a suggestion of a rule was good) or against it, and less with every day: by half in
as many days as `negative_window_days` says. What was said before that is not forgotten, but eight times as
slow votes are only where the recent ones begin from. So a rule's rate of good votes is estimated in three
steps, each shrunk towards the one before: the mean of the mapper, the rule's history, the rule's recent
votes. Each step is the posterior mean of a Beta distribution whose prior has the mean of the step before and
a strength in votes (Beta-Bernoulli: Gelman and others, "Bayesian Data Analysis", 3rd edition, 2.4 and 5.3).
Recent votes are history as well and count in both steps; what keeps that in bounds is that a history is
taken for no more than ten votes.

Sums are integers over whole days, so that neither the order nor the time of arrival changes one bit of them.
`docs/explanation/learning.md` says all this for those who set it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import inf, sqrt
from typing import Any, Final, Literal, Self

import msgspec

from personakit.domain.aggregates.decay import UNIT_BITS, power_of_two
from personakit_sdk.rules.learned import DIGITS, bounds

VOTE: Final = 1000
"""Votes are counted in thousandths: one may count in part."""
SLOWER: Final = 8
"""The history's half-life in half-lives of the recent votes."""
PRIOR: Final = 4.0
"""The strength in votes of the mean that a history is shrunk towards."""
RECENT_PRIOR: Final = 10.0
"""The greatest strength in votes of the history that recent votes are shrunk towards."""
CREDIBLE: Final = 0.6745
"""Standard deviations on each side of a rate within which it lies with even chances."""
LARGEST_STEP: Final = 0.1
"""No multiplier changes by more than this part of itself in a day (UTC), whatever a document says."""
_UNIT: Final = VOTE << UNIT_BITS
_FINEST: Final = Decimal(1).scaleb(-DIGITS)

Publishing = Literal["auto", "propose", "off"]


class Settings(msgspec.Struct, frozen=True):
    """How a mapper learns: its `feedback_settings`.

    `evidence` is how many votes it takes; `half_life_days` after how many days a vote counts half; `up` and
    `down` by which part of itself a multiplier may rise and fall in a day; `low` and `high` between what it
    stays.
    """

    evidence: int = 5
    half_life_days: int = 7
    up: float = LARGEST_STEP
    down: float = LARGEST_STEP
    low: float = 0.5
    high: float = 2.0
    publishing: Publishing = "auto"

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Those of a mapper's document in normal form."""
        given = document["feedback_settings"]
        low, high = bounds(given)
        return cls(
            evidence=given["negative_threshold"],
            half_life_days=given["negative_window_days"],
            up=min(given["positive_adjustment"], LARGEST_STEP),
            down=min(-given["negative_adjustment"], LARGEST_STEP),
            low=low,
            high=high,
            publishing=given.get("publishing", "auto"),
        )


class Tally(msgspec.Struct, frozen=True, gc=False):
    """Votes for and against, each with the weight of its age, in units of a thousandth vote × 2^-20."""

    good: int = 0
    bad: int = 0

    @property
    def votes(self) -> float:
        """How many votes that is."""
        return (self.good + self.bad) / _UNIT

    @classmethod
    def total(cls, each: Iterable[Tally]) -> Self:
        """All of them together."""
        good = bad = 0
        for one in each:
            good += one.good
            bad += one.bad
        return cls(good, bad)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.good + other.good, self.bad + other.bad)

    def at_most(self, votes: int) -> Tally:
        """The same with no more than so many votes."""
        units, most = self.good + self.bad, votes * _UNIT
        return self if units <= most else Tally(self.good * most // units, self.bad * most // units)


_NOTHING: Final = Tally()


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """What was voted of one thing: with the recent half-life, and with the slow one. `personas` is by how
    many personas."""

    recent: Tally = Tally()
    history: Tally = Tally()
    personas: int = 0


class Belief(msgspec.Struct, frozen=True):
    """A rate of good votes from 0 to 1, the ends of its credible interval, and how many votes it rests on."""

    rate: float
    low: float
    high: float
    votes: float


def votes_of(
    *, helpful: bool | None, rating: int | None, outcome: str | None, rank: int | None
) -> tuple[int, int]:
    """What one feedback counts for and against its rule, in thousandths of a vote.

    What somebody says (`helpful`, else `rating`, 1 to 5) counts before what they did (`outcome`). Being
    ignored counts only for what was shown, and the less the lower it stood: who looks at the place numbered k
    with the chance 1/k (Craswell and others, "An experimental comparison of click position-bias models", WSDM
    2008; Joachims and others, "Unbiased learning-to-rank with biased feedback", WSDM 2017) and takes half of
    what they see, has seen what they passed over with the chance 1/(2k - 1).
    """
    if helpful is not None:
        return (VOTE, 0) if helpful else (0, VOTE)
    if rating is not None:
        return (rating - 1) * VOTE // 4, (5 - rating) * VOTE // 4
    if outcome == "accepted":
        return VOTE, 0
    if outcome == "dismissed":
        return 0, VOTE
    if outcome == "ignored" and rank is not None and rank > 0:
        return 0, VOTE // (2 * rank - 1)
    return 0, 0


def day_weight(age_days: int, half_life_days: int) -> int:
    """2^(-age / half-life) in units of 2^-20, to within two of them: what a vote of that age counts. A vote
    of a day to come, by somebody's clock, counts as one of today. In integers, because `pow` differs between
    C libraries."""
    steps = (max(age_days, 0) << UNIT_BITS) // -half_life_days
    whole, fraction = divmod(steps, 1 << UNIT_BITS)
    return power_of_two(fraction) >> -whole


def pooled(each: Iterable[Evidence], settings: Settings) -> Evidence:
    """What several personas voted of one rule. None of them counts for more than `settings.evidence` votes,
    and learning asks for more than that: so no persona alone ever changes what all see."""
    most = settings.evidence
    heard = [one for one in each if one.history != _NOTHING]
    return Evidence(
        Tally.total(one.recent.at_most(most) for one in heard),
        Tally.total(one.history.at_most(most) for one in heard),
        len(heard),
    )


def mean_of(each: Iterable[Evidence]) -> float:
    """The rate of good votes over all rules of a mapper, above 0 and below 1: as if one vote for and one
    against had been cast before; so one half as long as there are none."""
    total = Tally.total(one.history for one in each)
    return (total.good + _UNIT) / (total.good + total.bad + 2 * _UNIT)


def belief(evidence: Evidence, mean: float) -> Belief:
    """The rate of good votes of one thing among others that have `mean`."""
    history = evidence.history.votes
    before = _shrunk(evidence.history, mean, PRIOR)
    strength = min(RECENT_PRIOR, history + PRIOR)
    rate = _shrunk(evidence.recent, before, strength)
    deviation = CREDIBLE * sqrt(rate * (1 - rate) / (evidence.recent.votes + strength + 1))
    return Belief(rate, max(0.0, rate - deviation), min(1.0, rate + deviation), history)


def _shrunk(tally: Tally, mean: float, strength: float) -> float:
    return (tally.good / _UNIT + strength * mean) / (tally.votes + strength)


def multiplier(rate: float, mean: float, low: float, high: float) -> float:
    """What a rate stands for: 1 at the mean, `high` where all votes are good, `low` where none is, and in
    between geometrically, so that a higher rate has a higher multiplier (unless `low` or `high` is 1)."""
    if rate > mean:
        return float(high ** ((rate - mean) / (1 - mean)))
    return float(low ** ((mean - rate) / mean)) if rate < mean else 1.0


class Target(msgspec.Struct, frozen=True):
    """Where a multiplier is to go, and the interval in which it is believable where it is."""

    value: float
    low: float
    high: float
    enough: bool
    """Whether there is enough evidence to move at all."""
    least: float = 0.0
    most: float = inf
    """Between what the multiplier is to stay, whatever it was under other settings."""

    def asks(self, now: float) -> bool:
        """Whether a multiplier of `now` is to move."""
        return self.enough and not self.low <= now <= self.high

    def within(self, now: float) -> float:
        """`now`, or the bound beyond which it is."""
        return min(max(now, self.least), self.most)


def target(found: Belief, mean: float, settings: Settings) -> Target:
    """Of a rule of a mapper."""
    low, value, high = (
        multiplier(rate, mean, settings.low, settings.high) for rate in (found.low, found.rate, found.high)
    )
    return Target(value, low, high, _shareable(found, settings), settings.low, settings.high)


def own_target(own: Evidence, shared: Belief, mean: float, settings: Settings) -> Target:
    """Of a rule for one persona, over what all have of it: what the persona's own votes make of the shared
    rate, divided by what that stands for. Where the shared belief is not enough to move what all see, theirs
    is still the mean; what there is of it is then this persona's votes, which count once.

    Own votes are enough from the last of `settings.evidence` votes on, be it counted in part: five that
    were cast together have faded to less than five by the next day, when there are steps yet to make.
    """
    common, found = _common(shared, mean, settings), own_belief(own, shared, mean, settings)
    divisor = multiplier(common, mean, settings.low, settings.high)
    low, value, high = (
        multiplier(rate, mean, settings.low, settings.high) / divisor
        for rate in (found.low, found.rate, found.high)
    )
    least, most = settings.low / settings.high, settings.high / settings.low
    return Target(value, low, high, found.votes > settings.evidence - 1, least, most)


def own_belief(own: Evidence, shared: Belief, mean: float, settings: Settings) -> Belief:
    """The rate of good votes of a rule for one persona, whose own votes are shrunk towards what all have."""
    return belief(own, _common(shared, mean, settings))


def _common(shared: Belief, mean: float, settings: Settings) -> float:
    return shared.rate if _shareable(shared, settings) else mean


def _shareable(found: Belief, settings: Settings) -> bool:
    return found.votes > settings.evidence


class Learned(msgspec.Struct, frozen=True, omit_defaults=True):
    """Multipliers by rule (1 where one is not named), and those that stood when `day` began: of that day's
    steps none leads further from these than a step."""

    multipliers: dict[str, float] = {}
    day: date | None = None
    morning: dict[str, float] = {}


class Moved(msgspec.Struct, frozen=True):
    """What becomes of multipliers: the same `learned` where none moves; `settled` unless some have further to
    go on another day."""

    learned: Learned
    settled: bool


def move(
    learned: Learned,
    targets: Mapping[str, Target],
    today: date,
    settings: Settings,
    frozen: Collection[str] = (),
) -> Moved:
    """Each multiplier that its target asks for goes there, as far as a day's step leads. Those that are
    `frozen` or have no target stay. A clock that was set back, or is behind another's, begins no new day."""
    day = today if learned.day is None else max(today, learned.day)
    morning = learned.morning if learned.day == day else learned.multipliers
    multipliers = dict(learned.multipliers)
    settled = True
    for rule, aim in targets.items():
        now = aim.within(multipliers.get(rule, 1.0))
        if rule in frozen or not aim.asks(now):
            continue
        then = _step(morning.get(rule, 1.0), aim, settings)
        if then != now:
            multipliers[rule] = then
        settled = settled and not (aim.asks(then) and _step(then, aim, settings) != then)
    moved = learned if multipliers == learned.multipliers else Learned(multipliers, day, morning)
    return Moved(moved, settled)


def _step(morning: float, aim: Target, settings: Settings) -> float:
    """As near to its aim as a day that began at `morning` allows, to four decimals; rounded towards
    `morning`, for a step must not become longer by rounding. In decimals, as a document has them: a tenth of
    0.9 is 0.09."""
    began = aim.within(morning)
    exact = Decimal(repr(began))
    lowest = (exact * (1 - Decimal(repr(settings.down)))).quantize(_FINEST, ROUND_CEILING)
    highest = (exact * (1 + Decimal(repr(settings.up)))).quantize(_FINEST, ROUND_FLOOR)
    nearest = min(max(round(aim.value, DIGITS), min(float(lowest), began)), max(float(highest), began))
    return aim.within(nearest)
