"""Laws of the engine, for any document and any facts."""

from __future__ import annotations

import itertools
import json
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit_sdk.errors import DocumentInvalid, InvalidInput
from personakit_sdk.rules import Facts, TraitFact, compile_condition, compile_mapper, suggestion_id
from personakit_sdk.rules.operators import OPERATORS
from personakit_sdk.rules.suggestion_id import SuggestionRef
from personakit_sdk.rules.template import parse_template
from personakit_sdk.rules.transforms import TRANSFORMS
from personakit_sdk.rules.yaml import load_json, load_yaml
from tests.unit.rules.mapper_cases import decide, facts, mapper, rule

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from(["10", "1.5", "1e999", "now", "2026-03-02T09:00:00Z", "Europe/Berlin", "high"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abp"), inner, max_size=3),
    max_leaves=5,
)
PATHS = st.sampled_from(["a", "b", "a.b", "a.0", "a.b.p", r"a\.b", "profile.timezone"])
INSTANTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-11, minutes=-30))]))
FACTS = st.builds(
    Facts,
    traits=st.dictionaries(
        PATHS,
        st.builds(
            TraitFact,
            value=VALUES,
            weight=st.none() | st.floats(0, 1000),
            spread=st.floats(0, 1),
            last_observed_at=st.none() | INSTANTS,
            half_life_days=st.none() | st.floats(0.01, 36500),
        ),
        max_size=5,
    ),
    context=st.dictionaries(st.sampled_from(["a", "b", "timezone", "current_time"]), VALUES, max_size=4),
    at=INSTANTS,
)
SOURCES = st.builds(lambda path: {"from_trait": path}, PATHS) | st.builds(
    lambda path: {"from_context": path}, PATHS
)
OPERANDS = {
    "any": VALUES,
    "pair": st.lists(VALUES, min_size=2, max_size=2),
    "list": st.lists(VALUES, max_size=4),
    "text": TEXT,
    "instant": st.just("now") | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    "minutes": st.floats(0, 1e6),
    "none": st.booleans(),
}


@st.composite
def comparisons(draw: st.DrawFn) -> dict[str, Any]:
    """An operator with a value that it takes."""
    name = draw(st.sampled_from(sorted(OPERATORS)))
    kind = OPERATORS[name].operand
    return {"operator": name, "value": draw(OPERANDS[kind] | (SOURCES if kind != "none" else st.booleans()))}


TIMES = st.fixed_dictionaries(
    {"period": st.sampled_from(["morning", "afternoon", "evening", "night"])},
    optional={
        "hour_range": st.tuples(st.integers(0, 23), st.integers(0, 24)).map(list),
        "day_of_week": st.lists(st.sampled_from(["mon", "Friday", "SUN"]), min_size=1, max_size=3),
        "timezone": st.sampled_from(["user_local", "UTC", "Asia/Kathmandu", "America/St_Johns"]),
    },
)
CHECKS = (
    st.builds(lambda path, rest: {"trait_check": {"path": path, **rest}}, PATHS, comparisons())
    | st.builds(
        lambda path, rest: {"type": "trait_check", "trait": path, "min_confidence": 0.5, **rest},
        PATHS,
        comparisons(),
    )
    | st.builds(lambda path, rest: {"context_check": {"field": path, **rest}}, PATHS, comparisons())
    | st.builds(lambda time: {"time_check": time}, TIMES)
)
CONDITIONS = st.recursive(
    CHECKS,
    lambda inner: (
        st.builds(lambda each: {"all": each}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda each: {"type": "any", "conditions": each}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda one: {"not": one}, inner)
    ),
    max_leaves=5,
)
PARAMETERS = SCALARS | st.builds(
    lambda source, rest: {**source, **rest},
    SOURCES,
    st.fixed_dictionaries({}, optional={"transform": st.sampled_from(sorted(TRANSFORMS))}),
)


