"""Decisions: what a suggestion carries, what is cut, dropped and explained."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from personakit_sdk.errors import InvalidInput
from personakit_sdk.rules import compile_mapper, evaluate, run_tests, suggestion_id
from personakit_sdk.rules.inline_tests import DEFAULT_AT
from personakit_sdk.rules.template import text_of
from tests.unit.rules.mapper_cases import MONDAY, decide, facts, mapper, rule


def saying(**fields: Any) -> list[dict[str, Any]]:
    """The actions of a rule that makes one suggestion."""
    return [{"generate_suggestion": {"type": "note", "title": "t", "description": "d", **fields}}]


def trait_check(path: str, operator: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"trait_check": {"path": path, "operator": operator, "value": value, **more}}


def test_a_suggestion_carries_all_that_its_reader_needs() -> None:
    parameters = {"n": {"from_trait": "work.focus.p90", "transform": "round"}, "k": [1, "a"]}
    says = saying(
        title="{n} minutes", parameters=parameters, priority="high", metadata={"b": 1, "a": {"d": 1, "c": 2}}
    )
    plan = compile_mapper(
        mapper(rule("deep", conditions=trait_check("work.focus.p90", "greater", 60), actions=says, weight=2))
    )
    (made,) = decide(plan, facts({"work.focus": {"p90": 94.6}}), learned={"deep": 1.5}).suggestions
    ref = suggestion_id.SuggestionRef(
        persona_id="alice", mapper_id="small", mapper_version=3, rule_id="deep", rank=1, at=MONDAY
    )
    assert suggestion_id.decode(made.id) == ref
    assert msgspec.to_builtins(made) == {
        "id": made.id,
        "ruleId": "deep",
        "type": "note",
        "title": "95 minutes",
        "description": "d",
        "priority": "high",
        "weight": 2.0,
        "learned": 1.5,
        "score": 3.0,
        "parameters": {"k": [1, "a"], "n": 95},
        "because": [
            {
                "kind": "trait",
                "path": "work.focus.p90",
                "operator": "greater",
                "wanted": 60,
                "seen": 94.6,
                "confidence": 1.0,
            }
        ],
        "metadata": {"a": {"c": 2, "d": 1}, "b": 1},
    }


def test_metadata_that_is_empty_is_left_out() -> None:
    (made,) = decide(compile_mapper(mapper(rule())), facts({"go": 1})).suggestions
    assert "metadata" not in msgspec.to_builtins(made)


def test_because_names_the_checks_that_the_rule_rests_on_and_no_others() -> None:
    conditions = {
        "all": [
            {"any": [trait_check("a", "equals", 2), {"condition": "near"}]},
            {"not": trait_check("gone", "equals", 1)},
            {"time_check": {"period": "morning"}},
        ]
    }
    named = {"near": {"context_check": {"field": "km", "operator": "less", "value": {"from_trait": "a"}}}}
    plan = compile_mapper(mapper(rule(conditions=conditions), conditions=named))
    (made,) = decide(plan, facts({"a": 5}, {"km": 3, "timezone": "Europe/Berlin"})).suggestions
    assert msgspec.to_builtins(made.because) == [
        {"kind": "context", "path": "km", "operator": "less", "wanted": 5, "seen": 3},
        {"kind": "trait", "path": "gone", "operator": "equals", "wanted": 1, "negated": True},
        {
            "kind": "time",
            "wanted": {"period": "morning"},
            "seen": {
                "time": "2026-03-02T10:00:00+01:00",
                "timezone": "Europe/Berlin",
                "period": "morning",
                "dayOfWeek": "monday",
            },
        },
    ]


def test_missing_traits_are_listed_and_rules_still_run() -> None:
    required = ["go", "work.focus.p90", "work.mood"]
    decision = decide(
        compile_mapper(mapper(rule(), required_traits=required)),
        facts({"go": None, "work.focus": {"p50": 1}}),
    )
    assert decision.missing_traits == ["work.focus.p90", "work.mood"]
    assert decision.fired == ["only"]


def test_the_cut_comes_before_rendering() -> None:
    # given a best rule whose suggestion has no value to show
    nothing = saying(parameters={"x": {"from_trait": "gone"}})
    plan = compile_mapper(mapper(rule("a"), rule("best", priority=1, actions=nothing), rule("b")))
    # when two are asked for
    decision = decide(plan, facts({"go": 1}), limit=2, explain=True)
    # then the third does not move up, and the explanation says what became of each
    assert [made.rule_id for made in decision.suggestions] == ["a"]
    assert suggestion_id.decode(decision.suggestions[0].id).rank == 2
    assert decision.explanation is not None
    fates = [
        (each.id, fate.rank, fate.fate, fate.detail)
        for each in decision.explanation.rules
        for fate in each.suggestions
    ]
    assert fates == [
        ("a", 2, "made", "It came 2."),
        ("best", 1, "dropped", "The parameter 'x' has no value and no default."),
        ("b", 3, "cut", "It came 3. and the limit was 2."),
    ]


def test_a_rule_may_make_several_suggestions() -> None:
    plan = compile_mapper(
        mapper(
            rule("two", actions=saying(title="low", priority="low") + saying(title="high", priority="high"))
        )
    )
    decision = decide(plan, facts({"go": 1}))
    assert [made.title for made in decision.suggestions] == ["high", "low"]
    assert decision.fired == ["two"]


def test_an_explanation_says_of_every_rule_why_it_did_not_fire() -> None:
    plan = compile_mapper(
        mapper(
            rule("off", enabled=False),
            rule("light", weight=0),
            rule("unmet", conditions=trait_check("gone", "equals", 1)),
            rule("unsure", conditions=trait_check("go", "equals", 1, min_confidence=0.9)),
        )
    )
    decision = decide(plan, facts({"go": {"fact": {"value": 1, "weight": 4}}}), explain=True)
    assert decision.explanation is not None
    told = {each.id: each for each in decision.explanation.rules}
    assert {name: each.detail for name, each in told.items()} == {
        "off": "It is disabled.",
        "light": "Its weight 0 times what was learned, 1, is not above 0.",
        "unmet": "Its conditions do not hold.",
        "unsure": "Its conditions do not hold.",
    }
    assert msgspec.to_builtins(told["unmet"].conditions.conditions) == [
        {
            "kind": "trait_check",
            "holds": False,
            "path": "gone",
            "operator": "equals",
            "wanted": 1,
            "missing": True,
        }
    ]
    assert msgspec.to_builtins(told["unsure"].conditions.conditions) == [
        {
            "kind": "trait_check",
            "holds": False,
            "path": "go",
            "operator": "equals",
            "wanted": 1,
            "seen": 1,
            "confidence": 0.5,
            "minConfidence": 0.9,
        }
    ]


def test_an_explanation_is_made_on_demand_only() -> None:
    assert decide(compile_mapper(mapper(rule())), facts({"go": 1})).explanation is None


def test_an_instant_without_offset_is_refused() -> None:
    naive = facts({}, at=datetime(2026, 3, 2, 9))  # noqa: DTZ001 - what the engine must refuse
    with pytest.raises(InvalidInput, match="has no offset"):
        evaluate(compile_mapper(mapper(rule())), naive, persona_id="a", mapper_version=1, limit=5)


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_the_first_and_last_instant_of_the_calendar_are_instants_too(at: datetime, zone: str) -> None:
    plan = compile_mapper(mapper(rule(conditions={"time_check": {"hour_range": [0, 24], "timezone": zone}})))
    assert decide(plan, facts({}, at=at), explain=True).fired == ["only"]


def test_a_value_is_cut_at_500_characters_and_a_text_at_4_kib() -> None:
    many = {f"p{n}": {"from_trait": "long"} for n in range(10)}
    says = saying(title="{p0}", description="".join(f"{{{name}}}" for name in many), parameters=many)
    plan = compile_mapper(mapper(rule(actions=says)))
    (made,) = decide(plan, facts({"go": 1, "long": "é" * 600})).suggestions
    assert made.title == "é" * 500
    assert made.description == "é" * 2048


def test_the_authors_own_line_breaks_stay() -> None:
    says = saying(description="one\ntwo\x07 {x}", parameters={"x": "three\nfour"})
    (made,) = decide(compile_mapper(mapper(rule(actions=says))), facts({"go": 1})).suggestions
    assert made.description == "one\ntwo threefour"


def test_a_mappers_tests_say_what_was_expected_and_what_came() -> None:
    tests = [
        {"name": "good", "given": {"traits": {"go": 1}}, "expect": {"rules": ["a"]}},
        {"name": "wrong rules", "given": {"traits": {"go": 1}}, "expect": {"rules": []}},
        {
            "name": "wrong words",
            "given": {"traits": {"go": 1}},
            "expect": {"rules": ["a"], "suggestions": [{"title": "b", "metadata": {"k": 1}}]},
        },
        {
            "name": "one too many",
            "given": {"traits": {"go": 1}},
            "expect": {"rules": ["a"], "suggestions": [{}, {}]},
        },
    ]
    results = run_tests(
        compile_mapper(mapper(rule("a", actions=saying(title="a", metadata={"k": 1, "l": 2})), tests=tests))
    )
    assert [(result.name, result.passed, result.detail) for result in results] == [
        ("good", True, ""),
        ("wrong rules", False, "expected the rules [], got [a]"),
        ("wrong words", False, "suggestion 1: expected title 'b', got 'a'"),
        ("one too many", False, "expected 2 suggestions, got 1"),
    ]


@pytest.mark.parametrize(
    ("given", "fires"),
    [
        ({"at": "2026-03-02T23:00:00Z"}, True),
        ({"at": "2026-03-02T23:00:00Z", "timezone": "Asia/Tokyo"}, False),
        ({"context": {"current_time": "2026-03-02T23:00:00Z"}}, True),
        ({"at": "2026-03-02T09:00:00Z", "context": {"current_time": "2026-03-02T23:00:00Z"}}, False),
        ({"at": "2026-03-02T23:00:00Z", "learned": {"a": 0}}, False),
        ({}, False),
    ],
)
def test_a_test_gives_instant_zone_and_multipliers(given: dict[str, Any], fires: bool) -> None:
    expect = {"rules": ["a"] if fires else []}
    night = rule("a", conditions={"time_check": {"period": "night"}})
    tests = [{"name": "it", "given": given, "expect": expect}]
    assert [result.detail for result in run_tests(compile_mapper(mapper(night, tests=tests)))] == [""]
    assert DEFAULT_AT.hour == 12


@pytest.mark.parametrize(
    ("value", "text"), [(10**20, "1e+20"), (2**63, "9.22337e+18"), (2**63 + 1, None), (10**400, None)]
)
def test_a_whole_number_beyond_int64_is_told_as_the_double_that_it_is(value: int, text: str | None) -> None:
    """A database gives 1e20 back as a whole number."""
    assert text_of(value) == text
