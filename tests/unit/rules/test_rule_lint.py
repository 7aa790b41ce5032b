"""Warnings about a mapper that runs and may not be what its author meant."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from personakit_sdk.rules import compile_mapper, lint
from personakit_sdk.rules.contradiction import contradiction
from tests.unit.rules import plain_interpreter
from tests.unit.rules.mapper_cases import SHIPPED, mapper, rule, shipped
from tests.unit.rules.random_mappers import condition, random_facts

Path = Any


def trait_check(path: str, operator: str, value: Any = None, **more: Any) -> dict[str, Any]:
    operand = {} if operator in ("exists", "not_exists") else {"value": value}
    return {"trait_check": {"path": path, "operator": operator, **operand, **more}}


def test_lint_warns_and_never_refuses() -> None:
    document = mapper(
        rule("a"),
        rule("b", actions=rule("a")["actions"]),
        rule("never", conditions=trait_check("x", "between", [5, 1])),
        rule("hours", conditions={"time_check": {"hour_range": [9, 9]}}),
        rule("order", conditions=trait_check("x", "less", True)),
        rule("none", conditions=trait_check("x", "in", [])),
        rule("light", weight=0),
        conditions={"lonely": {"time_check": {"period": "night"}}},
        templates={"spare": {"title": "t", "description": "d"}},
    )
    warned = [(fault.pointer, fault.message) for fault in lint(compile_mapper(document), {"go"})]
    assert warned == [
        ("/templates/spare", "no rule uses the template 'spare'"),
        ("/conditions/lonely", "nothing refers to the condition 'lonely'"),
        ("/rules/1", "the rule 'b' does what 'a' does"),
        ("/rules/6/weight", "the rule 'light' never fires, for its weight is 0"),
        ("/rules/2/conditions", "a condition in it can never hold: nothing lies between 5 and 1"),
        ("/rules/3/conditions", "a condition in it can never hold: the hours from 9 to 9 are none"),
        (
            "/rules/4/conditions",
            "a condition in it can never hold: nothing is less than True; give a number or a text",
        ),
        ("/rules/5/conditions", "a condition in it can never hold: the list of 'in' is empty"),
        ("", "no computed trait or mindscape has the trait 'x'"),
    ]


X: list[list[tuple[str, Any]]] = [
    [("equals", "a"), ("equals", "b")],
    [("equals", "a"), ("in", ["b", "c"])],
    [("equals", "a"), ("not_equals", "a")],
    [("equals", 1), ("equals", "1")],
    [("equals", True), ("equals", 1)],
    [("greater", 5), ("less", 3)],
    [("greater", 5), ("less", 5)],
    [("greater_or_equal", 5), ("less", 5.0)],
    [("between", [1, 2]), ("greater", 2)],
    [("between", [1, 2]), ("equals", 3)],
    [("greater", 5), ("equals", "high")],
    [("greater", 7), ("equals", "5")],
    [("exists", None), ("not_exists", None)],
    [("equals", "a"), ("not_exists", None)],
    [("contains", 1), ("greater", 5)],
    [("starts_with", "a"), ("equals", "b")],
    [("contains_any", ["a"]), ("equals", "a")],
]
FINE: list[list[tuple[str, Any]]] = [
    [("equals", "a"), ("in", ["b", "a"])],
    [("greater_or_equal", 5), ("less_or_equal", 5.0)],
    [("greater", 5), ("less", 6)],
    [("not_equals", "a"), ("not_equals", "b")],
    [("contains", "a"), ("contains", "b")],
    [("contains", "a"), ("not_contains", "b")],
    [("greater", 5), ("contains", "7")],
    [("greater", 5), ("equals", "7")],
    [("greater", 5), ("less", "a")],
    [("exists", None), ("equals", None)],
    [("equals", "a"), ("equals", {"from_trait": "b"})],
]


def warned(*checks: dict[str, Any], **sections: Any) -> list[str]:
    found = lint(compile_mapper(mapper(rule(conditions={"all": list(checks)}), **sections)))
    return [fault.message for fault in found if "never hold" in fault.message]


@pytest.mark.parametrize("asked", X, ids=str)
def test_what_no_value_of_a_path_can_meet_is_found(asked: list[tuple[str, Any]]) -> None:
    never = "a condition in it can never hold: no value of the trait 'x' meets all that is asked of it"
    assert warned(*[trait_check("x", *each) for each in asked]) == [never]
    nested = {"all": [trait_check("x", *asked[0]), {"all": [trait_check("x", *asked[1])]}]}
    assert warned({"any": [nested, trait_check("y", "exists")]}) == [never]
    named = {"far": trait_check("x", *asked[0])}
    assert warned({"condition": "far"}, trait_check("x", *asked[1]), conditions=named) == [never]


@pytest.mark.parametrize("asked", FINE, ids=str)
def test_what_some_value_of_a_path_can_meet_is_no_contradiction(asked: list[tuple[str, Any]]) -> None:
    assert warned(*[trait_check("x", *each) for each in asked]) == []


def test_what_the_clock_never_shows_is_found() -> None:
    morning, late = {"time_check": {"period": "morning"}}, {"time_check": {"hour_range": [13, 15]}}
    never = "a condition in it can never hold: no hour of any day meets all that is asked of the clock"
    assert warned(morning, late) == [never]
    assert warned({"time_check": {"period": "morning", "hour_range": [13, 15]}}) == [never]
    assert warned(morning, {"time_check": {"hour_range": [13, 15], "timezone": "Asia/Tokyo"}}) == []
    assert warned(morning, {"not": late}) == []


@pytest.mark.parametrize("seed", range(4))
def test_a_contradiction_is_never_a_false_alarm(seed: int) -> None:
    """Conditions by chance that are said never to hold are held against people by chance."""
    chance = Random(f"lint {seed}")
    people = [random_facts(chance) for _ in range(60)]
    found = 0
    for _ in range(400):
        each = {"all": [condition(chance, [], 1) for _ in range(3)]}
        normal = compile_mapper(mapper(rule(conditions=each))).document["rules"][0]["conditions"]
        if all(contradiction({"all": [one]}, {}) == "" for one in normal["all"]) and contradiction(
            normal, {}
        ):
            found += 1
            assert not any(plain_interpreter.holds(normal, facts) for facts in people), normal
    assert found > 10


def test_a_rule_that_adds_nothing_to_another_is_shadowed() -> None:
    says = rule("wide")["actions"]
    a, b = trait_check("a", "exists"), trait_check("b", "exists")
    document = mapper(
        rule("narrow", conditions={"all": [a, {"all": [b]}]}, actions=says, weight=0.5),
        rule("wide", conditions=a, actions=says),
        rule("first", conditions={"all": [a, b]}, actions=says, priority=1),
        rule("heavy", conditions={"all": [b, a]}, actions=says, weight=2),
        rule("other words", conditions={"all": [a, b]}) | {"id": "other_words"},
        rule("off", conditions={"all": [a, b, a]}, actions=says, enabled=False),
        rule("any", conditions={"any": [a, b]}, actions=says),
    )
    (found,) = lint(compile_mapper(document))
    assert found.pointer == "/rules/0"
    assert found.message == (
        "the rule 'narrow' adds nothing: 'wide' makes the same suggestions, asks for less and stands no lower"
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_mappers_give_no_warning(path: Path) -> None:
    assert lint(shipped(path)) == []


@pytest.mark.parametrize(
    ("priorities", "explored"), [((0, 1), False), ((0, 0), True), ((0, 1, 1), True), ((3,), False)]
)
def test_an_exploration_among_rules_of_no_common_priority_is_warned_of(
    priorities: tuple[int, ...], explored: bool
) -> None:
    rules = [rule(f"r{n}", priority=priority) for n, priority in enumerate(priorities)]
    rules.append(rule("off", enabled=False))
    found = lint(compile_mapper(mapper(*rules, feedback_settings={"exploration": 0.1})))
    said = [fault.message for fault in found if fault.pointer == "/feedback_settings/exploration"]
    assert said == ([] if explored else ["nothing is explored, for no two rules have one priority"])
