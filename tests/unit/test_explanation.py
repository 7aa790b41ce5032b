"""What is explained of learning is so: the picture, the worked example and the settings."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from bench.catalogue import KEYS
from bench.learning import SCENARIOS
from personakit.domain.learning import (
    SLOWER,
    VOTE,
    Evidence,
    Learned,
    Settings,
    Tally,
    belief,
    day_weight,
    mean_of,
    move,
    multiplier,
    target,
)
from personakit_sdk.rules.document import SETTINGS

EXPLANATION = Path(__file__).parents[2] / "docs" / "explanation"
PAGE = (EXPLANATION / "learning.md").read_text(encoding="utf-8")
DEFAULTS = Settings()
FAST, SLOW = DEFAULTS.half_life_days, DEFAULTS.half_life_days * SLOWER


def weighed(votes: list[tuple[int, int, int]], half_life: int) -> Tally:
    """Whole votes for and against, by age in days."""
    return Tally.total(
        Tally(VOTE * good * day_weight(age, half_life), VOTE * bad * day_weight(age, half_life))
        for good, bad, age in votes
    )


def heard(*votes: tuple[int, int, int]) -> Evidence:
    return Evidence(weighed(list(votes), FAST), weighed(list(votes), SLOW))


def tea(day: int) -> Evidence:
    return heard((6, 4, 14 + day), (1, 9, day))


def others(day: int) -> Evidence:
    return heard((60, 40, day))


def counted(tally: Tally) -> tuple[float, float]:
    unit = VOTE * day_weight(0, 1)
    return tally.good / unit, tally.bad / unit


def example() -> Iterator[str]:
    """The rows of its tables. The three lines of the rate are written out, as the page has them."""
    rule, rest = tea(0), others(0)
    (good, bad), (all_good, all_bad) = counted(rule.history), counted(rest.history)
    recent_good, recent_bad = counted(rule.recent)
    two_weeks = [day_weight(14, half_life) / day_weight(0, 1) for half_life in (FAST, SLOW)]
    yield (
        f"| recent votes of *tea*, a vote of two weeks ago weighing {two_weeks[0]:.2f} "
        f"| {recent_good:.2f} | {recent_bad:.2f} |"
    )
    yield f"| its history, such a vote weighing {two_weeks[1]:.3f} | {good:.2f} | {bad:.2f} |"
    mean = (good + all_good + 1) / (good + bad + all_good + all_bad + 2)
    before = (good + 4 * mean) / (good + bad + 4)
    strength = min(10, 4 + good + bad)
    rate = (recent_good + strength * before) / (recent_good + recent_bad + strength)
    deviation = 0.6745 * (rate * (1 - rate) / (recent_good + recent_bad + strength + 1)) ** 0.5
    ends = rate - deviation, rate + deviation
    yield f"| mean of the mapper | {mean:.3f} |"
    yield f"| before, from the history | {before:.3f} |"
    yield f"| rate, from the recent votes | {rate:.3f}, between {ends[0]:.3f} and {ends[1]:.3f} |"
    value, low, high = (0.5 ** ((mean - each) / mean) for each in (rate, *ends))
    yield f"| multiplier of the rate | {value:.3f}, between {low:.3f} and {high:.3f} |"


def days() -> Iterator[str]:
    """The rows of the last table, by the code."""
    learned = Learned()
    for day in range(3):
        mean = mean_of([tea(day), others(day)])
        aim = target(belief(tea(day), mean), mean, DEFAULTS)
        moved = move(learned, {"tea": aim}, date(2026, 3, 2) + timedelta(day), DEFAULTS)
        learned = moved.learned
        what = "rests" if moved.settled else "a step"
        yield f"| {day + 1} | {learned.multipliers['tea']} | {aim.low:.3f} to {aim.high:.3f} | {what} |"


def test_the_worked_example_is_worked_out() -> None:
    rows = [*example(), *days()]
    assert len(rows) == 9
    assert [row for row in rows if row not in PAGE.splitlines()] == []


def test_the_formulas_of_the_example_are_those_of_the_code() -> None:
    mean = mean_of([tea(0), others(0)])
    found = belief(tea(0), mean)
    value = multiplier(found.rate, mean, DEFAULTS.low, DEFAULTS.high)
    assert f"| {found.rate:.3f}, between {found.low:.3f} and {found.high:.3f} |" in PAGE
    assert f"| {value:.3f}, between " in PAGE


def test_the_picture_is_drawn_by_what_is_there() -> None:
    made = runpy.run_path(str(EXPLANATION / "draw_learning.py"))["picture"]()
    assert (EXPLANATION / "learning.svg").read_text(encoding="utf-8") == made
    assert made.count("<circle") == 80
    assert "](learning.svg)" in PAGE


def test_every_setting_is_explained_with_its_default() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+?)`? \|", PAGE, re.MULTILINE))
    del told["feedback_settings"]
    assert told.pop("publishing") == Settings().publishing
    assert told.pop("exploration") == "none"
    assert told == {name: str(default) for name, (default, _, _) in SETTINGS.items()}


def test_every_scenario_has_a_row_that_is_above_its_bound() -> None:
    rows = re.findall(r"^\| [^|]+ \| (0\.\d\d) \| (0\.\d\d) \|$", PAGE, re.MULTILINE)
    bounds = [key.at_least or 0 for key in KEYS if key.name in SCENARIOS]
    assert len(rows) == len(bounds)
    for (ours, plain), bound in zip(rows, bounds, strict=True):
        assert float(ours) >= bound
        assert float(ours) > float(plain)
