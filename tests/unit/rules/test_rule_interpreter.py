"""The compiled checks against the plain interpreter: what is made ready beforehand changes no answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit_sdk.rules import Facts, TraitFact, compile_condition, compile_mapper
from personakit_sdk.rules.operators import OPERATORS
from tests.unit.rules import plain_interpreter
from tests.unit.rules.mapper_cases import decide, mapper, rule
from tests.unit.rules.test_rule_laws import CONDITIONS, FACTS, INSTANTS, SOURCES, VALUES

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
TEXTS = ["", "1", "1.0", "+2", "-3", "1e1", "9007199254740993", "1e999", "a", "b", "ab", "é", "now"]
TIMES = ["2026-03-02T09:00:00Z", "2026-03-02T10:00:00+01:00", "2026-03-02T09:30:00Z", "2026-03-02T09:00:00"]
NUMBERS = [0, 1, 2, -3, 10, 9007199254740993, 2.0**53, 1.0, 1.5, -0.0, 0.1]
PLAIN = st.sampled_from([*TEXTS, *TIMES, *NUMBERS, True, False, None])
FEW = PLAIN | st.lists(PLAIN, max_size=3) | st.dictionaries(st.sampled_from("ab"), PLAIN, max_size=2)
ODD = st.sampled_from([float("nan"), float("inf"), float("-inf"), 10**400])
SEEN = FEW | ODD | VALUES
"""Few enough that what is seen is often what is wanted, and some that a document could not hold."""
WANTED = {
    "any": FEW,
    "pair": st.lists(FEW, min_size=2, max_size=2) | st.lists(PLAIN, min_size=2, max_size=2),
    "list": st.lists(FEW, max_size=3) | st.lists(st.sampled_from(TEXTS), max_size=4),
    "text": st.sampled_from(TEXTS),
    "instant": st.sampled_from(["now", *TIMES[:3]]),
    "minutes": st.sampled_from([0, 29.5, 30, 31]),
}
TRUST = st.builds(
    TraitFact,
    value=SEEN,
    weight=st.none() | st.sampled_from([0.0, 1.0, 4.0, 100.0]),
    spread=st.sampled_from([0.0, 0.5, 1.0]),
    last_observed_at=st.none() | st.just(AT - timedelta(days=3)),
    half_life_days=st.none() | st.just(3.0),
)


@st.composite
def comparisons(draw: st.DrawFn) -> dict[str, Any]:
    """A comparison with a constant, or with what stands at the path `other`."""
    name = draw(st.sampled_from(sorted(OPERATORS)))
    kind = OPERATORS[name].operand
    if kind == "none":
        return {"operator": name}
    value = draw(WANTED[kind] | st.sampled_from([{"from_trait": "other"}, {"from_context": "other"}]))
    return {"operator": name, "value": value}


def fires(condition: dict[str, Any], facts: Facts) -> tuple[bool, bool]:
    """What the engine decides, and what the interpreter does, of the condition in its normal form."""
    plan = compile_mapper(mapper(rule(conditions=condition)))
    normal = plan.document["rules"][0]["conditions"]
    return decide(plan, facts).fired == ["only"], plain_interpreter.holds(normal, facts)


EVERY = [*TEXTS, *TIMES, *NUMBERS, True, False, None, [], [1, "a"], [True, 1.0], ["a", "b"], {}, {"a": 1}]
CONSTANTS: dict[str, list[Any]] = {
    "any": EVERY,
    "pair": [[low, high] for low in EVERY[::2] for high in EVERY[::3]],
    "list": [[], ["a"], ["a", "1", ""], [1, "a"], [True], [None, 2.0], [["a", "b"], {"a": 1}]],
    "text": TEXTS,
    "instant": ["now", *TIMES[:3]],
    "minutes": [0, 29.5, 30, 31],
}


@pytest.mark.parametrize("name", [name for name, each in OPERATORS.items() if each.operand != "none"])
def test_each_operator_decides_each_pair_as_it_is_said(name: str) -> None:
    """All pairs of a few dozen values that differ in type, spelling and size."""
    for wanted in CONSTANTS[OPERATORS[name].operand]:
        check = {"context_check": {"field": "x", "operator": name, "value": wanted}}
        engine = compile_condition(check)
        for seen in [*EVERY, float("nan"), float("inf"), float("-inf"), 10**400]:
            facts = Facts(traits={}, context={"x": seen}, at=AT)
            assert engine(facts) == plain_interpreter.holds(check, facts), (check, seen)


@settings(max_examples=700, deadline=None)
@given(
    comparisons(),
    st.none() | st.sampled_from([0.2, 0.5, 1.0]),
    st.dictionaries(st.sampled_from(["x", "other"]), TRUST, max_size=2),
    st.dictionaries(st.sampled_from(["x", "other"]), SEEN, max_size=2),
)
def test_a_comparison_is_decided_as_it_is_said(
    comparison: dict[str, Any], low: float | None, traits: dict[str, TraitFact], context: dict[str, Any]
) -> None:
    facts = Facts(traits=traits, context=context, at=AT)
    believed = {} if low is None else {"min_confidence": low}
    for check in (
        {"trait_check": {"path": "x", **comparison, **believed}},
        {"trait_check": {"path": "x.a", **comparison, **believed}},
        {"context_check": {"field": "x", **comparison}},
    ):
        engine, interpreter = fires(check, facts)
        assert engine == interpreter, check


@settings(max_examples=300, deadline=None)
@given(CONDITIONS, FACTS)
def test_a_condition_is_decided_as_it_is_said(condition: dict[str, Any], facts: Facts) -> None:
    engine, interpreter = fires(condition, facts)
    assert engine == interpreter


@settings(max_examples=150, deadline=None)
@given(st.lists(CONDITIONS, min_size=3, max_size=5), FACTS)
def test_groups_of_any_size_are_decided_as_it_is_said(group: list[dict[str, Any]], facts: Facts) -> None:
    for condition in ({"all": group}, {"any": group}):
        engine, interpreter = fires(condition, facts)
        assert engine == interpreter


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(TEXTS), SOURCES, VALUES, INSTANTS)
def test_what_is_compared_with_may_be_anything_at_a_path(
    seen: str, source: dict[str, str], value: Any, at: datetime
) -> None:
    facts = Facts(traits={"a": TraitFact(value=value)}, context={"x": seen, "a": value}, at=at)
    for name in sorted(OPERATORS):
        if OPERATORS[name].operand != "none":
            engine, interpreter = fires(
                {"context_check": {"field": "x", "operator": name, "value": source}}, facts
            )
            assert engine == interpreter, name
