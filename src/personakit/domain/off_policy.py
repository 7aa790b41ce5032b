"""Off-policy evaluation: how well another version would have done, from what was said of what chance showed.

A row is one vote on a place of an answer, with the chance (propensity) that its rule had to stand there. The
other version counts where it would have put the same rule at the same place, with the weight of one over
that chance: so much the more for what was shown the less often.

- IPS, the mean of weight × reward: Horvitz and Thompson, "A generalization of sampling without replacement
  from a finite universe", JASA 1952. Unbiased where the weights average to one, which they do in expectation
  where people vote as readily on one rule as on another.
- SNIPS, the same over the mean weight: Swaminathan and Joachims, "The self-normalized estimator for
  counterfactual learning", NIPS 2015. Consistent whether or not they do.
- Doubly robust, what is believed of the other version's rule, corrected by weight × what the belief was wrong
  by: Dudík, Langford and Li, "Doubly robust policy evaluation and learning", ICML 2011.

An interval is normal at 95 %, with the standard error of the estimator (for SNIPS by the delta method). Rows
of one answer came of one draw: their errors are added up before they are squared.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from math import sqrt
from statistics import fmean
from typing import Final, NamedTuple

import msgspec

from personakit_sdk.errors import PersonaKitError

NORMAL: Final = 1.959964
"""Standard errors on each side of an estimate, at 95 %."""
LEAST_EFFECTIVE: Final = 30.0
"""With fewer effective answers a normal interval says little, and nothing is said."""


class Row(NamedTuple):
    """A vote from 0 (bad) to 1 (good) on a rule at a place, and what of that place is known.

    `answer` is the same for rows of one draw. `matched` says that the other version has the same rule there;
    `believed` is the rate believed of the rule that was shown, `expected` of the one that it has there.
    """

    answer: Hashable
    reward: float
    propensity: float
    matched: bool
    believed: float = 0.5
    expected: float = 0.5

    @property
    def weight(self) -> float:
        """One over the chance, where the other version does the same; else 0."""
        return 1 / self.propensity if self.matched else 0.0


class Estimate(msgspec.Struct, frozen=True):
    """A mean vote, and the ends of its interval."""

    value: float
    low: float
    high: float


class Estimates(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How well the other version would have done, by three estimators, and how well `shown` did.

    `gain` is how much better it is, by the doubly robust estimator, over the same rows. `meanWeight` is about
    1 where IPS may be believed; `effective` is how many answers of equal weight would say as much.
    """

    rows: int
    answers: int
    matched: int
    randomised: int
    effective: float
    mean_weight: float
    shown: Estimate
    ips: Estimate
    snips: Estimate
    doubly_robust: Estimate
    gain: Estimate


class NotRandomised(PersonaKitError):
    """Nothing was left to chance, so nothing can be said of what was not shown."""

    def __init__(self, rows: int) -> None:
        super().__init__(
            f"Of what {rows} votes can be held against, nothing was left to chance: they say nothing of what "
            "was not shown. Set `exploration` in the mapper's feedback_settings, and let feedback bring back "
            "the `exposure` of each suggestion."
        )


class TooFew(PersonaKitError):
    """What was shown is too seldom what the other version would have shown."""

    def __init__(self, rows: int, effective: float) -> None:
        super().__init__(
            f"What was shown is too seldom what this version would have shown: {rows} votes say as much as "
            f"those of {effective:.1f} answers would that all count the same, and it takes "
            f"{LEAST_EFFECTIVE:g}. More feedback, or a wider `exploration`, brings more."
        )
        self.effective = effective


def estimate(rows: Sequence[Row]) -> Estimates:
    """The estimates from rows whose places another version fills with a rule that had a chance there.

    Raises NotRandomised where no row was left to chance, and TooFew below LEAST_EFFECTIVE effective answers.
    """
    randomised = sum(row.propensity < 1 for row in rows)
    if not randomised:
        raise NotRandomised(len(rows))
    weights = [row.weight for row in rows]
    answers = [row.answer for row in rows]
    effective = effective_size(_by_answer(weights, answers))
    if effective < LEAST_EFFECTIVE:
        raise TooFew(len(rows), effective)
    rewards = [row.reward for row in rows]
    corrected = [row.expected + row.weight * (row.reward - row.believed) for row in rows]
    return Estimates(
        rows=len(rows),
        answers=len(set(answers)),
        matched=sum(row.matched for row in rows),
        randomised=randomised,
        effective=effective,
        mean_weight=fmean(weights),
        shown=_mean(rewards, answers),
        ips=_mean([weight * reward for weight, reward in zip(weights, rewards, strict=True)], answers),
        snips=_ratio(weights, rewards, answers),
        doubly_robust=_mean(corrected, answers),
        gain=_mean([then - now for then, now in zip(corrected, rewards, strict=True)], answers),
    )


def effective_size(weights: Iterable[float]) -> float:
    """How many equal weights would be worth as much (Kish, "Survey Sampling", 1965): (Σw)² / Σw²."""
    given = list(weights)
    squares = sum(each * each for each in given)
    return sum(given) ** 2 / squares if squares else 0.0


def _mean(values: Sequence[float], answers: Sequence[Hashable]) -> Estimate:
    value = fmean(values)
    return _interval(value, [each - value for each in values], answers)


def _ratio(weights: Sequence[float], rewards: Sequence[float], answers: Sequence[Hashable]) -> Estimate:
    """The mean reward by weight; its error in first order is that of a mean of what stands below."""
    value = fmean(rewards, weights)
    mean = fmean(weights)
    errors = [weight * (reward - value) / mean for weight, reward in zip(weights, rewards, strict=True)]
    return _interval(value, errors, answers)


def _interval(value: float, errors: Sequence[float], answers: Sequence[Hashable]) -> Estimate:
    """Around a value whose error is the mean of `errors`, which sum to 0."""
    of_answers = _by_answer(errors, answers)
    count = len(of_answers)
    squares = sum(error * error for error in of_answers)
    deviation = sqrt(squares * count / max(count - 1, 1)) / len(errors)
    return Estimate(value, value - NORMAL * deviation, value + NORMAL * deviation)


def _by_answer(values: Sequence[float], answers: Sequence[Hashable]) -> list[float]:
    """What the rows of each answer sum up to."""
    sums: dict[Hashable, float] = {}
    for answer, value in zip(answers, values, strict=True):
        sums[answer] = sums.get(answer, 0.0) + value
    return list(sums.values())
