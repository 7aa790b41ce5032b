"""Whole mappers against the plain interpreter: neither the prefilter nor anything else that is made ready
beforehand changes which rules fire, or their order."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import msgspec
import pytest

from personakit_sdk.rules import Facts, Plan, TraitFact, compile_mapper, plan
from personakit_sdk.rules.evaluate import evaluate_until
from tests.unit.rules import plain_interpreter, random_mappers
from tests.unit.rules.mapper_cases import decide, mapper, rule
from tests.unit.rules.random_mappers import AT, random_facts, random_mapper, value

SEEDS = range(16)
SIZES = (1, 2, 3, 5, 8, 13, 21, 34, 70)
PEOPLE = 145
"""16 seeds x 9 sizes of mappers x 145 people are 20,880 pairs of a document and facts, and 360,000
pairs of a rule and facts. They are spread over as many tests as there are seeds."""


def filtered(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, rules: int = 0) -> Plan:
    """The plan of a document that has a prefilter even if its rules are few."""
    monkeypatch.setattr(plan, "FILTERED_FROM", rules)
    made = compile_mapper(document)
    assert (made.prefilter is None) == (len(made.rules) < rules)
    return made


def test_the_pairs_are_at_least_twenty_thousand() -> None:
    assert len(SEEDS) * len(SIZES) * PEOPLE >= 20_000


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rules_that_fire_are_those_that_the_interpreter_names(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = Random(seed)
    pairs = 0
    for size in SIZES:
        made = filtered(random_mapper(chance, size), monkeypatch)
        for number in range(PEOPLE):
            facts = random_facts(chance)
            learned = {f"r{chance.randrange(size)}": chance.choice([0, 0.5, 2]) for _ in range(size // 4)}
            decision = decide(made, facts, learned=learned, limit=3, explain=number % 10 == 0)
            assert decision.fired == plain_interpreter.fired(made.document, facts, learned)
            if decision.explanation is not None:
                explained = {each.id for each in decision.explanation.rules if each.fired}
                assert explained == set(decision.fired)
            pairs += 1
    assert pairs == len(SIZES) * PEOPLE


@pytest.mark.parametrize("seed", range(4))
def test_a_rule_that_asks_much_of_one_path_is_decided_as_by_the_interpreter(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = Random(f"one path {seed}")
    monkeypatch.setattr(random_mappers, "PATHS", ["a"])
    for _ in range(150):
        checks = [random_mappers.condition(chance, [], 0) for _ in range(chance.randint(2, 3))]
        made = filtered(mapper(rule(conditions={"all": checks})), monkeypatch)
        for _ in range(10):
            facts = random_facts(chance)
            assert decide(made, facts).fired == plain_interpreter.fired(made.document, facts, {})


def test_a_text_that_is_equal_to_what_is_wanted_is_still_compared_as_a_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checks = [
        {"trait_check": {"path": "a", "operator": "in", "value": ["3", "7"]}},
        {"trait_check": {"path": "a", "operator": "greater", "value": 5}},
    ]
    made = filtered(mapper(rule(conditions={"all": checks})), monkeypatch)
    fired = {
        seen: decide(made, Facts(traits={"a": TraitFact(value=seen)}, context={}, at=AT)).fired
        for seen in ("3", "7", "8", 7)
    }
    assert fired == {"3": [], "7": ["only"], "8": [], 7: []}


@pytest.mark.parametrize("seed", range(4))
def test_a_prefilter_changes_nothing_of_a_decision_but_how_long_it_may_hold(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = Random(f"with and without {seed}")
    for size in SIZES:
        document = random_mapper(chance, size)
        with_filter, without = filtered(document, monkeypatch), filtered(document, monkeypatch, 1000)
        for _ in range(25):
            facts = random_facts(chance)
            assert decide(with_filter, facts, explain=True) == decide(without, facts, explain=True)


@pytest.mark.parametrize("seed", range(4))
def test_a_decision_that_was_filtered_holds_as_long_as_it_says(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = Random(f"how long {seed}")
    held = 0
    for size in SIZES:
        made = filtered(random_mapper(chance, size), monkeypatch)
        for _ in range(25):
            facts = random_facts(chance)
            first, until = evaluate_until(made, facts, persona_id="alice", mapper_version=3, limit=0)
            span = min(until - facts.at, timedelta(days=400))
            if span > timedelta(0):
                then = msgspec.structs.replace(facts, at=facts.at + span - timedelta(microseconds=1))
                assert decide(made, then, limit=0) == first
                held += 1
    assert held > 50


class Word(str):
    """A text that no JSON could have brought."""

    __slots__ = ()


@pytest.mark.parametrize("odd", [Word("a"), ("a", 1), {"a"}, b"a", Word("5")])
def test_values_that_are_no_json_are_decided_as_they_are_without_a_prefilter(
    odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = Random("no JSON")
    checks = [
        {"trait_check": {"path": "a", "operator": operator, "value": value(chance)}}
        for operator in ("equals", "not_equals", "greater", "less_or_equal", "contains", "not_contains")
        for _ in range(40)
    ]
    listed = [
        {"trait_check": {"path": "a", "operator": operator, "value": ["a", 5]}}
        for operator in ("in", "not_in", "contains_any", "contains_all", "between")
    ]
    document = mapper(*[rule(f"r{n}", conditions=each) for n, each in enumerate([*checks, *listed])])
    with_filter, without = filtered(document, monkeypatch), filtered(document, monkeypatch, 1000)
    for seen in (odd, [odd], {"a": odd}):
        facts = Facts(traits={"a": TraitFact(value=seen)}, context={}, at=AT)
        assert decide(with_filter, facts, limit=0) == decide(without, facts, limit=0)
