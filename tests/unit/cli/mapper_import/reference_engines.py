"""The three engines, as plainly as their documentation has them, over JSON facts."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

from tests.unit.cli.mapper_import.javascript_values import (
    UNDEFINED,
    compare,
    loosely_equal,
    parse_float,
    strictly_equal,
    to_number,
    to_text,
)

SIGNS = {"lessThan": "<", "lessThanInclusive": "<=", "greaterThan": ">", "greaterThanInclusive": ">="}
MONGO_SIGNS = {"$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}


def json_rules(condition: dict[str, Any], facts: dict[str, Any], named: dict[str, Any]) -> bool:
    """A condition of json-rules-engine with undefined facts allowed."""
    if "all" in condition:
        return all(json_rules(each, facts, named) for each in condition["all"])
    if "any" in condition:
        return any(json_rules(each, facts, named) for each in condition["any"])
    if "not" in condition:
        return not json_rules(condition["not"], facts, named)
    if "condition" in condition:
        return json_rules(named[condition["condition"]], facts, named)
    seen = facts.get(condition["fact"], UNDEFINED)
    for step in condition.get("path", "$").split(".")[1:]:
        if not isinstance(seen, list | dict):
            break
        seen = seen.get(step, UNDEFINED) if isinstance(seen, dict) else UNDEFINED
    return json_rules_operator(seen, condition["operator"], condition["value"])


def json_rules_operator(seen: Any, name: str, value: Any) -> bool:
    if name in SIGNS:
        return not math.isnan(parse_float(seen)) and compare(seen, SIGNS[name], value)
    match name:
        case "equal":
            return strictly_equal(seen, value)
        case "notEqual":
            return not strictly_equal(seen, value)
        case "in" | "notIn":
            return any(strictly_equal(seen, item) for item in value) == (name == "in")
        case _:
            if not isinstance(seen, list):
                return False
            return any(strictly_equal(item, value) for item in seen) == (name == "contains")


def growthbook(condition: dict[str, Any], facts: Any, groups: dict[str, Any]) -> bool:
    """A targeting condition of GrowthBook."""
    return all(growthbook_member(key, value, facts, groups) for key, value in condition.items())


def growthbook_member(key: str, value: Any, facts: Any, groups: dict[str, Any]) -> bool:
    match key:
        case "$and":
            return all(growthbook(each, facts, groups) for each in value)
        case "$or":
            return any(growthbook(each, facts, groups) for each in value)
        case "$nor":
            return not any(growthbook(each, facts, groups) for each in value)
        case "$not":
            return not growthbook(value, facts, groups)
        case _:
            return growthbook_value(value, at_path(facts, key, None), groups)


def at_path(facts: Any, path: str, absent: Any) -> Any:
    for part in path.split("."):
        if isinstance(facts, dict) and part in facts:
            facts = facts[part]
        elif isinstance(facts, list) and part.isdigit() and int(part) < len(facts):
            facts = facts[int(part)]
        else:
            return absent
    return facts


def growthbook_value(wanted: Any, seen: Any, groups: dict[str, Any]) -> bool:
    match wanted:
        case str():
            return to_text(seen) == wanted
        case bool():
            return seen is not None and truthy(seen) == wanted
        case int() | float():
            return to_number(seen) == wanted
        case None:
            return seen is None
        case dict() if wanted and all(key.startswith("$") for key in wanted):
            return all(growthbook_operator(seen, name, value, groups) for name, value in wanted.items())
        case _:
            return json.dumps(plain(seen)) == json.dumps(plain(wanted))


def plain(value: Any) -> Any:
    """Whole numbers are written alike, 1 and 1.0."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value == int(value) else value


def growthbook_operator(  # noqa: C901, PLR0911 - one case an operator
    seen: Any, name: str, value: Any, groups: dict[str, Any]
) -> bool:
    if name in MONGO_SIGNS:
        return compare(seen, MONGO_SIGNS[name], value)
    match name:
        case "$eq" | "$ne":
            return strictly_equal(seen, value) == (name == "$eq")
        case "$in" | "$nin":
            return one_of(seen, value) == (name == "$in")
        case "$inGroup" | "$notInGroup":
            return one_of(seen, groups[value]) == (name == "$inGroup")
        case "$exists":
            return (seen is not None) == value
        case "$not":
            return not growthbook_value(value, seen, groups)
        case "$size":
            return isinstance(seen, list) and growthbook_value(value, len(seen), groups)
        case "$elemMatch":
            return isinstance(seen, list) and any(
                truthy(item) and growthbook_value(value, item, groups) for item in seen
            )
        case "$all":
            return isinstance(seen, list) and all(
                any(growthbook_value(each, item, groups) for item in seen) for each in value
            )
        case _:
            return type_of(seen) == value


def one_of(seen: Any, values: list[Any]) -> bool:
    items = seen if isinstance(seen, list) else [seen]
    return any(strictly_equal(item, value) for item in items for value in values)


def type_of(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return "null" if value is None else names[type(value)]


def truthy(value: Any) -> bool:
    return isinstance(value, list | dict) or bool(value)


def json_logic(logic: Any, facts: Any) -> Any:  # noqa: C901, PLR0911 - one case an operation
    """What a logic of JsonLogic gives."""
    if isinstance(logic, list):
        return [json_logic(item, facts) for item in logic]
    if not (isinstance(logic, dict) and len(logic) == 1):
        return logic
    [(name, given)] = logic.items()
    given = given if isinstance(given, list) else [given]
    match name:
        case "and" | "or":
            value = None
            for each in given:
                value = json_logic(each, facts)
                if logic_truthy(value) == (name == "or"):
                    return value
            return value
        case "if" | "?:":
            while len(given) > 1:
                condition, result, *given = given
                if logic_truthy(json_logic(condition, facts)):
                    return json_logic(result, facts)
            return json_logic(given[0], facts) if given else None
        case _:
            return json_logic_operation(name, [json_logic(each, facts) for each in given], facts)


def json_logic_operation(  # noqa: C901, PLR0911 - one case an operation
    name: str, given: list[Any], facts: Any
) -> Any:
    match name:
        case "var":
            found = at_path(facts, str(given[0]), UNDEFINED)
            return (given[1] if len(given) > 1 else None) if found is UNDEFINED else found
        case "!":
            return not logic_truthy(given[0])
        case "!!":
            return logic_truthy(given[0])
        case "==" | "!=":
            return loosely_equal(given[0], given[1]) == (name == "==")
        case "===" | "!==":
            return strictly_equal(given[0], given[1]) == (name == "===")
        case "<" | "<=" | ">" | ">=":
            pairs = list(itertools.pairwise(given))[: 2 if name in "<=" else 1]
            return all(compare(a, name, b) for a, b in pairs)
        case "in":
            needle, hay = given
            if isinstance(hay, list):
                return any(strictly_equal(item, needle) for item in hay)
            return isinstance(hay, str) and hay != "" and to_text(needle) in hay
        case "missing":
            paths = given[0] if given and isinstance(given[0], list) else given
            return [path for path in paths if at_path(facts, str(path), None) in (None, "")]
        case _:
            needed, paths = given
            absent = [path for path in paths if at_path(facts, str(path), None) in (None, "")]
            return [] if len(paths) - len(absent) >= needed else absent


def logic_truthy(value: Any) -> bool:
    return bool(value) if isinstance(value, list) else truthy(value)
