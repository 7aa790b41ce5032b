"""The mappers that come with the release: their own tests, their quality, what they rest on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from personakit_sdk.rules import Facts, TraitFact, lint, run_tests
from personakit_sdk.rules.yaml import load_yaml
from tests.unit.rules.mapper_cases import CHECKOUT, SHIPPED, decide, facts, shipped

BY_NAME = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)


def computed_traits() -> set[str]:
    """The paths that the shipped computed traits define."""
    documents = [load_yaml(path.read_bytes()) for path in (CHECKOUT / "rules/computed_traits").glob("*.yaml")]
    return {trait["path"] for document in documents for trait in document["traits"]}


def test_at_least_three_mappers_are_shipped() -> None:
    assert len(SHIPPED) >= 3


@BY_NAME
def test_a_shipped_mappers_own_tests_pass(path: Path) -> None:
    results = run_tests(shipped(path))
    assert results
    assert [result for result in results if not result.passed] == []


@BY_NAME
def test_every_shipped_rule_has_a_case_that_fires_and_one_that_does_not(path: Path) -> None:
    document = shipped(path).document
    expected = [set(case["expect"]["rules"]) for case in document["tests"]]
    for rule in document["rules"]:
        assert any(rule["id"] in rules for rules in expected), f"no case fires {rule['id']}"
        assert any(rule["id"] not in rules for rules in expected), f"every case fires {rule['id']}"


@BY_NAME
def test_a_shipped_mapper_gives_no_cause_for_a_warning(path: Path) -> None:
    assert lint(shipped(path), computed_traits()) == []


@BY_NAME
def test_a_shipped_mapper_is_named_as_its_file(path: Path) -> None:
    assert shipped(path).mapper_id == path.stem


@BY_NAME
def test_no_text_of_a_shipped_mapper_ends_in_a_line_break(path: Path) -> None:
    document = shipped(path).document
    inline = [action["generate_suggestion"] for rule in document["rules"] for action in rule["actions"]]
    texts = [
        text[key]
        for text in [*inline, *document["templates"].values()]
        for key in ("title", "description")
        if key in text
    ]
    assert [text for text in texts if "\n" in text or text != text.strip()] == []


def thin_history(peak: int, at: datetime) -> Facts:
    """What a git log of twelve commits in one day gives: few samples, one hour that stands out."""
    counts = [0] * 24
    counts[peak], counts[(peak + 1) % 24] = 8, 4
    periods = {5: "morning", 12: "afternoon", 17: "evening", 21: "night"}
    period = next((name for start, name in sorted(periods.items(), reverse=True) if peak >= start), "night")
    values: dict[str, Any] = {
        "work.commit_hours": {"peak": peak, "share": 0.667, "period": period, "counts": counts},
        "work.commit_days": {"peak": "sunday", "share": 1.0, "weekend_share": 1.0, "counts": [0] * 6 + [12]},
        "work.commit_size": {"p50": 63.2, "p90": 480.0},
        "work.commits": 12,
        "work.main_language": "Python",
        "work.languages": ["Python", "SQL"],
    }
    seen = at - timedelta(hours=3)
    return Facts(
        traits={
            name: TraitFact(value=value, weight=12.0, spread=0.5, last_observed_at=seen)
            for name, value in values.items()
        },
        context={},
        at=at,
    )


@pytest.mark.parametrize("hour", range(0, 24, 3))
@pytest.mark.parametrize("peak", [2, 9, 14, 19, 23])
def test_a_thin_git_history_gets_several_suggestions_at_any_hour(peak: int, hour: int) -> None:
    plan = shipped(CHECKOUT / "rules/mappers/work_rhythm.yaml")
    decision = decide(plan, thin_history(peak, datetime(2026, 3, 8, hour, 10, tzinfo=UTC)), limit=5)
    assert len(decision.suggestions) >= 4
    assert decision.missing_traits == []
    assert any(f"{peak}:00" in made.description for made in decision.suggestions)


@BY_NAME
def test_a_shipped_mapper_decides_on_any_facts(path: Path) -> None:
    plan = shipped(path)
    odd: list[Any] = [None, True, -1, 1e300, "", "{x}", [], [[1]], {}, {"p50": None, "p90": {}, "period": []}]
    for value in odd:
        decision = decide(plan, facts(dict.fromkeys(plan.trait_paths, value), {"topic": value}), explain=True)
        assert len(msgspec.json.encode(decision)) > 2
