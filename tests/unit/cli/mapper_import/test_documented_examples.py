"""Examples as the three projects document them, imported and decided; and what cannot be said, refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from personakit.cli.mapper_import.command import convert
from personakit.cli.mapper_import.facts import FactNames
from personakit.cli.mapper_import.imported import as_yaml
from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules import Facts, compile_mapper, evaluate

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def fired(source: str, rules: Any, facts: dict[str, Any]) -> list[str]:
    plan = compile_mapper(convert(source, rules, FactNames(), "m").document)
    given = Facts(traits={}, context=facts, at=AT)
    return evaluate(plan, given, persona_id="p", mapper_version=1, limit=20).fired


FOULED_OUT = {
    "name": "fouled out",
    "conditions": {
        "any": [
            {
                "all": [
                    {"fact": "gameDuration", "operator": "equal", "value": 40},
                    {"fact": "personalFoulCount", "operator": "greaterThanInclusive", "value": 5},
                ]
            },
            {
                "all": [
                    {"fact": "gameDuration", "operator": "equal", "value": 48},
                    {"fact": "personalFoulCount", "operator": "greaterThanInclusive", "value": 6},
                ]
            },
        ]
    },
    "event": {"type": "fouledOut", "params": {"message": "Player has fouled out!", "level": 2}},
}


@pytest.mark.parametrize(
    ("minutes", "fouls", "out"),
    [(40, 5, True), (40, 6, True), (40, 4, False), (48, 5, False), (48, 6, True), (None, 6, False)],
)
def test_json_rules_engine_the_basketball_example(minutes: int | None, fouls: int, out: bool) -> None:
    facts = {"gameDuration": minutes, "personalFoulCount": fouls}
    assert fired("json-rules-engine", FOULED_OUT, facts) == (["fouled_out"] if out else [])


def test_json_rules_engine_an_event_becomes_the_suggestion() -> None:
    made = convert("json-rules-engine", [FOULED_OUT | {"priority": 10}], FactNames(), "m")
    [rule] = made.document["rules"]
    suggestion = rule["actions"][0]["generate_suggestion"]
    assert (suggestion["type"], suggestion["title"]) == ("fouledOut", "fouled out")
    assert suggestion["description"] == "Player has fouled out!"
    assert suggestion["parameters"] == {"message": "Player has fouled out!", "level": 2}
    assert rule["priority"] == 9  # theirs begins at 1, ours at 0


def test_json_rules_engine_paths_lead_into_facts() -> None:
    leaf = {"fact": "account", "operator": "equal", "value": "microsoft", "path": "$.company"}
    rules = {"conditions": {"all": [leaf]}, "event": {"type": "known"}}
    assert fired("json-rules-engine", rules, {"account": {"company": "microsoft"}}) == ["known"]
    assert fired("json-rules-engine", rules, {"account": {"company": "apple"}}) == []
    tagged = rules | {"conditions": leaf | {"path": "$.tags[1]['a.b']"}}
    assert fired("json-rules-engine", tagged, {"account": {"tags": [0, {"a.b": "microsoft"}]}}) == ["known"]


GROWTHBOOK: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"browser": "firefox"}, {"browser": "firefox"}, True),
    ({"browser": "firefox"}, {"browser": "chrome"}, False),
    ({"browser": "firefox"}, {}, False),
    ({"address.country": {"$in": ["US", "CA"]}}, {"address": {"country": "CA"}}, True),
    ({"address.country": {"$nin": ["US", "CA"]}}, {"address": {}}, True),
    ({"tags": {"$in": ["a", "b"]}}, {"tags": ["d", "e", "a"]}, True),
    ({"tags": {"$in": ["a", "b"]}}, {"tags": []}, False),
    ({"n": {"$gt": 0, "$lte": 10}}, {"n": 10}, True),
    ({"n": {"$lt": 5}}, {}, True),  # null < 5 in JavaScript
    ({"n": {"$gt": 5}}, {}, False),
    ({"n": {"$lt": 10}}, {"n": "5"}, True),
    ({"count": "1"}, {"count": 1}, True),
    ({"count": 1}, {"count": "1"}, True),
    ({"pro": True}, {"pro": "false"}, True),  # a text is truthy
    ({"pro": False}, {}, False),
    ({"beta": {"$exists": False}}, {"beta": None}, True),
    ({"tags": {"$size": 2}}, {"tags": ["a", "b"]}, True),
    ({"tags": {"$size": {"$gt": 2}}}, {"tags": ["a", "b"]}, False),
    ({"tags": {"$all": ["one", "three"]}}, {"tags": ["one", "two", "three"]}, True),
    ({"hobbies": {"$elemMatch": {"$eq": "chess"}}}, {"hobbies": ["go", "chess"]}, True),
    ({"a": {"$type": "array"}}, {"a": []}, True),
    ({"a": "1" * 400}, {"a": "1" * 400}, True),
    ({"a": {"$type": "string"}}, {"a": 5}, False),
    ({"$or": [{"id": "1"}, {"loggedIn": True}]}, {"id": "2", "loggedIn": True}, True),
    ({"$nor": [{"name": "john"}, {"age": {"$lt": 30}}]}, {"name": "jim", "age": 40}, True),
    ({"$not": {"id": {"$ne": "1"}}}, {"id": "1"}, True),
]


@pytest.mark.parametrize(("condition", "attributes", "met"), GROWTHBOOK)
def test_growthbook_conditions(condition: dict[str, Any], attributes: dict[str, Any], met: bool) -> None:
    assert fired("growthbook", condition, attributes) == (["rule_1"] if met else [])


def test_what_stands_twice_is_written_twice() -> None:
    rules = [{"condition": {"id": {"$in": ["1"]}}, "force": 1}, {"condition": {"a": True}, "force": 2}]
    made = convert("growthbook", {"features": {"f": {"rules": rules}}}, FactNames(), "m")
    assert "&id" not in as_yaml(made.document, made.notes)
    assert "*id" not in as_yaml(made.document, made.notes)


def test_growthbook_of_a_feature_the_first_rule_that_holds_counts() -> None:
    rules = [
        {"condition": {"id": {"$inGroup": "staff"}}, "force": "full"},
        {"condition": {"country": "US"}, "force": "some"},
    ]
    payload = {
        "features": {"menu": {"defaultValue": "none", "rules": rules}},
        "savedGroups": {"staff": ["1", "2"]},
    }
    assert fired("growthbook", payload, {"id": "1", "country": "US"}) == ["menu_1"]
    assert fired("growthbook", payload, {"id": "3", "country": "US"}) == ["menu_2"]
    assert fired("growthbook", payload, {"id": "3"}) == []


JSONLOGIC: list[tuple[Any, dict[str, Any], bool]] = [
    ({"==": [{"var": "a"}, 1]}, {"a": "1"}, True),
    ({"===": [{"var": "a"}, 1]}, {"a": "1"}, False),
    ({"!=": [{"var": "a"}, 2]}, {"a": 1}, True),
    ({"!==": [{"var": "a"}, "1"]}, {"a": 1}, True),
    ({"==": [{"var": "a"}, None]}, {}, True),
    ({"==": [{"var": "a"}, 0]}, {"a": None}, False),
    ({"==": [0, {"var": "a"}]}, {"a": False}, True),
    (
        {"and": [{"<": [{"var": "temp"}, 110]}, {"==": [{"var": "pie.filling"}, "apple"]}]},
        {"temp": 100, "pie": {"filling": "apple"}},
        True,
    ),
    ({"<": [0, {"var": "temp"}, 100]}, {"temp": 37}, True),
    ({"<=": [1, {"var": "temp"}, 1]}, {"temp": 1}, True),
    ({"<": [{"var": "temp"}, 100]}, {}, True),
    ({"in": [{"var": "user"}, ["Bart", "Lisa"]]}, {"user": "Lisa"}, True),
    ({"in": ["Spring", {"var": "city"}]}, {"city": "Springfield"}, True),
    ({"in": ["Ringo", {"var": "band"}]}, {"band": ["John", "Ringo"]}, True),
    ({"!": [{"var": "a"}]}, {"a": []}, True),
    ({"!!": {"var": "a"}}, {"a": "0"}, True),
    ({"missing": ["a", "b"]}, {"a": "apple"}, True),
    ({"missing": ["a", "b"]}, {"a": "apple", "b": "banana"}, False),
    ({"if": [{"missing": ["name"]}, False, {">": [{"var": "age"}, 18]}]}, {"name": "x", "age": 19}, True),
    ({"if": [{"<": [{"var": "t"}, 0]}, False, {"<": [{"var": "t"}, 100]}, True, False]}, {"t": 50}, True),
    ({"var": ["z", 26]}, {}, True),
    ({"missing_some": [1, ["a", "b"]]}, {"b": 1}, False),
]


@pytest.mark.parametrize(("logic", "data", "holds"), JSONLOGIC)
def test_jsonlogic_operations(logic: Any, data: dict[str, Any], holds: bool) -> None:
    assert fired("jsonlogic", logic, data) == (["rule_1"] if holds else [])


EVENT = {"event": {"type": "e"}}


def leaf(**more: Any) -> dict[str, Any]:
    return EVENT | {"conditions": {"fact": "a", "operator": "equal", "value": 1} | more}


REFUSED: list[tuple[str, Any, str, str]] = [
    ("json-rules-engine", leaf(operator="equals"), "/conditions/operator", "did you mean 'equal'?"),
    ("json-rules-engine", leaf(value={"fact": "b"}), "/conditions/value", "two facts are compared"),
    ("json-rules-engine", leaf(params={"x": 1}), "/conditions/params", "computed from parameters"),
    ("json-rules-engine", leaf(path="$..b"), "/conditions/path", "only names and indexes"),
    ("json-rules-engine", leaf(value=[1]), "/conditions/value", "by identity"),
    ("json-rules-engine", leaf(operator="lessThan", value="5"), "/conditions/value", "must be a number"),
    ("json-rules-engine", EVENT | {"conditions": {"all": []}}, "/conditions/all", "is empty"),
    (
        "json-rules-engine",
        EVENT | {"conditions": {"condition": "x"}},
        "/conditions/condition",
        "not in this file",
    ),
    ("json-rules-engine", leaf() | {"onSuccess": "f"}, "/onSuccess", "is not known"),
    ("growthbook", {"a": {"$regex": "^a"}}, "/a/$regex", "no regular expressions"),
    ("growthbook", {"a": {"$vgt": "1.2.3"}}, "/a/$vgt", "versions cannot"),
    ("growthbook", {"a": {"$elemMatch": {"$gt": 5}}}, "/a/$elemMatch", "looks into each element"),
    ("growthbook", {"a": {"$lt": "10"}}, "/a/$lt", "write the number"),
    ("growthbook", {"a": {"$lt": "1" * 400}}, "/a/$lt", "write the number"),
    ("growthbook", {"a": {"$gt": []}}, "/a/$gt", "by identity"),
    ("growthbook", {"a": {"$inGroup": "x"}}, "/a/$inGroup", "the saved group 'x' is not known"),
    ("growthbook", {"a.length": 1}, "/a.length", "JavaScript's own objects"),
    ("growthbook", {}, "", "always true"),
    (
        "growthbook",
        {"rules": [{"condition": {"a": 1}, "force": 1, "coverage": 0.5}]},
        "/rules/0/coverage",
        "depends on a hash",
    ),
    ("growthbook", {"features": {}, "experiments": [{"key": "x"}]}, "/experiments", "depends on a hash"),
    ("growthbook", {"features": {}, "encryptedFeatures": "x"}, "/encryptedFeatures", "is not known"),
    ("jsonlogic", {"and": []}, "", "never true"),
    ("growthbook", {"rules": [{"variations": [0, 1]}]}, "/rules/0/variations", "experiment"),
    ("jsonlogic", {">": [{"var": "a"}, {"var": "b"}]}, "", "only a `var` and a constant"),
    (
        "jsonlogic",
        {"and": [{"<": [{"+": [{"var": "a"}, 1]}, 2]}, True]},
        "/and/0",
        "only a `var` and a constant",
    ),
    ("jsonlogic", {"some": [{"var": "a"}, {">": [{"var": ""}, 1]}]}, "", "'some' computes a value"),
    ("jsonlogic", {"==": [{"var": "a"}, [1]]}, "/==/1", "by identity"),
    ("jsonlogic", {"<": [{"var": "a"}, [1]]}, "/</1", "by identity"),
    ("jsonlogic", {"==": [{"var": "a"}, 9007199254740993]}, "/==/1", "from its neighbours"),
    ("jsonlogic", {"or": [True, {"var": "a"}]}, "", "always true"),
    ("jsonlogic", {"in": [{"var": "a"}, "abc"]}, "", "`in` needs"),
    ("jsonlogic", {"missing_some": [2, ["a", "b", "c"]]}, "", "missing_some"),
    ("jsonlogic", {"var": ""}, "", "all facts at once"),
    ("jsonlogic", [], "", "is empty"),
]


@pytest.mark.parametrize(("source", "rules", "pointer", "said"), REFUSED)
def test_what_cannot_be_said_is_refused_where_it_stands(
    source: str, rules: Any, pointer: str, said: str
) -> None:
    with pytest.raises(DocumentInvalid) as refused:
        convert(source, rules, FactNames(), "m")
    assert any(fault.pointer == pointer and said in fault.message for fault in refused.value.faults), [
        (fault.pointer, fault.message) for fault in refused.value.faults
    ]


def test_every_fault_is_told_at_once() -> None:
    rules = {"a": {"$regex": "x"}, "b": {"$vlt": "1"}, "c": {"$size": "many"}}
    with pytest.raises(DocumentInvalid) as refused:
        convert("growthbook", rules, FactNames(), "m")
    assert [fault.pointer for fault in refused.value.faults] == ["/a/$regex", "/b/$vlt", "/c/$size"]
