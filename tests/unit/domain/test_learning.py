"""The laws of what feedback teaches: any order of votes, no persona alone, small steps, bounds, and rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from personakit.domain.aggregates.decay import UNIT_BITS
from personakit.domain.learning import (
    LARGEST_STEP,
    SLOWER,
    VOTE,
    Belief,
    Evidence,
    Learned,
    Settings,
    Tally,
    Target,
    belief,
    day_weight,
    mean_of,
    move,
    multiplier,
    own_target,
    pooled,
    target,
    votes_of,
)
from personakit_sdk.rules import compile_mapper
from tests.mapper_documents import mapper

MONDAY = date(2026, 3, 2)
DEFAULTS = Settings()
weight = lru_cache(day_weight)
ONE_VOTE = VOTE << UNIT_BITS
Vote = tuple[int, int, int]
"""For and against, in thousandths, and its age in days."""

votes = st.tuples(st.integers(0, VOTE), st.integers(0, VOTE), st.integers(0, 400))
rates = st.floats(0, 1)
open_rates = st.floats(0.001, 0.999)
lows = st.floats(0.01, 1)
highs = st.floats(1, 10)
steps = st.floats(0, LARGEST_STEP)
tallies = st.builds(Tally, st.integers(0, 10**12), st.integers(0, 10**12))
evidences = st.builds(lambda recent, older: Evidence(recent, recent + older, 1), tallies, tallies)
all_settings = st.builds(
    Settings,
    evidence=st.integers(1, 50),
    half_life_days=st.integers(1, 365),
    up=steps,
    down=steps,
    low=lows,
    high=highs,
)


def tally(given_votes: Iterable[Vote], half_life_days: int) -> Tally:
    """Day by day, as a table of days keeps them."""
    days: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for good, bad, age in given_votes:
        days[age][0] += good
        days[age][1] += bad
    weighted = (
        Tally(good * weight(age, half_life_days), bad * weight(age, half_life_days))
        for age, (good, bad) in days.items()
    )
    return Tally.total(weighted)


def evidence(given_votes: Iterable[Vote], half_life_days: int = 7, personas: int = 1) -> Evidence:
    every = list(given_votes)
    return Evidence(tally(every, half_life_days), tally(every, SLOWER * half_life_days), personas)


def good(count: int, age: int = 0) -> list[Vote]:
    return [(VOTE, 0, age)] * count


def bad(count: int, age: int = 0) -> list[Vote]:
    return [(0, VOTE, age)] * count


def daily(votes_for: int, votes_against: int, days: int) -> Evidence:
    """So many votes on each of so many days, up to today."""
    return evidence((VOTE * votes_for, VOTE * votes_against, age) for age in range(days))


def asking(value: float) -> Target:
    """A target with evidence enough, and certain of its value."""
    return Target(value, value, value, True)


def between(ends: list[float], enough: bool) -> Target:
    """A target of the middle one of three."""
    low, value, high = sorted(ends)
    return Target(value, low, high, enough, 0.01, 10.0)


# --- votes


@pytest.mark.parametrize(
    ("said", "votes_for", "votes_against"),
    [
        ({"helpful": True}, 1000, 0),
        ({"helpful": False}, 0, 1000),
        ({"rating": 1}, 0, 1000),
        ({"rating": 2}, 250, 750),
        ({"rating": 3}, 500, 500),
        ({"rating": 4}, 750, 250),
        ({"rating": 5}, 1000, 0),
        ({"outcome": "accepted"}, 1000, 0),
        ({"outcome": "dismissed"}, 0, 1000),
        ({"outcome": "ignored", "rank": 1}, 0, 1000),
        ({"outcome": "ignored", "rank": 2}, 0, 333),
        ({"outcome": "ignored", "rank": 20}, 0, 25),
        ({"outcome": "ignored"}, 0, 0),
        ({"outcome": "ignored", "rank": 0}, 0, 0),
        ({"helpful": False, "rating": 5, "outcome": "accepted"}, 0, 1000),
        ({"rating": 2, "outcome": "accepted"}, 250, 750),
        ({}, 0, 0),
    ],
)
def test_what_is_said_counts_before_what_is_done(
    said: dict[str, Any], votes_for: int, votes_against: int
) -> None:
    nothing: dict[str, Any] = {"helpful": None, "rating": None, "outcome": None, "rank": None}
    assert votes_of(**{**nothing, **said}) == (votes_for, votes_against)


@given(st.integers(1, 30))
def test_who_passed_over_a_place_had_seen_it_with_the_chance_of_bayes(rank: int) -> None:
    """P(looked | not taken), where one looks with the chance 1/k and takes half of what one sees."""
    looked = 1 / rank
    passed_over = looked * 0.5 / (1 - looked * 0.5)
    _, against = votes_of(helpful=None, rating=None, outcome="ignored", rank=rank)
    assert against == pytest.approx(VOTE * passed_over, abs=1)


@given(st.integers(0, 5000), st.integers(1, 3650))
def test_a_days_weight_is_the_exact_power_to_two_units(age: int, half_life: int) -> None:
    with localcontext() as context:
        context.prec = 50
        exact = (Decimal(2) ** (Decimal(-age) / half_life)) * 2**UNIT_BITS
    assert abs(day_weight(age, half_life) - exact) <= 2


@given(st.integers(0, 60), st.integers(1, 3650))
def test_after_whole_half_lives_a_weight_is_halved_exactly(times: int, half_life: int) -> None:
    assert day_weight(times * half_life, half_life) == 2**UNIT_BITS >> times


@given(st.integers(-1000, 5000), st.integers(1, 3650))
def test_no_older_vote_weighs_more_and_a_vote_of_tomorrow_weighs_one(age: int, half_life: int) -> None:
    assert 0 <= day_weight(age + 1, half_life) <= day_weight(age, half_life) <= 2**UNIT_BITS
    assert age > 0 or day_weight(age, half_life) == 2**UNIT_BITS


@given(st.lists(votes), st.randoms(), st.integers(1, 30), st.integers(0, 400))
def test_votes_commute_however_they_are_split(
    given_votes: list[Vote], chance: Any, half_life: int, cut: int
) -> None:
    shuffled = list(given_votes)
    chance.shuffle(shuffled)
    whole = tally(given_votes, half_life)
    assert tally(shuffled, half_life) == whole
    assert tally(shuffled[:cut], half_life) + tally(shuffled[cut:], half_life) == whole
    assert Tally.total(tally([vote], half_life) for vote in shuffled) == whole


# --- several personas


@given(tallies, st.integers(1, 100))
def test_a_tally_is_cut_to_its_share_and_never_above(heard: Tally, most: int) -> None:
    cut = heard.at_most(most)
    assert cut.good + cut.bad <= most * ONE_VOTE
    if heard.good + heard.bad <= most * ONE_VOTE:
        assert cut == heard
    else:
        assert cut.good + cut.bad >= most * ONE_VOTE - 2
        assert cut.good == pytest.approx(heard.good * cut.votes / heard.votes, abs=2)


@given(st.lists(evidences, max_size=8), st.randoms(), all_settings)
def test_pooling_takes_personas_in_any_order(each: list[Evidence], chance: Any, setting: Settings) -> None:
    shuffled = list(each)
    chance.shuffle(shuffled)
    together = pooled(each, setting)
    assert pooled(shuffled, setting) == together
    assert together.history.votes <= setting.evidence * together.personas
    assert together.personas == sum(one.history.votes > 0 for one in each)


@given(st.lists(votes, max_size=300), all_settings, rates)
def test_one_persona_alone_never_moves_what_all_see(
    given_votes: list[Vote], setting: Settings, now: float
) -> None:
    alone = pooled([evidence(given_votes, setting.half_life_days)], setting)
    mean = mean_of(
        [alone, Evidence(Tally(ONE_VOTE * 90, ONE_VOTE * 10), Tally(ONE_VOTE * 90, ONE_VOTE * 10))]
    )
    aim = target(belief(alone, mean), mean, setting)
    assert not aim.enough
    moved = move(Learned({"rule": 1 + now}), {"rule": aim}, MONDAY, setting)
    assert moved.learned.multipliers == {"rule": 1 + now}


def test_two_personas_of_one_opinion_move_what_all_see() -> None:
    """Three votes each: six, which is more than five, of two."""
    heard = [
        pooled([evidence(bad(3)), evidence(bad(3))], DEFAULTS),
        pooled([evidence(good(3))] * 4, DEFAULTS),
    ]
    mean = mean_of(heard)
    aim = target(belief(heard[0], mean), mean, DEFAULTS)
    assert heard[0].personas == 2
    assert aim.asks(1.0)
    assert move(Learned(), {"rule": aim}, MONDAY, DEFAULTS).learned.multipliers == {"rule": 0.9}


@given(st.lists(st.lists(votes, max_size=5), max_size=5))
def test_personas_below_the_cap_are_heard_in_full(each: list[list[Vote]]) -> None:
    """At most five votes each, in part for and in part against, none of both in full."""
    halved = [
        [(votes_for // 2, votes_against // 2, age) for votes_for, votes_against, age in one] for one in each
    ]
    together = pooled([evidence(one) for one in halved], DEFAULTS)
    everything = evidence([vote for one in halved for vote in one])
    assert (together.recent, together.history) == (everything.recent, everything.history)


# --- beliefs and targets


@given(st.lists(evidences, max_size=8))
def test_a_mean_is_never_0_or_1(each: list[Evidence]) -> None:
    assert 0 < mean_of(each) < 1
    assert mean_of([]) == 0.5


@given(evidences, rates)
def test_a_belief_is_a_rate_within_its_interval(heard: Evidence, mean: float) -> None:
    found = belief(heard, mean)
    assert 0 <= found.low <= found.rate <= found.high <= 1


@given(rates)
def test_without_votes_the_mean_is_believed(mean: float) -> None:
    assert belief(Evidence(), mean).rate == pytest.approx(mean)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 100), open_rates)
def test_a_good_vote_more_raises_a_belief_and_a_bad_one_lowers_it(
    votes_for: int, votes_against: int, age: int, mean: float
) -> None:
    before = [*good(votes_for, age), *bad(votes_against, age)]
    said = belief(evidence(before), mean).rate
    assert belief(evidence([*before, *good(1)]), mean).rate > said
    assert belief(evidence([*before, *bad(1)]), mean).rate < said


@given(rates, rates, rates, lows, highs)
def test_a_multiplier_rises_with_the_rate_within_its_bounds(
    rate: float, other: float, mean: float, low: float, high: float
) -> None:
    smaller, larger = sorted((rate, other))
    first, second = (multiplier(each, mean, low, high) for each in (smaller, larger))
    assert low <= first <= second <= high
    assert first > 0


@given(rates, lows, highs)
def test_a_multiplier_is_1_at_the_mean_and_the_bounds_at_the_ends(
    mean: float, low: float, high: float
) -> None:
    assert multiplier(mean, mean, low, high) == 1
    if mean > 0:
        assert multiplier(0.0, mean, low, high) == pytest.approx(low)
    if mean < 1:
        assert multiplier(1.0, mean, low, high) == pytest.approx(high)


@given(
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.floats(0.01, 0.99),
    st.floats(0.01, 0.9),
    st.floats(1.1, 10),
)
def test_two_rates_have_two_multipliers(rate: int, other: int, mean: float, low: float, high: float) -> None:
    assume(rate < other)
    assert multiplier(rate / 1000, mean, low, high) < multiplier(other / 1000, mean, low, high)


# --- one persona's own


@given(evidences, evidences, open_rates, all_settings)
def test_an_own_multiplier_takes_the_shared_one_to_within_the_bounds(
    own: Evidence, shared: Evidence, mean: float, setting: Settings
) -> None:
    everyone = belief(shared, mean)
    aim = own_target(own, everyone, mean, setting)
    common = target(everyone, mean, setting)
    theirs = common.value if common.enough else 1.0
    for each in (aim.low, aim.value, aim.high):
        assert setting.low * 0.999999 <= each * theirs <= setting.high * 1.000001
    assert aim.low <= aim.value <= aim.high


def test_who_is_alone_is_heard_as_if_nothing_were_shared() -> None:
    """Own votes are part of what all said. Until others say something too, what all see does not move; an own
    multiplier that was measured from where it would move to would fall short of what the person said."""
    own = evidence(bad(10))
    alone = belief(pooled([own], DEFAULTS), 0.5)
    aim = own_target(own, alone, 0.5, DEFAULTS)
    assert aim.value == target(belief(own, 0.5), 0.5, DEFAULTS).value
    assert aim.asks(1.0)


def test_who_says_what_all_say_needs_little_of_their_own() -> None:
    own = evidence(bad(6))
    shared = belief(pooled([own] * 20, DEFAULTS), 0.5)
    assert target(shared, 0.5, DEFAULTS).value < 0.6
    assert own_target(own, shared, 0.5, DEFAULTS).value == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("count", "enough"), [(4, False), (5, True)])
def test_four_own_votes_are_not_enough_and_five_are(count: int, *, enough: bool) -> None:
    assert own_target(evidence(bad(count)), Belief(0.5, 0.4, 0.6, 0), 0.5, DEFAULTS).enough is enough


def test_five_own_votes_of_one_day_lead_all_the_way_over_the_days_after() -> None:
    learned, days = Learned(), 0
    for days in range(30):
        own = evidence(bad(5, days))
        aim = own_target(own, Belief(0.5, 0.4, 0.6, 0), 0.5, DEFAULTS)
        moved = move(learned, {"rule": aim}, MONDAY + timedelta(days), DEFAULTS)
        learned = moved.learned
        if moved.settled:
            break
    assert days > 1
    assert aim.enough
    assert not aim.asks(learned.multipliers["rule"])


# --- steps

targets = st.dictionaries(
    st.sampled_from("abc"),
    st.builds(between, st.lists(st.floats(0.01, 10), min_size=3, max_size=3), st.booleans()),
)
stood = st.dictionaries(st.sampled_from("abc"), st.integers(100, 100_000).map(lambda units: units / 10_000))


def _moves(before: Mapping[str, float], after: Mapping[str, float]) -> Iterable[tuple[float, float]]:
    return ((before.get(rule, 1.0), after.get(rule, 1.0)) for rule in "abc")


@given(stood, st.lists(targets, min_size=1, max_size=10), all_settings)
def test_however_many_passes_a_day_has_it_leads_no_further_than_a_step(
    multipliers: dict[str, float], passes: list[dict[str, Target]], setting: Settings
) -> None:
    learned = Learned(multipliers, MONDAY - timedelta(1), {"a": 9.0})
    for aims in passes:
        learned = move(learned, aims, MONDAY, setting).learned
    for morning, now in _moves(multipliers, learned.multipliers):
        began = Decimal(repr(morning))
        assert began * (1 - Decimal(repr(setting.down))) <= Decimal(repr(now))
        assert Decimal(repr(now)) <= began * (1 + Decimal(repr(setting.up)))
        assert abs(Decimal(repr(now)) - began) <= began / 10


@given(stood, targets, all_settings)
def test_a_second_pass_on_the_same_evidence_moves_nothing(
    multipliers: dict[str, float], aims: dict[str, Target], setting: Settings
) -> None:
    once = move(Learned(multipliers), aims, MONDAY, setting)
    again = move(once.learned, aims, MONDAY, setting)
    assert again == once
    assert again.learned is once.learned


@given(stood, targets, all_settings)
def test_what_is_settled_moves_on_no_later_day(
    multipliers: dict[str, float], aims: dict[str, Target], setting: Settings
) -> None:
    moved = move(Learned(multipliers), aims, MONDAY, setting)
    tomorrow = move(moved.learned, aims, MONDAY + timedelta(1), setting)
    assert (tomorrow.learned is moved.learned) is moved.settled


@given(stood, targets, all_settings)
def test_steps_lead_to_rest_in_bounded_time(
    multipliers: dict[str, float], aims: dict[str, Target], setting: Settings
) -> None:
    """A step of default size goes from one end of all bounds to the other in 73 days."""
    wide = Settings(evidence=setting.evidence, low=0.01, high=10.0)
    learned = Learned(multipliers)
    for day in range(80):
        moved = move(learned, aims, MONDAY + timedelta(day), wide)
        learned = moved.learned
    assert moved.settled
    for rule, aim in aims.items():
        now = learned.multipliers.get(rule, 1.0)
        assert not aim.enough or aim.low - 1e-4 <= now <= aim.high + 1e-4


@given(stood, targets, st.sets(st.sampled_from("abc")), all_settings)
def test_frozen_rules_and_those_without_evidence_stay(
    multipliers: dict[str, float], aims: dict[str, Target], frozen: set[str], setting: Settings
) -> None:
    after = move(Learned(multipliers), aims, MONDAY, setting, frozen).learned.multipliers
    for rule in "abc":
        if rule in frozen or rule not in aims or not aims[rule].enough:
            assert after.get(rule) == multipliers.get(rule)


@given(st.integers(100, 100_000), evidences, open_rates, all_settings)
def test_what_stood_outside_of_new_bounds_begins_at_the_bound(
    units: int, heard: Evidence, mean: float, setting: Settings
) -> None:
    """Somebody narrowed the bounds: readers have been given the bound since, so there a step begins."""
    before = units / 10_000
    aim = target(belief(heard, mean), mean, setting)
    after = move(Learned({"rule": before}), {"rule": aim}, MONDAY, setting).learned.multipliers["rule"]
    if after != before:
        began = min(max(before, setting.low), setting.high)
        assert setting.low <= after <= setting.high
        assert abs(after - began) <= began / 10 + 1e-12
        assert after > 0


def test_a_step_begins_at_the_bound_that_somebody_set_meanwhile() -> None:
    narrow = Settings(high=1.2)
    aim = Target(0.6, 0.6, 0.6, True, narrow.low, narrow.high)
    assert move(Learned({"rule": 2.0}), {"rule": aim}, MONDAY, narrow).learned.multipliers == {"rule": 1.08}


def test_what_is_believable_at_its_bound_rests_though_more_stood_before() -> None:
    narrow = Settings(high=1.2)
    aim = Target(1.1, 1.0, 1.2, True, narrow.low, narrow.high)
    stood_before = Learned({"rule": 2.0})
    assert move(stood_before, {"rule": aim}, MONDAY, narrow).learned is stood_before


def test_rounding_leads_out_of_no_bound() -> None:
    third = Settings(low=0.33334, high=1.00006)
    down, up = (Target(bound, bound, bound, True, third.low, third.high) for bound in (third.low, third.high))
    before = Learned({"down": 0.34})
    after = move(before, {"down": down, "up": up}, MONDAY, third).learned.multipliers
    assert after == {"down": 0.33334, "up": 1.00006}


@pytest.mark.parametrize("aim", [0.1, 0.5])
def test_rounding_makes_no_step_where_a_document_forbids_all(aim: float) -> None:
    before = Learned({"rule": 0.33334})
    assert move(before, {"rule": asking(aim)}, MONDAY, Settings(up=0.0, down=0.0)).learned is before


def test_a_clock_that_was_set_back_begins_no_new_day() -> None:
    down = {"rule": asking(0.5)}
    first = move(Learned(), down, MONDAY, DEFAULTS).learned
    assert first == Learned({"rule": 0.9}, MONDAY, {})
    assert move(first, down, MONDAY - timedelta(1), DEFAULTS).learned is first
    assert move(first, down, MONDAY + timedelta(1), DEFAULTS).learned.multipliers == {"rule": 0.81}


def test_a_step_that_a_document_forbids_is_no_move_and_waits_for_nothing() -> None:
    still = Settings(up=0.0)
    moved = move(Learned(), {"rule": asking(2.0)}, MONDAY, still)
    assert moved.learned == Learned()
    assert moved.settled


def test_steps_of_a_tenth_are_exact() -> None:
    learned, seen = Learned(), list[float]()
    for day in range(4):
        learned = move(learned, {"rule": asking(0.5)}, MONDAY + timedelta(day), DEFAULTS).learned
        seen.append(learned.multipliers["rule"])
    assert seen == [0.9, 0.81, 0.729, 0.6561]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
def test_constant_votes_bring_a_multiplier_to_rest_near_its_target(
    votes_for: int, votes_against: int, others_for: int, others_against: int
) -> None:
    """So many votes every day of a rule, and of all others."""
    assume(votes_for + votes_against and others_for + others_against)
    learned = Learned()
    for day in range(60):
        rule, others = daily(votes_for, votes_against, day + 1), daily(others_for, others_against, day + 1)
        mean = mean_of([rule, others])
        aim = target(belief(rule, mean), mean, DEFAULTS)
        learned = move(learned, {"rule": aim}, MONDAY + timedelta(day), DEFAULTS).learned
    now = learned.multipliers.get("rule", 1.0)
    assert aim.enough
    assert aim.low - 1e-4 <= now <= aim.high + 1e-4


# --- settings


def test_settings_are_those_of_the_document_with_steps_of_a_tenth_at_most() -> None:
    wanted = {
        "negative_threshold": 3,
        "negative_window_days": 14,
        "positive_adjustment": 0.05,
        "negative_adjustment": -0.2,
        "min_weight": 0.0,
        "max_weight": 0.8,
    }
    plan = compile_mapper(mapper() | {"feedback_settings": wanted})
    assert Settings.of(plan.document) == Settings(
        evidence=3, half_life_days=14, up=0.05, down=0.1, low=0.01, high=1.0
    )
    assert Settings.of(compile_mapper(mapper()).document) == DEFAULTS
