"""Rules of which it is known how good they are, people who vote on them for 60 days, and what is learned.

Of chance only `Random.random()` is used: its sequence is the same in every release of Python.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from functools import cache
from itertools import chain, repeat
from random import Random
from statistics import correlation
from typing import Final, Literal

import msgspec

from personakit.domain.learning import (
    SLOWER,
    Evidence,
    Learned,
    Settings,
    Tally,
    belief,
    day_weight,
    mean_of,
    move,
    pooled,
    target,
    votes_of,
)

RULES: Final = 40
DAYS: Final = 60
LOWEST_RATE: Final = 0.05
HIGHEST_RATE: Final = 0.95
SETTINGS: Final = Settings()
_FIRST_DAY: Final = date(2026, 1, 1)


class Scenario(msgspec.Struct, frozen=True):
    """How often each rule is shown; how many are shown together, best first; with which chance the one at a
    rank is looked at; what becomes of those that are not accepted; whether rates are drawn anew half-way."""

    shown: int
    together: int = 1
    looked_at: Callable[[int], float] = lambda _: 1.0
    otherwise: Literal["dismissed", "ignored"] = "dismissed"
    changed: bool = False


class Standing(msgspec.Struct, frozen=True):
    """By rule: how often it is accepted by who looks at it, as of the last day; its learned multiplier; and
    what the plain rule makes of the same votes."""

    rates: list[float]
    learned: list[float]
    plain: list[float]

    def ours(self) -> float:
        """How well the learned order agrees with the true one."""
        return spearman(self.learned, self.rates)

    def beside(self) -> float:
        """How well the plain rule's order does."""
        return spearman(self.plain, self.rates)


class Learner:
    """Learns as the Adjuster does, once a day. Each vote is by another persona."""

    def __init__(self) -> None:
        self._votes = [Counter[tuple[int, int, int]]() for _ in range(RULES)]
        self._learned = Learned()

    def multiplier(self, rule: int) -> float:
        return self._learned.multipliers.get(str(rule), 1.0)

    def hear(self, rule: int, good: int, bad: int, day: int) -> None:
        """One vote, in thousandths for and against."""
        self._votes[rule][good, bad, day] += 1

    def publish(self, day: int) -> None:
        """What has been heard by the end of the day moves the multipliers."""
        heard = [pooled(_personas(votes, day), SETTINGS) for votes in self._votes]
        mean = mean_of(heard)
        targets = {str(rule): target(belief(each, mean), mean, SETTINGS) for rule, each in enumerate(heard)}
        self._learned = move(self._learned, targets, _FIRST_DAY + timedelta(day), SETTINGS).learned


class PlainRule:
    """Each good vote makes the weight 10 % larger, each other 20 % smaller, between 0.5 and 2."""

    def __init__(self) -> None:
        self.weights = [1.0] * RULES

    def hear(self, rule: int, *, accepted: bool) -> None:
        """One vote."""
        self.weights[rule] = min(max(self.weights[rule] * (1.1 if accepted else 0.8), 0.5), 2.0)


def simulate(scenario: Scenario, seed: int) -> Standing:
    """60 days of it; the same seed gives the same."""
    chance = Random(seed)
    rates = _drawn(chance)
    learner, plain = Learner(), PlainRule()
    for day, slates in enumerate(_days(scenario, chance)):
        if scenario.changed and day == DAYS // 2:
            rates = _drawn(chance)
        for slate in slates:
            for rank, rule in enumerate(sorted(slate, key=learner.multiplier, reverse=True), 1):
                accepted = chance.random() < scenario.looked_at(rank) * rates[rule]
                outcome = "accepted" if accepted else scenario.otherwise
                learner.hear(rule, *votes_of(helpful=None, rating=None, outcome=outcome, rank=rank), day)
                plain.hear(rule, accepted=accepted)
        learner.publish(day)
    return Standing(rates, [learner.multiplier(rule) for rule in range(RULES)], plain.weights)


def spearman(values: Sequence[float], others: Sequence[float]) -> float:
    """The correlation of ranks; those that are equal share the mean of their ranks (Spearman's rho)."""
    return correlation(_ranks(values), _ranks(others))


def _ranks(values: Sequence[float]) -> list[float]:
    ordered, times = sorted(values), Counter(values)
    return [ordered.index(value) + (times[value] + 1) / 2 for value in values]


def _drawn(chance: Random) -> list[float]:
    return [LOWEST_RATE + (HIGHEST_RATE - LOWEST_RATE) * chance.random() for _ in range(RULES)]


def _days(scenario: Scenario, chance: Random) -> list[list[list[int]]]:
    """By day, the rules that are shown together, those of equal worth in an order of chance."""
    days: list[list[list[int]]] = [[] for _ in range(DAYS)]
    for _ in range(scenario.shown):
        shuffled = sorted(range(RULES), key=lambda _: chance.random())
        for first in range(0, RULES, scenario.together):
            days[int(chance.random() * DAYS)].append(shuffled[first : first + scenario.together])
    return days


def _personas(votes: Counter[tuple[int, int, int]], today: int) -> Iterator[Evidence]:
    """One for each persona that has voted."""
    return chain.from_iterable(
        repeat(_aged(good, bad, today - day), count) for (good, bad, day), count in votes.items()
    )


@cache
def _aged(good: int, bad: int, age: int) -> Evidence:
    """What one vote counts at an age in days."""
    recent, slow = (day_weight(age, SETTINGS.half_life_days * times) for times in (1, SLOWER))
    return Evidence(Tally(good * recent, bad * recent), Tally(good * slow, bad * slow))
