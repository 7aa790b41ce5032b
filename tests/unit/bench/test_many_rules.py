"""What the rules are measured with: the same every time, and about one rule in twenty fires."""

from __future__ import annotations

from bench.many_rules import facts, instant, many_rules, nested, paths, people
from personakit_sdk.rules import compile_mapper
from tests.unit.rules import plain_interpreter
from tests.unit.rules.mapper_cases import decide


def test_about_one_rule_in_twenty_fires_and_the_interpreter_agrees() -> None:
    over = paths(200)
    plan = compile_mapper(many_rules(200, over))
    assert plan.prefilter is not None
    fired = 0
    for number, values in enumerate(people(20, over)):
        given = facts(values, instant(number))
        decision = decide(plan, given)
        assert decision.fired == plain_interpreter.fired(plan.document, given, {})
        fired += len(decision.fired)
    assert 0.03 < fired / 20 / 200 < 0.07


def test_mappers_and_people_are_the_same_every_time() -> None:
    over = paths(40)
    assert many_rules(5, over) == many_rules(5, over)
    assert people(3, over) == people(3, over)


def test_members_of_an_object_are_one_trait_and_one_object() -> None:
    values = {"work.spread_0.p50": 1, "work.spread_0.p90": 2, "work.trait_1": "a"}
    assert {path: trait.value for path, trait in facts(values, instant(0)).traits.items()} == {
        "work.spread_0": {"p50": 1, "p90": 2},
        "work.trait_1": "a",
    }
    assert nested(values) == {"work": {"spread_0": {"p50": 1, "p90": 2}, "trait_1": "a"}}
