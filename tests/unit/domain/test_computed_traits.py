"""Definitions: which documents are taken, what is said of those that are not, and how they fold."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit.domain.computed_traits import Observed, load_computed_traits
from personakit.domain.traits import Trait
from personakit_sdk.errors import DocumentInvalid
from tests.unit.domain.observing import PATH, START, document, folded, observe, observed, one, stored


def faults(*documents: Any) -> dict[str, str]:
    with pytest.raises(DocumentInvalid) as refused:
        load_computed_traits(documents)
    return {fault.pointer: fault.message for fault in refused.value.faults}


def trait_faults(**keys: Any) -> dict[str, str]:
    found = faults(document({"aggregate": "mean", "from": "v"} | keys))
    return {pointer.removeprefix("/traits/0"): message for pointer, message in found.items()}


def test_a_definition_gives_its_trait_volatility_source_and_half_life() -> None:
    trait = folded(one("mean", {"half_life_days": 30}, volatility="medium", precision=5), observe(1, 2))
    assert trait.volatility == "medium"
    assert trait.source == "computed:seen@1.0.0"
    assert trait.half_life_days == 30
    assert trait.precision == 5
    assert trait.last_observed_at == START + timedelta(hours=1)


def test_a_path_leads_into_objects_and_lists_of_the_content() -> None:
    history = observe({"a.b": [{"minutes": 40}, {"minutes": 50}]})
    assert folded(one("last", source=r"v.a\.b.1.minutes"), history).value == 50
    assert one("last", source=r"v.a\.b.2.minutes").fold({}, history) == {}


def test_when_decides_which_observations_count() -> None:
    over_five = {"context_check": {"field": "v", "operator": "greater", "value": 5}}
    assert folded(one("sum", when=over_five), observe(3, 7, None, "word", 20)).value == 27
    morning = {"time_check": {"period": "morning"}}
    assert folded(one("count", when=morning), observe(*[1] * 12)).value == 3


def test_a_count_with_a_path_counts_the_observations_that_have_it() -> None:
    assert folded(one("count"), observe(1, None, "x")).value == 2
    everything = load_computed_traits([document({"aggregate": "count"})])
    assert folded(everything, observe(1, None, "x")).value == 3


def test_below_min_samples_a_trait_is_kept_but_not_shown() -> None:
    computed = one("mean", {"min_samples": 3})
    two = stored(computed.fold({}, observe(10, 20)))
    assert (two[PATH].visible, two[PATH].value, two[PATH].samples) == (False, None, 2)
    three = computed.fold(two, [observed(60, START + timedelta(days=1), 3)])
    assert (three[PATH].visible, three[PATH].value) == (True, 30)


def test_a_trait_of_another_source_is_replaced_not_continued() -> None:
    other = Trait(value="guess", source="anthropic", samples=9)
    assert folded(one("count"), observe(1)) == one("count").fold({PATH: other}, observe(1))[PATH]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 99), min_size=1, max_size=20), st.integers(0, 20))
def test_folding_touches_only_what_was_observed(values: list[int], cut: int) -> None:
    computed = load_computed_traits(
        [
            document({"aggregate": "sum", "from": "v"}),
            document({"path": "other.trait", "aggregate": "count"}, observes="other"),
        ]
    )
    history = observe(*values)
    first = stored(computed.fold({}, [observed(1, type_="other"), *history[:cut]]))
    assert PATH not in first or first[PATH].value == sum(values[:cut])
    second = computed.fold(first, history[cut:])
    assert set(second) == ({PATH} if history[cut:] else set())


def test_the_fingerprint_follows_the_definitions_and_nothing_else() -> None:
    count, total = {"aggregate": "count"}, {"path": "a.b", "aggregate": "sum", "from": "v"}
    base = load_computed_traits([document(count), document(total, observes="other")])
    swapped = load_computed_traits([document(total, observes="other"), document(count)])
    assert base.fingerprint == swapped.fingerprint
    described = document(count) | {"metadata": {"id": "seen", "version": "1.0.0", "description": "Reworded"}}
    assert (
        load_computed_traits([described]).fingerprint == load_computed_traits([document(count)]).fingerprint
    )
    others = [
        document(count | {"volatility": "high"}),
        document(count | {"precision": 2}),
        document(count | {"options": {"min_samples": 2}}),
        document(count | {"when": {"context_check": {"field": "v", "operator": "exists"}}}),
        document(count, version="1.0.1"),
        document(count, observes="other"),
        document(count, total),
    ]
    prints = [load_computed_traits([other]).fingerprint for other in (document(count), *others)]
    assert len(set(prints)) == len(prints)


def test_two_definitions_of_one_path_are_refused() -> None:
    twice = faults(document({"aggregate": "count"}), document({"aggregate": "count"}, observes="other"))
    assert twice == {"/traits/0/path": "the trait 'test.trait' is defined already, by computed:seen@1.0.0"}


def test_every_fault_of_a_document_is_told_at_once() -> None:
    broken = {
        "metadata": {"id": "Not an id", "version": "one"},
        "observes": "work session",
        "trait": [],
        "traits": [{"path": "a", "aggregate": "meen", "volatility": "slow", "form": "v"}],
    }
    found = faults(broken)
    assert set(found) == {
        "/metadata",
        "/metadata/id",
        "/metadata/version",
        "/observes",
        "/trait",
        "/traits/0/aggregate",
        "/traits/0/volatility",
        "/traits/0/form",
    }
    assert "did you mean 'mean'" in found["/traits/0/aggregate"]
    assert "did you mean 'from'" in found["/traits/0/form"]
    assert "did you mean 'traits'" in found["/trait"]


@pytest.mark.parametrize(
    ("keys", "pointer", "message"),
    [
        ({"aggregate": "ewma"}, "/options", "'half_life_days' is missing"),
        ({"aggregate": "quantiles"}, "/options", "'quantiles' is missing"),
        ({"options": {"quantiles": [0.5]}}, "/options/quantiles", "not known"),
        ({"options": {"half_life": 3}}, "/options/half_life", "did you mean 'half_life_days'"),
        ({"options": {"half_life_days": 0}}, "/options/half_life_days", "does not lie between"),
        ({"options": {"min_samples": 1.5}}, "/options/min_samples", "a whole number"),
        ({"options": []}, "/options", "must be an object"),
        ({"precision": 0}, "/precision", "does not lie between"),
        ({"precision": {"peak": "1"}}, "/precision/peak", "must be a number"),
        ({"path": "Work.Hours"}, "/path", "must be a text like"),
        ({"path": ".".join("abcdefghijklmnopq")}, "/path", "at most 16"),
        ({"from": "a..b"}, "/from", "empty segment"),
        ({"when": {"contxt_check": {}}}, "/when", "exactly one of"),
        ({"when": {"condition": "named"}}, "/when", "not known"),
    ],
)
def test_a_fault_says_where_and_why(keys: dict[str, Any], pointer: str, message: str) -> None:
    assert message in trait_faults(**keys)[pointer]


@pytest.mark.parametrize(
    ("quantiles", "pointer"),
    [([], ""), ([0.5, 0.5], ""), ([0.999], "/0"), ([0.125], "/0"), ([1], "/0"), (["p50"], "/0"), (0.5, "")],
)
def test_quantiles_are_distinct_whole_percents(quantiles: Any, pointer: str) -> None:
    found = trait_faults(aggregate="quantiles", options={"quantiles": quantiles})
    assert set(found) == {f"/options/quantiles{pointer}"}


def test_a_value_from_the_content_needs_a_path_to_it() -> None:
    assert "needs `from`" in faults(document({"aggregate": "mean"}))["/traits/0"]


def test_a_document_without_its_parts_is_refused() -> None:
    assert set(faults({})) == {""}
    assert "it is empty" in faults(document())["/traits"]
    assert "must be an object" in faults(document() | {"traits": [7]})["/traits/0"]


def test_observations_of_any_content_never_raise() -> None:
    odd: list[Any] = [
        None,
        {},
        [],
        "",
        [[[]]],
        {"v": None},
        -0.0,
        10**400,
        [True, None, {"a": 1}],
        "x" * 9999,
    ]
    for aggregate, options in (("set", {}), ("mode", {}), ("last", {}), ("quantiles", {"quantiles": [0.5]})):
        one(aggregate, options).fold({}, observe(*odd))
    assert one("mean").fold({}, [Observed(observed(1).id, "seen", {"v": {"v": 1}}, START)]) == {}
