"""An imported rule decides as the engine that it comes from: on every fact where the import makes no note,
and on facts of the usual kinds where it does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from personakit.cli.mapper_import.command import Made, convert
from personakit.cli.mapper_import.facts import FactNames
from personakit.cli.mapper_import.imported import as_yaml
from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules import Facts, TraitFact, compile_mapper, evaluate
from personakit_sdk.rules.yaml import load_yaml
from tests.unit.cli.mapper_import import reference_engines as reference

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
NAMES = ("a", "b", "c")
numbers = st.sampled_from([0, 1, 2, 5, 10, -1, 0.5, 2.5])
texts = st.sampled_from(["", "a", "b", "abc", "5", "10", "0", "1", "5.0", "true", "null", "2026-01-01", "zz"])
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
odd_texts = st.sampled_from([" 5", ".5", "5.", "0x5", "Infinity", "1e1", "10 minutes", "é", "😀"])
lists = st.lists(scalars, max_size=3)
anything = st.one_of(scalars, odd_texts, lists, st.lists(lists, max_size=2), st.dictionaries(texts, scalars))
usual_facts = st.dictionaries(st.sampled_from(NAMES), scalars)
any_facts = st.dictionaries(st.sampled_from(NAMES), anything)


def decide(made: Made, facts: dict[str, Any]) -> list[str]:
    """The rules that fire; the document is taken through the YAML that is written."""
    plan = compile_mapper(load_yaml(as_yaml(made.document, made.notes)))
    given = Facts(traits={}, context=facts, at=AT)
    return evaluate(plan, given, persona_id="p", mapper_version=1, limit=9).fired


def imported(source: str, rules: Any) -> Made:
    """The import; an example that is refused, or cannot be, is none."""
    try:
        return convert(source, rules, FactNames(), "m")
    except DocumentInvalid:
        assume(False)
        raise


json_leaves = st.one_of(
    st.builds(lambda o, v: {"operator": o, "value": v}, st.sampled_from(["equal", "notEqual"]), scalars),
    st.builds(lambda o, v: {"operator": o, "value": v}, st.sampled_from(["in", "notIn"]), lists),
    st.builds(
        lambda o, v: {"operator": o, "value": v}, st.sampled_from(["contains", "doesNotContain"]), scalars
    ),
    st.builds(lambda o, v: {"operator": o, "value": v}, st.sampled_from(list(reference.SIGNS)), numbers),
).flatmap(lambda leaf: st.sampled_from(NAMES).map(lambda name: {"fact": name, **leaf}))
json_conditions = st.recursive(
    json_leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda k, v: {k: v}, st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3)
        ),
        inner.map(lambda v: {"not": v}),
    ),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(json_conditions, st.data())
def test_json_rules_engine(condition: dict[str, Any], data: st.DataObject) -> None:
    named = {"named": condition}
    whole = {"any": [condition, {"condition": "named"}]}
    rules = [{"conditions": whole, "event": {"type": "e"}}]
    made = imported("json-rules-engine", {"rules": rules, "conditions": named})
    facts = data.draw(usual_facts if made.notes else any_facts)
    assert bool(decide(made, facts)) == reference.json_rules(whole, facts, named)


mongo_operators = st.one_of(
    st.builds(lambda o, v: {o: v}, st.sampled_from(["$eq", "$ne"]), scalars),
    st.builds(lambda o, v: {o: v}, st.sampled_from(["$in", "$nin"]), st.lists(scalars, max_size=3)),
    st.builds(lambda o, v: {o: v}, st.sampled_from(list(reference.MONGO_SIGNS)), st.one_of(numbers, texts)),
    st.booleans().map(lambda v: {"$exists": v}),
    st.builds(
        lambda o, n: {"$size": n if o == "$eq" else {o: n}},
        st.sampled_from(["$eq", "$gt", "$gte", "$lt", "$lte", "$ne"]),
        st.integers(0, 3),
    ),
    scalars.map(lambda v: {"$elemMatch": {"$eq": v}}),
    st.lists(texts, max_size=2).map(lambda v: {"$all": v}),
    st.sampled_from(["string", "number", "boolean", "null", "array", "object"]).map(lambda v: {"$type": v}),
    st.sampled_from(["$inGroup", "$notInGroup"]).map(lambda o: {o: "beta"}),
)
mongo_values = st.one_of(
    scalars,
    st.lists(scalars, max_size=2),
    mongo_operators,
    mongo_operators.map(lambda v: {"$not": v}),
    st.tuples(mongo_operators, mongo_operators).map(lambda pair: {**pair[0], **pair[1]}),
)
mongo_conditions = st.recursive(
    st.dictionaries(st.sampled_from([*NAMES, "a.b", "b.0"]), mongo_values, min_size=1, max_size=2),
    lambda inner: st.one_of(
        st.builds(
            lambda k, v: {k: v},
            st.sampled_from(["$and", "$or", "$nor"]),
            st.lists(inner, min_size=1, max_size=2),
        ),
        inner.map(lambda v: {"$not": v}),
    ),
    max_leaves=4,
)
GROUPS = {"beta": ["a", 5, None]}


@settings(max_examples=150, deadline=None)
@given(mongo_conditions, st.data())
def test_growthbook(condition: dict[str, Any], data: st.DataObject) -> None:
    rules = [{"condition": condition, "force": True}]
    payload = {"features": {"f": {"defaultValue": False, "rules": rules}}, "savedGroups": GROUPS}
    made = imported("growthbook", payload)
    facts = data.draw(usual_facts if made.notes else any_facts)
    assert bool(decide(made, facts)) == reference.growthbook(condition, facts, GROUPS)


variables = st.sampled_from([*NAMES, "a.b", "b.0"]).map(lambda name: {"var": name})
both_ways = st.booleans()


def compared(signs: list[str], constants: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda sign, var, value, turned: {sign: [value, var] if turned else [var, value]},
        st.sampled_from(signs),
        variables,
        constants,
        both_ways,
    )


logic_leaves = st.one_of(
    st.booleans(),
    variables,
    st.builds(lambda var, default: {"var": [var["var"], default]}, variables, scalars),
    compared(["==", "!=", "===", "!=="], scalars),
    compared(["<", "<=", ">", ">="], st.one_of(scalars)),
    st.builds(lambda s, a, v, b: {s: [a, v, b]}, st.sampled_from(["<", "<="]), numbers, variables, numbers),
    st.builds(lambda var, values: {"in": [var, values]}, variables, lists),
    st.builds(lambda value, var: {"in": [value, var]}, scalars, variables),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=2).map(lambda v: {"missing": v}),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(lambda v: {"missing_some": [1, v]}),
)
logics = st.recursive(
    logic_leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda k, v: {k: v}, st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3)
        ),
        st.builds(lambda k, v: {k: [v]}, st.sampled_from(["!", "!!"]), inner),
        st.lists(inner, min_size=1, max_size=5).map(lambda v: {"if": v}),
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(logics, st.data())
def test_jsonlogic(logic: Any, data: st.DataObject) -> None:
    made = imported("jsonlogic", logic)
    facts = data.draw(usual_facts if made.notes else any_facts)
    assume(
        "b.0" not in str(logic) or not isinstance(facts.get("b"), str)
    )  # the first letter of a text, there
    assert bool(decide(made, facts)) == reference.logic_truthy(reference.json_logic(logic, facts))


@pytest.mark.parametrize("source", ["json-rules-engine", "growthbook", "jsonlogic"])
@settings(max_examples=100, deadline=None)
@given(value=st.recursive(anything, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))
def test_what_is_no_rule_is_refused_with_places(source: str, value: Any) -> None:
    faults = ()
    try:
        made = convert(source, value, FactNames(), "m")
        assert compile_mapper(made.document).rules
    except DocumentInvalid as error:
        faults = error.faults
    assert all(fault.pointer == "" or fault.pointer.startswith("/") for fault in faults)


def test_facts_can_be_traits() -> None:
    rules = {"conditions": {"fact": "work.focus", "operator": "equal", "value": 3}, "event": {"type": "e"}}
    made = convert("json-rules-engine", rules, FactNames(traits=("work",)), "m")
    plan = compile_mapper(made.document)
    given_facts = Facts(traits={"work.focus": TraitFact(value=3)}, context={}, at=AT)
    assert plan.trait_paths == ("work.focus",)
    assert evaluate(plan, given_facts, persona_id="p", mapper_version=1, limit=1).fired == ["e"]
