"""Off-policy evaluation: the estimators by hand, their laws, and what they say where the truth is known."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from statistics import fmean, stdev
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.exploration import Believed, explore
from personakit.domain.off_policy import (
    LEAST_EFFECTIVE,
    Estimate,
    Estimates,
    NotRandomised,
    Row,
    TooFew,
    effective_size,
    estimate,
)
from tests.unit.domain.test_exploration import candidates

WEIGHTS = st.lists(st.floats(0, 50).filter(lambda each: each == 0 or each > 1e-6), min_size=1)
REWARDS = st.floats(0, 1)
MATCHED = st.builds(
    Row, st.integers(), REWARDS, st.floats(0.05, 1), st.booleans(), st.floats(0, 1), st.floats(0, 1)
)
ROWS = st.lists(MATCHED, min_size=1, max_size=8).map(
    lambda some: [row._replace(answer=(kind, n)) for n in range(40) for kind, row in enumerate(some)]
)
"""A few rows, forty answers of each."""


def rows_of(*some: tuple[float, float, bool]) -> list[Row]:
    """Forty answers of each (reward, propensity, matched)."""
    return [
        Row((kind, number), reward, propensity, matched, believed=0.25, expected=0.75)
        for number in range(40)
        for kind, (reward, propensity, matched) in enumerate(some)
    ]


def test_the_estimators_by_hand() -> None:
    """Weights 2, 4, 0; of each forty."""
    told = estimate(rows_of((1, 0.5, True), (0, 0.25, True), (1, 0.5, False)))
    assert (told.rows, told.answers, told.matched, told.randomised) == (120, 120, 80, 120)
    assert told.mean_weight == pytest.approx(2)
    assert told.effective == pytest.approx((40 * 6) ** 2 / (40 * (4 + 16)))
    assert told.shown.value == pytest.approx(2 / 3)
    assert told.ips.value == pytest.approx(2 / 3)
    assert told.snips.value == pytest.approx(1 / 3)
    # 0.75 + 2 × 0.75, 0.75 - 4 × 0.25, 0.75
    assert told.doubly_robust.value == pytest.approx((2.25 - 0.25 + 0.75) / 3)
    assert told.gain.value == pytest.approx(told.doubly_robust.value - told.shown.value)


def test_an_interval_by_hand() -> None:
    """Of a mean of zeros and ones: 1.96 standard errors on each side."""
    told = estimate(rows_of((1, 0.999, True), (0, 0.999, True)))
    assert told.shown.high - told.shown.value == pytest.approx(1.959964 * (0.25 / 79) ** 0.5)
    assert told.shown.value - told.shown.low == pytest.approx(1.959964 * (0.25 / 79) ** 0.5)


def test_where_nothing_was_left_to_chance_nothing_is_said() -> None:
    with pytest.raises(NotRandomised):
        estimate(rows_of((1, 1.0, True), (0, 1.0, True)))
    with pytest.raises(NotRandomised):
        estimate([])


def test_where_too_little_of_it_was_shown_nothing_is_said() -> None:
    enough = rows_of((1, 0.5, True))[: int(LEAST_EFFECTIVE)]
    assert estimate(enough).effective == pytest.approx(LEAST_EFFECTIVE)
    with pytest.raises(TooFew) as raised:
        estimate(enough[1:])
    assert raised.value.effective == pytest.approx(LEAST_EFFECTIVE - 1)
    with pytest.raises(TooFew):
        estimate(rows_of((1, 0.5, False)))


def test_rows_of_one_answer_are_one_draw() -> None:
    """Said five times over, a thing is no surer, and no more effective."""
    rows = rows_of((1, 0.5, True), (0, 0.25, True), (1, 0.5, False))
    once, often = estimate(rows), estimate(rows * 5)
    assert often.effective == pytest.approx(once.effective)
    for name in ("shown", "ips", "snips", "doubly_robust", "gain"):
        one, other = getattr(once, name), getattr(often, name)
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high))


@given(WEIGHTS)
def test_the_effective_size_is_at_most_the_number_and_asks_for_no_scale(
    weights: list[float],
) -> None:
    size = effective_size(weights)
    assert size <= sum(each > 0 for each in weights) + 1e-9
    assert effective_size([3 * each for each in weights]) == pytest.approx(size)
    assert (size >= 1 - 1e-9) == any(weights)


@given(st.integers(1, 100), st.floats(0.1, 10))
def test_equal_weights_are_worth_their_number(count: int, weight: float) -> None:
    assert effective_size([weight] * count) == pytest.approx(count)


def told_of(rows: list[Row]) -> Estimates | None:
    try:
        return estimate(rows)
    except (NotRandomised, TooFew):
        return None


@given(ROWS)
def test_a_version_that_does_the_same_by_certainty_does_as_well_as_was_seen(
    rows: list[Row],
) -> None:
    same = [row._replace(propensity=1.0, matched=True, expected=row.believed) for row in rows[:-1]]
    same.append(same[0]._replace(answer="by chance", propensity=1 - 1e-12))
    told = estimate(same)
    for name in ("ips", "snips", "doubly_robust"):
        assert getattr(told, name).value == pytest.approx(told.shown.value)
    assert told.gain.value == pytest.approx(0, abs=1e-9)


@given(ROWS, st.floats(0, 1))
def test_what_stands_in_no_other_rows_does_not_move_snips(rows: list[Row], reward: float) -> None:
    """A weighted mean of rewards stays among them, and asks nothing of what does not match."""
    told = told_of(rows)
    if told is None:
        return
    matched = [row.reward for row in rows if row.matched]
    assert min(matched) - 1e-9 <= told.snips.value <= max(matched) + 1e-9
    other = [row if row.matched else row._replace(reward=reward) for row in rows]
    assert estimate(other).snips.value == pytest.approx(told.snips.value)


@given(ROWS)
def test_doubly_robust_without_a_belief_is_ips(rows: list[Row]) -> None:
    told = told_of([row._replace(believed=0.0, expected=0.0) for row in rows])
    if told is not None:
        assert told.doubly_robust == told.ips


@given(ROWS)
def test_where_the_beliefs_are_right_doubly_robust_is_what_is_believed(rows: list[Row]) -> None:
    told = told_of([row._replace(reward=row.believed) for row in rows])
    if told is not None:
        assert told.doubly_robust.value == pytest.approx(fmean(row.expected for row in rows))


# --- where the truth is known


class World(NamedTuple):
    """A kind of people: how good each rule that fires for them is."""

    good: dict[str, float]

    @property
    def wanted(self) -> str:
        """What the other version suggests first: the last by name, whoever is asked."""
        return max(self.good)


WORLDS = (World({"rest": 0.6, "walk": 0.9}), World({"read": 0.5, "rest": 0.3, "walk": 0.2}))
BELIEFS = {"walk": Believed(0.5, 8), "rest": Believed(0.3, 20), "read": Believed(0.7, 12)}
RANKED = [candidates(**dict.fromkeys(world.good, (1, 0))) for world in WORLDS]
TRUTH = fmean(world.good[world.wanted] for world in WORLDS)


def log_of(seed: int, answers: int = 400) -> list[Row]:
    """What is logged of the first places of as many answers, half of each kind, by the exploration itself."""
    chooser = Random(seed)
    return [_logged(number, WORLDS[number % 2], seed, chooser) for number in range(answers)]


def _logged(number: int, world: World, seed: int, chooser: Random) -> Row:
    order, places = explore(RANKED[WORLDS.index(world)], 0.5, BELIEFS, f"{seed} {number}".encode())
    shown = order[0].rule.id
    return Row(
        number,
        float(chooser.random() < world.good[shown]),
        places[0].propensity,
        shown == world.wanted,
        BELIEFS[shown].rate,
        BELIEFS[world.wanted].rate,
    )


@pytest.fixture(scope="module")
def simulated() -> list[Estimates]:
    return [estimate(log_of(seed)) for seed in range(150)]


ESTIMATORS: dict[str, Callable[[Estimates], Estimate]] = {
    "ips": lambda told: told.ips,
    "snips": lambda told: told.snips,
    "doubly robust": lambda told: told.doubly_robust,
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_is_right_on_average_and_its_interval_as_often_as_it_says(
    simulated: list[Estimates], name: str
) -> None:
    found = [ESTIMATORS[name](told) for told in simulated]
    error = stdev(each.value for each in found) / len(found) ** 0.5
    assert fmean(each.value for each in found) == pytest.approx(TRUTH, abs=3 * error)
    covered = fmean(each.low <= TRUTH <= each.high for each in found)
    assert 0.91 <= covered <= 0.98


def test_what_was_shown_is_worth_something_else(simulated: list[Estimates]) -> None:
    """Else the tests above would not tell an estimator from a mean."""
    assert abs(fmean(told.shown.value for told in simulated) - TRUTH) > 0.08


def test_with_the_propensities_left_out_the_truth_is_missed() -> None:
    even = [estimate([row._replace(propensity=0.5) for row in log_of(seed)]) for seed in range(40)]
    for of in ESTIMATORS.values():
        assert fmean(not of(told).low <= TRUTH <= of(told).high for told in even) > 0.9
