"""Exploration: who changes places, by which chances, and that the chances told are those drawn by."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit.domain.exploration import (
    CELLS,
    MOST,
    MOST_VOTES,
    Believed,
    chance,
    draw,
    explore,
    histogram,
    place_chances,
)
from personakit_sdk.rules import compile_mapper
from personakit_sdk.rules.plan import Candidate, standing
from tests.unit.rules.mapper_cases import mapper, rule

BELIEFS = st.builds(Believed, st.floats(0, 1), st.floats(0, 10_000))
BANDS = st.lists(st.tuples(BELIEFS, st.integers(1, 3)), min_size=1, max_size=MOST).map(tuple)
PARTS = st.floats(0, 1, exclude_max=True)


def candidates(**rules: tuple[float, int] | tuple[float, int, int]) -> list[Candidate]:
    """Of each rule as many as said, by weight, priority and number; the best first."""
    documents = []
    for name, (weight, priority, *more) in rules.items():
        actions = [
            {"generate_suggestion": {"type": "note", "title": f"{name} {n}", "description": "do it"}}
            for n in range(more[0] if more else 1)
        ]
        documents.append(rule(name, weight=weight, priority=priority, actions=actions))
    plan = compile_mapper(mapper(*documents))
    return sorted((one for of_rule in plan.candidates for one in of_rule), key=standing)


def names(order: list[Candidate]) -> list[str]:
    return [one.rule.id for one in order]


def seeds(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


RANKED = candidates(top=(1, 5), best=(2, 0), near=(1.9, 0), next=(1.8, 0), far=(1.0, 0), last=(9, -1))


def test_only_what_scores_about_the_same_changes_places() -> None:
    seen = {tuple(names(explore(RANKED, 0.1, {}, seed).order)) for seed in seeds(200)}
    assert len(seen) == 6
    assert {order[0] for order in seen} == {"top"}
    assert {order[4:] for order in seen} == {("far", "last")}


def test_a_wider_band_takes_more_in_and_never_another_priority() -> None:
    seen = {tuple(names(explore(RANKED, 1, {}, seed).order)) for seed in seeds(500)}
    assert len(seen) == 24
    assert {(order[0], order[-1]) for order in seen} == {("top", "last")}


def test_the_same_question_gives_the_same_answer_and_another_another() -> None:
    assert explore(RANKED, 0.1, {}, b"a") == explore(RANKED, 0.1, {}, b"a")
    assert len({tuple(names(explore(RANKED, 0.1, {}, seed).order)) for seed in seeds(20)}) > 2


def test_what_does_not_change_places_has_the_whole_chance() -> None:
    places = explore(RANKED, 0.1, {}, b"a").places
    assert [place.propensity for place in (places[0], *places[4:])] == [1.0, 1.0, 1.0]
    assert [place.among for place in (places[0], *places[4:])] == [("top",), ("far",), ("last",)]
    assert {place.among for place in places[1:4]} == {("best", "near", "next")}
    assert [place.propensity for place in places[1:4]] == pytest.approx([1 / 3] * 3)


def test_nothing_is_drawn_where_nothing_fired_or_one_thing_did() -> None:
    assert explore([], 1, {}, b"a") == ([], [])
    alone = explore(candidates(only=(1, 0, 2)), 1, {}, b"a")
    assert [place.propensity for place in alone.places] == [1.0, 1.0]


def test_more_rules_than_can_be_reckoned_with_stay_behind() -> None:
    many = candidates(**{f"r{n}": (1, 0) for n in range(MOST + 2)})
    for seed in seeds(30):
        explored = explore(many, 0.1, {}, seed)
        assert names(explored.order)[MOST:] == names(many)[MOST:]
        assert [len(place.among) for place in explored.places] == [MOST] * MOST + [1, 1]


def test_the_suggestions_of_a_rule_stay_together_and_in_their_order() -> None:
    ranked = candidates(one=(1, 0, 2), two=(1, 0, 3))
    for seed in seeds(20):
        order = explore(ranked, 0.5, {}, seed).order
        assert names(order) in (["one"] * 2 + ["two"] * 3, ["two"] * 3 + ["one"] * 2)
        for name in ("one", "two"):
            assert [one for one in order if one.rule.id == name] == [
                one for one in ranked if one.rule.id == name
            ]


def test_what_is_believed_to_be_better_stands_first_more_often_and_not_always() -> None:
    ranked = candidates(a=(1, 0), b=(1, 0))
    beliefs = {"a": Believed(0.3, 100), "b": Believed(0.7, 100)}
    first = [names(explore(ranked, 0.1, beliefs, seed).order)[0] for seed in seeds(2000)]
    assert 40 < first.count("a") < 200


def test_the_chance_told_is_the_one_that_is_drawn_by() -> None:
    """20,000 draws: what is counted lies within four standard errors of what was told, at every place."""
    ranked = candidates(a=(1, 0), b=(1, 0, 2), c=(1, 0))
    beliefs = {"a": Believed(0.4, 5), "b": Believed(0.6, 30)}
    count = 20_000
    stood: dict[tuple[str, int], int] = {}
    told: dict[tuple[str, int], float] = {}
    for seed in seeds(count):
        order, places = explore(ranked, 0.1, beliefs, seed)
        for at, (one, place) in enumerate(zip(order, places, strict=True)):
            stood[one.rule.id, at] = stood.get((one.rule.id, at), 0) + 1
            assert told.setdefault((one.rule.id, at), place.propensity) == place.propensity
    assert len(told) == 12
    for place, propensity in told.items():
        error = (propensity * (1 - propensity) / count) ** 0.5
        assert stood[place] / count == pytest.approx(propensity, abs=4 * error)


@given(BANDS)
@settings(max_examples=40, deadline=None)
def test_every_place_is_taken_by_somebody_and_everybody_has_a_place(
    band: tuple[tuple[Believed, int], ...],
) -> None:
    chances = place_chances(band)
    places = sum(size for _, size in band)
    for at in range(places):
        assert sum(of_rule[at] for of_rule in chances) == pytest.approx(1, abs=1e-12)
    for (_, size), of_rule in zip(band, chances, strict=True):
        assert sum(of_rule) == pytest.approx(size, abs=1e-12)
        assert all(0 <= each <= 1 + 1e-12 for each in of_rule)


@given(BANDS)
@settings(max_examples=20, deadline=None)
def test_chances_do_not_depend_on_the_order_in_which_rules_are_given(
    band: tuple[tuple[Believed, int], ...],
) -> None:
    for one, other in zip(place_chances(band), place_chances(band[::-1])[::-1], strict=True):
        assert one == pytest.approx(other, abs=1e-12)


@given(BELIEFS, BELIEFS)
@settings(deadline=None)
def test_of_two_the_chance_is_that_of_the_higher_draw(one: Believed, other: Believed) -> None:
    """By another way: which cells the two fall into, and evens where it is the same."""
    first, second = histogram(one), histogram(other)
    higher = sum(
        (first[cell + 1] - first[cell]) * (second[cell] + (second[cell + 1] - second[cell]) / 2)
        for cell in range(CELLS)
    )
    assert place_chances(((one, 1), (other, 1)))[0][0] == pytest.approx(higher, abs=1e-12)


@given(st.lists(BELIEFS, min_size=2, max_size=MOST))
@settings(max_examples=30, deadline=None)
def test_every_rule_of_a_band_may_stand_first(believed: list[Believed]) -> None:
    chances = place_chances(tuple((each, 1) for each in believed))
    assert min(of_rule[0] for of_rule in chances) > 1e-4


@given(BELIEFS, PARTS)
def test_a_draw_is_a_rate_below_which_that_part_lies(believed: Believed, part: float) -> None:
    given_ = histogram(believed)
    rate = draw(given_, part)
    assert 0 <= rate <= 1
    cell = min(int(rate * CELLS), CELLS - 1)
    share = rate * CELLS - cell
    assert given_[cell] + share * (given_[cell + 1] - given_[cell]) == pytest.approx(part, abs=1e-9)


@given(BELIEFS)
def test_a_histogram_rises_to_one(believed: Believed) -> None:
    given_ = histogram(believed)
    assert (given_[0], given_[-1], len(given_)) == (0.0, 1.0, CELLS + 1)
    assert all(before < after for before, after in pairwise(given_))


def test_without_belief_all_rates_are_as_likely() -> None:
    assert histogram(Believed()) == pytest.approx([cell / CELLS for cell in range(CELLS + 1)])


def test_a_histogram_lies_where_it_is_believed_to() -> None:
    def middle(believed: Believed) -> float:
        return draw(histogram(believed), 0.5)

    assert middle(Believed(0.8, 200)) == pytest.approx(0.8, abs=0.02)
    assert middle(Believed(0.2, 200)) == pytest.approx(0.2, abs=0.02)
    assert histogram(Believed(0.8, MOST_VOTES)) == histogram(Believed(0.8, 10 * MOST_VOTES))


def test_numbers_are_each_rules_own_and_spread_evenly() -> None:
    drawn = [chance(b"seed", f"rule {number}") for number in range(4000)]
    assert len(set(drawn)) == 4000
    assert all(0 <= each < 1 for each in drawn)
    assert sum(drawn) / 4000 == pytest.approx(0.5, abs=0.02)
    assert chance(b"seed", "rule 1") != chance(b"other", "rule 1")
