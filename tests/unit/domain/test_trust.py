"""What feedback says of traits: believed more or less, within bounds, a step a day, never another value."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain.events import TraitTrustAdjusted
from personakit.domain.learning import Evidence, Tally
from personakit.domain.mindscape import EMPTY, Mindscape, Pin, evolve, material_paths
from personakit.domain.mindscape_history import reason, trait_changes
from personakit.domain.traits import Trait
from personakit.domain.trust import HIGHEST, LOWEST, adjust_trust, paths_of_rules
from personakit_sdk.rules.facts import ALWAYS, confidence, steady_until

PATH = "work.focus"
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
TODAY = AT.date()
UNIT = 1000 << 20


def trait(weight: float = 6.0, **more: Any) -> Trait:
    return Trait(value=90, weight=weight, last_observed_at=AT, source="computed:seen@1.0.0", **more)


def mindscape(**traits: Trait) -> Mindscape:
    return Mindscape(version=3, traits=traits or {PATH: trait()}, derivations={})


def votes(good: int, bad: int) -> Evidence:
    tally = Tally(good * UNIT, bad * UNIT)
    return Evidence(tally, tally, 1)


def days_of(start: Mindscape, evidence: Evidence, days: int) -> Mindscape:
    """After a pass a day."""
    for day in range(days):
        event = adjust_trust(start, {PATH: evidence}, TODAY + timedelta(days=day), 41)
        start = start if event is None else evolve(start, event)
    return start


def test_what_is_turned_down_makes_its_traits_believed_less_and_never_changes_a_value() -> None:
    event = adjust_trust(mindscape(), {PATH: votes(0, 20)}, TODAY, 41)
    assert event is not None
    after = evolve(mindscape(), event)
    shown, before = after.visible_traits()[PATH], trait()
    assert (shown.value, after.version, shown.trust) == (90, 4, 0.9)
    assert confidence(shown, AT) == round(0.9 * confidence(before, AT), 4) == 0.54
    assert not event.settled
    (change,) = trait_changes(mindscape(), event)
    assert (change.path, change.kind) == (PATH, "changed")
    assert reason(mindscape(), event, [change]) == (
        "Feedback on what rests on traits: work.focus is believed 0.9 times as far as its observations say, "
        "before 1 times (20 votes)."
    )


def test_a_confidence_that_leaves_its_band_is_material() -> None:
    below = mindscape(**{PATH: trait(weight=10.0)})  # believed by 0.71
    event = adjust_trust(below, {PATH: votes(0, 20)}, TODAY, 41)
    assert event is not None
    assert event.material == (PATH,)
    fast = mindscape(**{PATH: trait(weight=10.0, volatility="high")})
    event = adjust_trust(fast, {PATH: votes(0, 20)}, TODAY, 41)
    assert event is not None
    assert event.material == ()


def test_a_derivation_that_comes_later_keeps_the_trust() -> None:
    doubted = days_of(mindscape(), votes(0, 20), 3)
    newer = trait(weight=6.1)
    assert material_paths(doubted, {PATH: newer}, ()) == ()
    assert doubted.trusted(PATH, newer).trust == doubted.visible_traits()[PATH].trust


@pytest.mark.parametrize("evidence", [votes(0, 4), votes(3, 3), votes(0, 0)])
def test_too_few_votes_and_as_many_for_as_against_move_nothing(evidence: Evidence) -> None:
    assert adjust_trust(mindscape(), {PATH: evidence}, TODAY, 41) is None


def test_neither_a_pinned_trait_nor_one_that_is_not_there_is_touched() -> None:
    pinned = Mindscape(3, {PATH: trait()}, {}, {PATH: Pin(60, "low", "I know", "key: me")})
    assert adjust_trust(pinned, {PATH: votes(0, 20)}, TODAY, 41) is None
    assert adjust_trust(EMPTY, {PATH: votes(0, 20)}, TODAY, 41) is None


@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 40))
def test_trust_stays_in_its_bounds_and_comes_to_rest(good: int, bad: int, days: int) -> None:
    after = days_of(mindscape(), votes(good, bad), days)
    trust = after.trust.multipliers.get(PATH, 1.0)
    assert LOWEST <= trust <= HIGHEST
    at_rest = days_of(after, votes(good, bad), 40)
    assert adjust_trust(at_rest, {PATH: votes(good, bad)}, date(2027, 1, 1), 41) is None


def test_a_clock_that_is_behind_gives_no_day_a_second_step() -> None:
    """Of two processes one is a day behind, and votes swing between their passes."""
    passes = [(0, votes(0, 20)), (-1, votes(20, 0)), (0, votes(0, 20)), (-1, votes(0, 20)), (0, votes(0, 20))]
    seen = mindscape()
    for day, said in passes:
        event = adjust_trust(seen, {PATH: said}, TODAY + timedelta(days=day), 41)
        if event is not None:
            assert event.day == TODAY
            seen = evolve(seen, event)
        assert 0.9 <= seen.trust.multipliers[PATH] <= 1.1


@given(st.integers(0, 400), st.integers(0, 400), st.integers(2, 9))
def test_no_day_moves_trust_by_more_than_a_tenth(good: int, bad: int, passes: int) -> None:
    after = mindscape()
    for _ in range(passes):
        event = adjust_trust(after, {PATH: votes(good, bad)}, TODAY, 41)
        after = after if event is None else evolve(after, event)
    assert 0.9 <= after.trust.multipliers.get(PATH, 1.0) <= 1.1


@given(st.floats(0.1, 50), st.floats(0, 1), st.floats(LOWEST, HIGHEST), st.integers(1, 400))
def test_a_confidence_is_at_most_one_and_steady_for_as_long_as_is_said(
    weight: float, spread: float, trust: float, half_life: int
) -> None:
    held = trait(weight=weight, spread=spread, trust=trust, half_life_days=float(half_life))
    believed = confidence(held, AT)
    assert 0 <= believed <= 1
    until = steady_until(held, believed)
    if until < ALWAYS:
        assert confidence(held, until - timedelta(microseconds=1)) == believed


def test_the_traits_that_suggestions_of_a_rule_rest_on() -> None:
    document = {
        "trait_mappings": {"task": [PATH, "work.energy"], "break": ["health.rest"]},
        "rules": [
            {"id": "deep", "actions": [{"generate_suggestion": {"type": "task"}}]},
            {
                "id": "both",
                "actions": [
                    {"generate_suggestion": {"type": "break"}},
                    {"generate_suggestion": {"type": "task"}},
                ],
            },
            {"id": "none", "actions": [{"generate_suggestion": {"type": "other"}}]},
        ],
    }
    assert paths_of_rules(document) == {
        "deep": {PATH, "work.energy"},
        "both": {PATH, "work.energy", "health.rest"},
        "none": frozenset(),
    }


def test_the_event_is_the_whole_state() -> None:
    event = TraitTrustAdjusted(
        trust={PATH: 0.9}, day=TODAY, morning={}, settled=True, read_through=4, reason="said"
    )
    other = TraitTrustAdjusted(
        trust={}, day=TODAY, morning={PATH: 0.9}, settled=True, read_through=5, reason="taken back"
    )
    doubted = evolve(mindscape(), event)
    assert [change.path for change in trait_changes(doubted, other)] == [PATH]
    assert evolve(doubted, other).visible_traits()[PATH].trust == 1.0
