"""What is learned from simulated votes orders rules by how good they are, and better than the plain rule."""

from __future__ import annotations

from statistics import median

import pytest

from bench.catalogue import KEYS
from bench.learning import PLAIN, SCENARIOS
from bench.simulated_feedback import Scenario, Standing, simulate, spearman

SEEDS = range(100, 103)
"""Not those of the bench."""


def standings(name: str) -> list[Standing]:
    return [simulate(SCENARIOS[name], seed) for seed in SEEDS]


@pytest.mark.parametrize(
    ("name", "at_least"),
    [
        ("learning_30_votes", 0.88),
        ("learning_200_votes", 0.96),
        ("learning_changed", 0.9),
        ("learning_rank_biased", 0.85),
    ],
)
def test_the_learned_order_is_the_true_one_and_the_plain_rule_falls_behind(
    name: str, at_least: float
) -> None:
    each = standings(name)
    assert median(one.ours() for one in each) >= at_least
    assert median(one.ours() for one in each) > median(one.beside() for one in each)
    assert all(0.5 <= multiplier <= 2 for one in each for multiplier in one.learned)


def test_a_seed_says_everything() -> None:
    assert simulate(Scenario(5), 1) == simulate(Scenario(5), 1)
    assert simulate(Scenario(5), 1) != simulate(Scenario(5), 2)


def test_without_votes_nothing_is_learned() -> None:
    nothing = simulate(Scenario(0), 1)
    assert set(nothing.learned) == set(nothing.plain) == {1.0}


def test_ranks_that_are_equal_share_their_mean() -> None:
    """Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5)."""
    assert spearman([10, 20, 20, 30], [1, 2, 3, 4]) == pytest.approx(0.9486832981)
    assert spearman([1, 2, 3], [1, 4, 9]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_every_scenario_has_its_key_and_that_of_the_plain_rule() -> None:
    named = {key.name for key in KEYS if key.group == "learning"}
    assert named == set(SCENARIOS) | {name + PLAIN for name in SCENARIOS}
