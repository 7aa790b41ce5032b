"""How well what is learned orders rules whose true rates are known, and how well the plain rule would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.catalogue import Key
from bench.figures import Figure
from bench.simulated_feedback import DAYS, RULES, Scenario, Standing, simulate
from bench.workbench import Workbench

SEEDS: Final = range(20)
SCENARIOS: Final = {
    "learning_30_votes": Scenario(30),
    "learning_200_votes": Scenario(200),
    "learning_changed": Scenario(200, changed=True),
    "learning_changed_30_votes": Scenario(30, changed=True),
    "learning_rank_biased": Scenario(200, 10, lambda rank: 1 / rank, "ignored"),
    "learning_rank_biased_less": Scenario(200, 10, lambda rank: rank**-0.5, "ignored"),
}
"""The last one is looked at more than the learner assumes: the chance is 1/√rank."""
PLAIN: Final = "_plain"
"""Ends the key of the plain rule's figure, beside ours."""


def learning(bench: Workbench, keys: Sequence[Key]) -> list[Figure]:
    """The figures of the keys: Spearman's rho between multipliers and true rates, one round a seed."""
    asked = {key.name for key in keys}
    figures: list[Figure] = []
    for name, scenario in SCENARIOS.items():
        if asked & {name, name + PLAIN}:
            bench.say(f"{name}: {len(SEEDS)} seeds")
            figures += [each for each in _both(name, scenario) if each.key in asked]
    return figures


def _both(name: str, scenario: Scenario) -> list[Figure]:
    standings = [simulate(scenario, seed) for seed in SEEDS]
    said = f"{RULES} rules, {DAYS} days, {_told(scenario)}"
    ours, plain = ([get(each) for each in standings] for get in (Standing.ours, Standing.beside))
    return [
        Figure(name, tuple(ours), said),
        Figure(name + PLAIN, tuple(plain), f"+10 % or -20 % a vote, between 0.5 and 2; {said}"),
    ]


def _told(scenario: Scenario) -> str:
    each = f"{scenario.shown} votes a rule"
    if scenario.together > 1:
        second = scenario.looked_at(2)
        each = (
            f"{scenario.shown} impressions a rule, {scenario.together} together, the second looked at in "
            f"{second:.0%}"
        )
    return f"{each}, rates drawn anew half-way" if scenario.changed else each