@st.composite
def mappers(draw: st.DrawFn) -> dict[str, Any]:
    """A document that validates, in the forms that authors may use."""
    parameters = {"x": draw(PARAMETERS.filter(lambda value: value is not None)), "unused": draw(VALUES)}
    text = draw(st.sampled_from(["{x}", "a {{x}} {x}{x}", "plain"]))
    action = {"type": "n", "title": text, "description": "d {x}", "parameters": parameters}
    rules = [
        rule(
            f"r{number}",
            conditions=condition,
            priority=draw(st.integers(-1, 1)),
            weight=draw(st.floats(0, 10)),
            actions=[{"generate_suggestion": action}],
        )
        for number, condition in enumerate(draw(st.lists(CONDITIONS, min_size=1, max_size=3)))
    ]
    named = {"c": draw(CHECKS)}
    return mapper(*rules, rule("ref", conditions={"not": {"condition": "c"}}), conditions=named)


def shuffled(value: Any, source: random.Random) -> Any:
    """The same value with the keys of its objects in another order."""
    if isinstance(value, dict):
        keys = source.sample(list(value), len(value))
        return {key: shuffled(value[key], source) for key in keys}
    return [shuffled(item, source) for item in value] if isinstance(value, list) else value


@settings(max_examples=60, deadline=None)
@given(mappers())
def test_normalising_is_idempotent_also_by_way_of_json(document: dict[str, Any]) -> None:
    plan = compile_mapper(document)
    again = compile_mapper(msgspec.json.decode(msgspec.json.encode(plan.document)))
    assert (again.document, again.hash) == (plan.document, plan.hash)


@settings(max_examples=60, deadline=None)
@given(mappers())
def test_json_and_yaml_give_the_same_mapper(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert compile_mapper(load_json(text)).hash == compile_mapper(load_yaml(text)).hash


@settings(max_examples=60, deadline=None)
@given(mappers(), FACTS)
def test_what_validates_runs_and_gives_json(document: dict[str, Any], seen: Facts) -> None:
    decision = decide(compile_mapper(document), seen, explain=True)
    assert msgspec.json.decode(msgspec.json.encode(decision))["fired"] == decision.fired


@settings(max_examples=60, deadline=None)
@given(mappers(), FACTS, st.randoms(use_true_random=False))
def test_a_decision_depends_on_no_order_of_keys(
    document: dict[str, Any], seen: Facts, source: random.Random
) -> None:
    traits = {
        path: msgspec.structs.replace(trait, value=shuffled(trait.value, source))
        for path, trait in shuffled(dict(seen.traits), source).items()
    }
    other = Facts(traits=traits, context=shuffled(dict(seen.context), source), at=seen.at)
    first = decide(compile_mapper(document), seen, explain=True)
    second = decide(compile_mapper(shuffled(document, source)), other, explain=True)
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


@settings(max_examples=60, deadline=None)
@given(mappers(), FACTS)
def test_what_is_explained_is_what_was_decided(document: dict[str, Any], seen: Facts) -> None:
    decision = decide(compile_mapper(document), seen, explain=True)
    assert decision.explanation is not None
    explained = {each.id for each in decision.explanation.rules if each.fired}
    assert explained == set(decision.fired)


@settings(max_examples=60, deadline=None)
@given(mappers(), FACTS, st.integers(-1, 5))
def test_a_limit_takes_the_best_and_changes_nothing_else(
    document: dict[str, Any], seen: Facts, limit: int
) -> None:
    plan = compile_mapper(document)
    whole, cut = decide(plan, seen), decide(plan, seen, limit=limit)
    within = [made for made in whole.suggestions if suggestion_id.decode(made.id).rank <= limit]
    assert (cut.suggestions, cut.fired) == (within, whole.fired)


ODD = [float("nan"), float("inf"), 10**5000, "9" * 10_000, "0" * 5000 + "1", "\ud800", [[]], {"a": {}}]


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_no_operator_raises_on_values_that_no_document_could_hold(name: str) -> None:
    for seen, wanted in itertools.product(ODD, ODD):
        assert OPERATORS[name].holds(seen, wanted, datetime(2026, 3, 2, tzinfo=UTC)) in (True, False)


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_no_transform_raises_on_values_that_no_document_could_hold(name: str) -> None:
    for value in [*ODD, 1e300, -(10**400)]:
        assert isinstance(TRANSFORMS[name](value), str | int | float | None)


@settings(max_examples=60, deadline=None)
@given(CONDITIONS, FACTS)
def test_a_condition_and_its_negation_never_agree(condition: dict[str, Any], seen: Facts) -> None:
    assert compile_condition(condition)(seen) is not compile_condition({"not": condition})(seen)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_any_value_as_a_document_is_compiled_or_refused(value: Any) -> None:
    for document in (value, mapper(rule(conditions=value)), mapper(rule(actions=value)), mapper(value)):
        with pytest.raises(DocumentInvalid):
            compile_mapper(document)


@given(st.text("ab{}", max_size=12), TEXT)
def test_a_template_value_is_never_expanded_again(text: str, value: str) -> None:
    try:
        template = parse_template(text)
    except ValueError:
        return  # a brace that is neither doubled nor around a name
    marked = template.render(dict.fromkeys(template.names, "\ue000"))
    assert template.render(dict.fromkeys(template.names, value)) == marked.replace("\ue000", value)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.5, 1, 2])), min_size=1, max_size=6), st.data()
)
def test_in_another_order_the_same_is_cut_and_rendered(
    rules: list[tuple[int, float]], data: st.DataObject
) -> None:
    """What is put into the order that it has anyway is the same to the byte; what is put into another is the
    same in that order, but for the ids, which name the place."""
    documents = [rule(f"r{n}", priority=each[0], weight=each[1]) for n, each in enumerate(rules)]
    plan, given_ = compile_mapper(mapper(*documents)), facts({"go": 1})
    plain = decide(plan, given_, explain=True)
    same = decide(plan, given_, explain=True, reorder=list)
    assert msgspec.json.encode(same) == msgspec.json.encode(plain)
    order = data.draw(st.permutations(range(len(rules))))
    limit = data.draw(st.integers(0, len(rules)))
    turned = decide(plan, given_, limit=limit, reorder=lambda ranked: [ranked[n] for n in order])
    wanted = [plain.suggestions[n] for n in order]
    assert turned.fired == [each.rule_id for each in wanted]
    ids = [suggestion_id.decode(made.id) for made in turned.suggestions]
    assert [each.rank for each in ids] == list(range(1, limit + 1))
    assert [msgspec.structs.replace(made, id="") for made in turned.suggestions] == [
        msgspec.structs.replace(made, id="") for made in wanted[:limit]
    ]


