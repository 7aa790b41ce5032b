"""The sentences of the mapper language, each with its cases (tests/rules/cases)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from personakit_sdk.rules import compile_condition, compile_mapper
from personakit_sdk.rules.operators import OPERATORS, instant
from tests.unit.rules.mapper_cases import MONDAY, decide, facts, listed, load, mapper, rule


def holds(condition: dict[str, Any], case: dict[str, Any]) -> bool:
    at: datetime = instant(case.get("at")) or MONDAY
    return compile_condition(condition)(facts(case.get("traits"), case.get("context"), at))


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=name) for name, case in listed("operators", "comparisons")]
)
def test_an_operator_means_the_same_for_traits_and_context(case: dict[str, Any]) -> None:
    comparison = {key: case[key] for key in ("operator", "value") if key in case}
    there = {"x": case["seen"]} if "seen" in case else {}
    of_trait = holds({"trait_check": {"path": "x", **comparison}}, {"traits": there})
    of_context = holds({"context_check": {"field": "x", **comparison}}, {"context": there})
    assert (of_trait, of_context) == (case["holds"], case["holds"])


def test_every_operator_has_cases() -> None:
    assert {case["operator"] for _, case in listed("operators", "comparisons")} == OPERATORS.keys()


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=name) for name, case in listed("conditions", "cases")]
)
def test_a_condition_holds_as_it_says(case: dict[str, Any]) -> None:
    assert holds(case["condition"], case) is case["holds"]


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in listed("time", "cases")])
def test_a_time_check_holds_as_it_says(case: dict[str, Any]) -> None:
    assert holds(case["condition"], case) is case["holds"]


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in listed("templates", "cases")])
def test_a_template_is_rendered_as_it_says(case: dict[str, Any]) -> None:
    suggestion = {
        "type": "note",
        "title": "title",
        "description": case["template"],
        "parameters": case["parameters"],
    }
    plan = compile_mapper(mapper(rule(actions=[{"generate_suggestion": suggestion}])))
    made = decide(plan, facts({"go": 1, **case.get("traits", {})}, case.get("context"))).suggestions
    assert [one.description for one in made] == ([] if case["text"] is None else [case["text"]])


@pytest.mark.parametrize("case", [pytest.param(case, id=case["sentence"]) for case in load("outcome")])
def test_rules_fire_in_the_order_that_it_says(case: dict[str, Any]) -> None:
    rules = []
    for fields in case["rules"]:
        says = {"type": "note", "title": "t", "description": "d", "priority": fields.pop("says", "medium")}
        rules.append(rule(fields["id"], **{**fields, "actions": [{"generate_suggestion": says}]}))
    decision = decide(compile_mapper(mapper(*rules)), facts({"go": 1}), learned=case.get("learned", {}))
    assert decision.fired == case["expect"]
    assert [made.rule_id for made in decision.suggestions] == case["expect"]
