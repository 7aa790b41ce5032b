"""The laws of aggregates: any order, any batches, bounded states, and values that a formula confirms."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from random import Random
from statistics import fmean, pstdev
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit.domain.aggregates import AGGREGATES
from personakit.domain.aggregates.decay import EPOCH, WINDOW, Decay, micros_of
from personakit.domain.computed_traits import Observed, load_computed_traits
from tests.unit.domain.observing import (
    PATH,
    START,
    document,
    folded,
    histories,
    in_batches,
    observe,
    observed,
    one,
    stored,
)

QUANTILES = {"quantiles": [0.05, 0.5, 0.9]}
EVERYTHING = load_computed_traits(
    [
        document(
            *(
                {
                    "path": f"test.{name}{suffix}",
                    "aggregate": name,
                    "from": "v",
                    "options": options | (QUANTILES if name == "quantiles" else {}),
                }
                for name in AGGREGATES
                for suffix, options in (("", {}), ("_decayed", {"half_life_days": 3, "min_samples": 2}))
                if suffix or name != "ewma"
            )
        )
    ]
)
days = st.integers(0, 400)
plain_numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


def value(aggregate: str, *values: Any, **options: Any) -> Any:
    return folded(one(aggregate, options), observe(*values)).value


@settings(max_examples=60, deadline=None)
@given(histories, st.randoms(use_true_random=False), st.lists(st.integers(0, 30), max_size=4))
def test_no_order_and_no_batching_changes_a_bit(
    history: list[Observed], random: Random, cuts: list[int]
) -> None:
    # given what one fold in order gives
    calm = EVERYTHING.fold({}, history)
    # when the same observations come in another order, in batches, stored in between
    shuffled = random.sample(history, len(history))
    disturbed = in_batches(EVERYTHING, shuffled, cuts)
    # then every value, statistic and state is the same to the byte
    assert msgspec.json.encode(disturbed, order="sorted") == msgspec.json.encode(stored(calm), order="sorted")


@settings(max_examples=30, deadline=None)
@given(histories)
def test_confidence_evidence_stays_in_its_bounds(history: list[Observed]) -> None:
    for trait in EVERYTHING.fold({}, history).values():
        newest = [seen for seen in history if seen.id in trait.evidence]
        assert 0 <= trait.spread <= 1
        assert trait.samples >= 1
        assert trait.weight is not None
        assert 0 < trait.weight <= trait.samples
        assert trait.last_observed_at == max(seen.occurred_at for seen in newest)
        assert (trait.value is None) <= (not trait.visible)


def test_evidence_is_the_twenty_newest_by_instant_and_id() -> None:
    history = [observed(1, START + timedelta(minutes=n // 3), n) for n in range(50)]
    evidence = folded(one("count"), history[25:] + history[:25]).evidence
    assert [id_.int for id_ in evidence] == list(range(49, 29, -1))


@pytest.mark.parametrize("aggregate", sorted(AGGREGATES))
def test_what_is_no_sample_is_passed_over(aggregate: str) -> None:
    options = {"quantiles": [0.5]} if aggregate == "quantiles" else {}
    computed = one(aggregate, options | {"half_life_days": 9})
    assert computed.fold({}, [observed(None), Observed(observed(1).id, "seen", {}, START)]) == {}
    assert computed.fold({}, [observed(1, type_="another")]) == {}


@pytest.mark.parametrize("aggregate", ["sum", "mean", "min", "max", "trend"])
@pytest.mark.parametrize("value", [True, "7", [7], {"v": 7}, math.nan, math.inf, 2**63, 1e300])
def test_only_numbers_are_samples_of_a_numeric_aggregate(aggregate: str, value: Any) -> None:
    assert one(aggregate).fold({}, [observed(value)]) == {}


@settings(deadline=None)
@given(st.lists(plain_numbers, min_size=1, max_size=50))
def test_sums_and_means_are_exact(values: list[float]) -> None:
    exact = sum(Fraction(str(number)) for number in values)
    trait = folded(one("mean"), observe(*values))
    assert value("sum", *values) == float(exact)
    assert trait.value == pytest.approx(float(exact / len(values)), rel=1e-5)
    assert value("count", *values) == trait.samples == trait.weight == len(values)
    assert (value("min", *values), value("max", *values)) == (min(values), max(values))


def test_a_tenth_ten_times_is_one() -> None:
    assert value("sum", *[0.1] * 10) == 1


@settings(deadline=None)
@given(st.lists(plain_numbers, min_size=1, max_size=50))
def test_the_spread_of_a_mean_is_the_deviation_against_the_mean(values: list[float]) -> None:
    deviation, mean = pstdev(values), abs(fmean(values))
    expected = deviation / (deviation + mean) if deviation > 1e-6 else 0
    assert folded(one("mean"), observe(*values)).spread == pytest.approx(expected, abs=2e-3)


@settings(deadline=None)
@given(st.lists(st.tuples(plain_numbers, days), min_size=1, max_size=40), st.sampled_from([0.5, 3, 60]))
def test_an_ewma_weighs_by_half_lives(rows: list[tuple[float, int]], half_life: float) -> None:
    history = [observed(number, START + timedelta(days=day), n) for n, (number, day) in enumerate(rows)]
    newest = max(day for _, day in rows)
    weights = [2.0 ** ((day - newest) / half_life) for _, day in rows]
    expected = sum(w * number for w, (number, _) in zip(weights, rows, strict=True)) / sum(weights)
    trait = folded(one("ewma", {"half_life_days": half_life}), history)
    assert trait.value == pytest.approx(expected, rel=1e-4, abs=5)
    assert trait.weight == pytest.approx(sum(weights), rel=1e-4)
    assert folded(one("count", {"half_life_days": half_life}), history).value == trait.weight


@settings(deadline=None)
@given(st.integers(-(10**17), 10**17), st.integers(1, 3650))
def test_a_weight_doubles_with_every_half_life(micros: int, half_life: int) -> None:
    decay = Decay.of_days(half_life)

    def weight(at: int) -> Fraction:
        window, units = decay.weight(at)
        return Fraction(2) ** (window * WINDOW) * units

    assert weight(micros + half_life * 86_400_000_000) == 2 * weight(micros)
    exponent = (micros % (half_life * 86_400_000_000)) / (half_life * 86_400_000_000)
    relative = weight(micros % (half_life * 86_400_000_000)) / 2**20
    assert float(relative) == pytest.approx(2**exponent, rel=2e-6)


def test_what_is_long_past_is_forgotten_whenever_it_comes() -> None:
    computed = one("ewma", {"half_life_days": 1})
    old, new = observed(1000, START - timedelta(days=400), 1), observed(10, START, 2)
    assert folded(computed, [old, new]) == folded(computed, [new, old])
    assert folded(computed, [old, new]).value == 10
    assert folded(computed, [old, new]).samples == 2


magnitudes = st.one_of(st.floats(1e-2, 1e6), st.floats(-1e6, -1e-2), st.just(0.0), st.integers(1, 600))


@settings(deadline=None)
@given(st.lists(magnitudes, min_size=1, max_size=80), st.integers(1, 99))
def test_a_quantile_is_within_one_percent(values: list[float], percent: int) -> None:
    rank = -(-percent * len(values) // 100)
    exact = sorted(values)[rank - 1]
    shown = value("quantiles", *values, quantiles=[percent / 100])[f"p{percent}"]
    assert abs(shown - exact) <= 0.0100001 * abs(exact)
    assert float(f"{shown:.4g}") == shown


def test_a_quantile_shows_round_numbers_as_they_are() -> None:
    for number in (1, 5, 25, 30, 45, 50, 60, 90, 100, 120, 240):
        assert value("quantiles", number, quantiles=[0.5]) == {"p50": number}


def test_a_sketch_is_bounded_and_keeps_the_large_magnitudes_exact() -> None:
    random = Random(7)
    values = [random.choice((-1, 1)) * math.exp(random.uniform(-20, 40)) for _ in range(6000)]
    history = observe(*values)
    computed = one("quantiles", {"quantiles": [0.5, 0.99]})
    trait = folded(computed, history)
    assert len(trait.state["aggregate"]["0"]) <= 2 * 2048 + 1
    assert trait == in_batches(computed, history[::-1], [1000, 2500, 5999])[PATH]
    assert trait.value["p99"] == pytest.approx(sorted(values)[-(-99 * 6000 // 100) - 1], rel=0.0101)


def test_histograms_use_the_clock_on_the_persons_wall() -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    # 22:45 UTC on a Sunday is 4:15 on Monday there
    history = [observed(1, datetime(2026, 3, 1, 22, 45, tzinfo=UTC).astimezone(india))]
    hours = folded(one("histogram_by_hour"), history)
    weekdays = folded(one("histogram_by_weekday"), history)
    assert hours.value == {
        "peak": 4,
        "share": 1,
        "period": "night",
        "counts": [0] * 4 + [1] + [0] * 19,
    }
    assert weekdays.value == {
        "peak": "monday",
        "share": 1,
        "weekend_share": 0,
        "counts": [1, 0, 0, 0, 0, 0, 0],
    }
    assert hours.spread == weekdays.spread == 0


def test_a_histogram_tells_shares_period_and_spread() -> None:
    at = [START.replace(day=10, hour=hour) for hour in (9, 10, 10, 18, 22)]  # a Saturday
    history = [observed(1, instant, n) for n, instant in enumerate(at)]
    hours = folded(one("histogram_by_hour"), history)
    assert (hours.value["peak"], hours.value["share"], hours.value["period"]) == (10, 0.4, "morning")
    assert folded(one("histogram_by_weekday"), history).value["weekend_share"] == 1
    angles = [math.tau * instant.hour / 24 for instant in at]
    resultant = math.hypot(sum(map(math.cos, angles)), sum(map(math.sin, angles))) / len(at)
    assert hours.spread == pytest.approx(1 - resultant, abs=1e-4)


def test_hours_around_midnight_agree_and_hours_around_the_clock_do_not() -> None:
    computed = one("histogram_by_hour")
    near = [observed(1, START.replace(hour=hour), hour) for hour in (23, 0)]
    around = [observed(1, START.replace(hour=hour), hour) for hour in range(24)]
    assert folded(computed, near).spread < 0.05
    assert folded(computed, around).spread == 1


def test_a_decayed_histogram_counts_as_of_the_newest() -> None:
    history = observe(1, 1, every=timedelta(days=1))
    counts = folded(one("histogram_by_weekday", {"half_life_days": 1}), history).value["counts"]
    assert counts == [0.5, 1, 0, 0, 0, 0, 0]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", 1, 1.0, 2.5, True, None]), min_size=1, max_size=40))
def test_the_mode_is_the_most_frequent_category(values: list[Any]) -> None:
    counts = Counter((type(v) is bool, v) for v in values if v is not None)
    traits = one("mode").fold({}, observe(*values))
    if not counts:
        assert traits == {}
        return
    trait = traits[PATH]
    highest = max(counts.values())
    assert counts[type(trait.value) is bool, trait.value] == highest
    assert trait.spread == round(1 - highest / sum(counts.values()), 4)
    assert trait.samples == sum(counts.values())


def test_each_element_of_a_list_counts_but_an_observation_is_one_sample() -> None:
    history = observe(["Python", "SQL"], ["SQL"], "Rust", [], [None, {}])
    assert folded(one("mode"), history).value == "SQL"
    assert folded(one("set"), history).value == ["Python", "Rust", "SQL"]
    assert folded(one("set"), history).samples == 3
    assert len(folded(one("set"), history).evidence) == 3


def test_a_set_orders_truth_before_numbers_before_texts() -> None:
    assert value("set", "b", 10, 9.5, True, "a", 10.0) == [True, 9.5, 10, "a", "b"]


def test_a_set_is_exact_up_to_256_and_flagged_above() -> None:
    exact = folded(one("set"), observe(*range(256), *range(256)))
    assert (exact.value, exact.truncated) == (list(range(256)), False)
    above = folded(one("set"), observe(*range(300)))
    assert (len(above.value), above.truncated) == (256, True)
    assert folded(one("set"), observe(*range(300))[::-1]).value == above.value


@settings(max_examples=5, deadline=None)
@given(st.integers(), st.sampled_from([{}, {"half_life_days": 60}]))
def test_a_mode_of_many_categories_finds_the_frequent_one(seed: int, options: dict[str, Any]) -> None:
    # given 800 categories beside one that makes up a fifth of all samples
    random = Random(seed)
    values = [f"rare {n}" for n in range(800)] + ["often"] * 200
    random.shuffle(values)
    history = observe(*values)
    trait = folded(one("mode", options), history)
    assert (trait.value, trait.truncated) == ("often", True)
    # then its state is bounded, and no order changes it
    for cell in trait.state["aggregate"]["sums"].values():
        assert len({name.partition(" ")[2] for name in cell}) <= 256
    random.shuffle(history)
    assert in_batches(one("mode", options), history, [333, 666])[PATH] == trait


def test_the_last_is_the_newest_by_instant_then_id() -> None:
    berlin = timezone(timedelta(hours=1))
    history = [
        observed("first", START, 9),
        observed({"zone": "Asia/Kolkata"}, START + timedelta(minutes=1), 2),
        observed("the same instant, a lower id", (START + timedelta(minutes=1)).astimezone(berlin), 1),
    ]
    for order in (history, history[::-1]):
        assert folded(one("last"), order).value == {"zone": "Asia/Kolkata"}


def test_a_value_too_large_to_carry_along_is_not_kept_as_the_last() -> None:
    assert value("last", "short", "long" * 2000) == "short"


def test_every_state_stays_small() -> None:
    random = Random(1)
    history = [
        observed(
            random.choice((random.lognormvariate(4, 1), [f"tag {n % 40}"])), START + timedelta(hours=n), n
        )
        for n in range(1000)
    ]
    for trait in EVERYTHING.fold({}, history).values():
        assert len(msgspec.json.encode(trait.state)) < 16_000


def test_the_epoch_is_a_constant_of_the_stored_states() -> None:
    assert micros_of(EPOCH) == 0
    assert datetime(2000, 1, 1, tzinfo=UTC) == EPOCH
