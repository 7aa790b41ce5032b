"""How long a decision holds: up to there, the clock changes nothing in it but the ids of the suggestions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit_sdk.rules import Decision, Facts, Plan, TraitFact, compile_mapper
from personakit_sdk.rules.evaluate import evaluate_until
from personakit_sdk.rules.facts import ALWAYS, confidence, steady_until
from tests.unit.rules.mapper_cases import mapper, rule
from tests.unit.rules.test_rule_laws import FACTS, mappers

AT = datetime(2026, 3, 2, 9, 40, 5, 250_000, tzinfo=UTC)
SHARES = st.sampled_from([0.0, 0.001, 0.5, 0.999, 1.0])
AGING = st.builds(
    TraitFact,
    value=st.just("high"),
    weight=st.floats(0, 1000),
    spread=st.floats(0, 1),
    last_observed_at=st.timedeltas(timedelta(-60), timedelta(30)).map(AT.__add__),
    half_life_days=st.floats(0.001, 36500),
)


def within(at: datetime, until: datetime, share: float) -> datetime:
    """An instant from `at` to before `until`."""
    span = min(until - at, timedelta(days=400))
    return at + min(span * share, span - timedelta(microseconds=1))


def decided(plan: Plan, facts: Facts) -> tuple[Decision, datetime]:
    return evaluate_until(plan, facts, persona_id="alice", mapper_version=3, limit=100)


def without_ids(decision: Decision) -> bytes:
    made = [msgspec.structs.replace(each, id="") for each in decision.suggestions]
    return msgspec.json.encode(msgspec.structs.replace(decision, suggestions=made))


def until_of(condition: dict[str, Any], **traits: TraitFact) -> datetime:
    facts = Facts(traits=traits, context={"due": "2026-03-02T10:00:00Z"}, at=AT)
    return decided(compile_mapper(mapper(rule(conditions=condition))), facts)[1]


@settings(max_examples=500, deadline=None)
@given(AGING, st.timedeltas(timedelta(-30), timedelta(300)).map(AT.__add__), SHARES)
def test_a_confidence_is_steady_as_long_as_it_says(trait: TraitFact, at: datetime, share: float) -> None:
    until = steady_until(trait, confidence(trait, at))
    if until > at:
        assert confidence(trait, within(at, until, share)) == confidence(trait, at)


def test_a_confidence_is_steady_about_as_long_as_it_could_be() -> None:
    trait = TraitFact(value=1, weight=12.0, last_observed_at=AT - timedelta(days=3), half_life_days=30.0)
    until = steady_until(trait, confidence(trait, AT))
    assert AT < until < AT + timedelta(minutes=10)
    assert confidence(trait, until + timedelta(seconds=1)) < confidence(trait, AT)
    assert steady_until(TraitFact(value=1), 1.0) == ALWAYS


@settings(max_examples=400, deadline=None)
@given(mappers(), FACTS, st.dictionaries(st.sampled_from(["a", "b"]), AGING, max_size=2), SHARES)
def test_a_decision_holds_as_long_as_it_says(
    document: dict[str, Any], facts: Facts, aging: dict[str, TraitFact], share: float
) -> None:
    plan = compile_mapper(document)
    facts = Facts(traits={**facts.traits, **aging}, context=facts.context, at=facts.at)
    first, until = decided(plan, facts)
    if until > facts.at:
        then = Facts(traits=facts.traits, context=facts.context, at=within(facts.at, until, share))
        assert without_ids(decided(plan, then)[0]) == without_ids(first)


def test_what_asks_no_clock_holds_for_ever() -> None:
    assert until_of({"trait_check": {"path": "go", "operator": "exists"}}, go=TraitFact(value=1)) == ALWAYS


def test_a_time_check_holds_until_the_hour_ends_or_while_it_shows_the_second() -> None:
    evening = {"time_check": {"period": "evening"}}
    assert until_of(evening) == AT.replace(hour=10, minute=0, second=0, microsecond=0)
    assert until_of({"not": evening}) == AT.replace(second=6, microsecond=0)


def test_a_time_check_holds_no_longer_than_the_clock_is_let_be() -> None:
    """Half an hour before the clocks of Lord Howe go back by half an hour."""
    facts = Facts(traits={}, context={}, at=datetime(2026, 4, 4, 14, 45, tzinfo=UTC))
    check = {"time_check": {"period": "evening", "timezone": "Australia/Lord_Howe"}}
    assert decided(compile_mapper(mapper(rule(conditions=check))), facts)[1] == facts.at


def test_a_comparison_with_now_holds_for_no_time() -> None:
    for check in ({"operator": "before", "value": "now"}, {"operator": "within_minutes", "value": 30}):
        assert until_of({"context_check": {"field": "due", **check}}) == AT
    later = {"operator": "after", "value": "2026-01-01T00:00:00Z"}
    assert until_of({"context_check": {"field": "due", **later}}) == ALWAYS


def test_a_comparison_with_now_of_what_is_missing_holds_for_ever() -> None:
    check = {"field": "nothing", "operator": "within_minutes", "value": 30}
    assert until_of({"context_check": check}) == ALWAYS