IDS = st.text("ABCxyz019._:@-", min_size=1, max_size=128)
REFS = st.builds(
    SuggestionRef,
    persona_id=IDS,
    mapper_id=IDS,
    mapper_version=st.integers(0, 2**40),
    rule_id=IDS,
    rank=st.integers(1, 2000),
    at=st.datetimes(timezones=st.just(UTC)),
)


def encoded(ref: SuggestionRef) -> str:
    return suggestion_id.encode(
        ref.persona_id, ref.mapper_id, ref.mapper_version, ref.rule_id, ref.rank, ref.at
    )


@given(REFS)
def test_a_suggestion_id_leads_back(ref: SuggestionRef) -> None:
    text = encoded(ref)
    assert suggestion_id.decode(text) == ref
    assert len(text) <= suggestion_id.LONGEST
    assert text.isascii()


@given(REFS, st.data())
def test_a_damaged_suggestion_id_is_refused(ref: SuggestionRef, data: st.DataObject) -> None:
    text = encoded(ref)
    place = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.sampled_from("A_-z0= \n\ud800é").filter(lambda c: c != text[place]))
    for damaged in (text[:place] + character + text[place + 1 :], text[:place], text + character):
        with pytest.raises(InvalidInput):
            suggestion_id.decode(damaged)


@given(st.text(max_size=40).map("sug_".__add__) | st.text(max_size=40))
def test_any_other_text_is_no_suggestion_id(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no suggestion id, or is damaged"):
        suggestion_id.decode(text)
