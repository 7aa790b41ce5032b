"""Every comparison of the three engines, with every kind of constant, on every kind of fact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from personakit.cli.mapper_import.command import convert
from personakit.cli.mapper_import.facts import FactNames
from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules import Facts, compile_condition
from tests.unit.cli.mapper_import import reference_engines as reference
from tests.unit.cli.mapper_import.test_imported_laws import AT, GROUPS

SCALARS: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    2,
    5,
    -1,
    0.5,
    "",
    "a",
    "abc",
    "0",
    "1",
    "5",
    "5.0",
    "true",
    "null",
]
USUAL: list[Any] = [*SCALARS, 10, "b", "10", "-1", "false", "2026-01-01", "10 minutes"]
ODD: list[Any] = [
    " 5",
    ".5",
    "0x5",
    "Infinity",
    "é",
    [],
    ["a"],
    [5],
    ["a", "b"],
    [None],
    [0, 1],
    [[]],
    {},
    {"b": 1},
]
LISTS: list[Any] = [[], ["a"], ["a", 5], [None, True], ["", 0]]
Decide = Callable[[Any, dict[str, Any]], bool]


def facts(values: list[Any]) -> Iterator[dict[str, Any]]:
    yield {}
    yield from ({"a": value} for value in values)


def differences(source: str, rules: Any, logic: Any, decide: Decide) -> Iterator[tuple[Any, Any]]:
    """The facts that an import decides otherwise than its engine; None where it is refused."""
    made = convert(source, rules, FactNames(), "m")
    [*_, rule] = made.document["rules"]
    holds = compile_condition(rule["conditions"])
    for given in facts(USUAL if made.notes else USUAL + ODD):
        if holds(Facts(traits={}, context=given, at=AT)) != decide(logic, given):
            yield logic, given


def check(source: str, cases: list[tuple[Any, Any]], decide: Decide, taken: float) -> None:
    """No case differs, and at least so many of them (a share) are taken: what is refused shows nothing."""
    found, refused = list[Any](), 0
    for rules, logic in cases:
        try:
            found += differences(source, rules, logic, decide)
        except DocumentInvalid:
            refused += 1
    assert found == []
    assert 1 - refused / len(cases) >= taken


def test_json_rules_engine() -> None:
    leaves = [
        {"fact": "a", "operator": name, "value": value}
        for name, value in [
            *product(["equal", "notEqual", "contains", "doesNotContain"], SCALARS),
            *product(["in", "notIn"], [each for each in LISTS if each]),
            *product(reference.SIGNS, [0, 1, 5, -1, 0.5]),
        ]
    ]
    cases = [({"conditions": leaf, "event": {"type": "e"}}, leaf) for leaf in leaves]
    check("json-rules-engine", cases, lambda leaf, given: reference.json_rules(leaf, given, {}), 1.0)


def test_growthbook() -> None:
    operators = [
        *({name: value} for name, value in product(["$eq", "$ne"], SCALARS)),
        *({name: value} for name, value in product(reference.MONGO_SIGNS, SCALARS)),
        *({name: value} for name, value in product(["$in", "$nin"], [each for each in LISTS if each])),
        *({"$exists": value} for value in (True, False)),
        *(
            {"$size": value}
            for value in (0, 1, 2, {"$gt": 0}, {"$lt": 2}, {"$gte": 1}, {"$lte": 0}, {"$ne": 1})
        ),
        *({"$elemMatch": {"$eq": value}} for value in SCALARS),
        *({"$all": value} for value in ([], ["a"], ["a", "b"], ["5"], ["null"])),
        *({"$type": name} for name in ("string", "number", "boolean", "null", "array", "object")),
        *({name: "beta"} for name in ("$inGroup", "$notInGroup")),
    ]
    values = [*SCALARS, *LISTS, {"b": 1}, *operators, *({"$not": value} for value in [*operators, *SCALARS])]

    def payload(value: Any) -> Any:
        rules = [{"condition": {"a": value}, "force": True}]
        return {"features": {"f": {"rules": rules}}, "savedGroups": GROUPS}

    cases = [(payload(value), {"a": value}) for value in values]
    check("growthbook", cases, lambda each, given: reference.growthbook(each, given, GROUPS), 0.75)


@pytest.mark.parametrize("turned", [False, True])
def test_jsonlogic(turned: bool) -> None:
    names = ["==", "!=", "===", "!==", "<", "<=", ">", ">="]
    variable = {"var": "a"}
    compared = [
        {name: [value, variable] if turned else [variable, value]} for name, value in product(names, SCALARS)
    ]
    others = [
        variable,
        {"!": variable},
        {"!!": [variable]},
        *({"var": ["a", value]} for value in SCALARS),
        *({name: [low, variable, high]} for name, low, high in product(["<", "<="], [0, 1], [1, 5, 10])),
        *({"in": [variable, values]} for values in LISTS if values),
        *({"in": [value, variable]} for value in SCALARS),
        {"missing": "a"},
        {"missing": ["a", "b"]},
        {"missing_some": [1, ["a", "b"]]},
        {"if": [variable, {"!": variable}, {"==": [variable, 0]}]},
    ]

    def decide(logic: Any, given: dict[str, Any]) -> bool:
        return reference.logic_truthy(reference.json_logic(logic, given))

    check("jsonlogic", [(logic, logic) for logic in [*compared, *others]], decide, 0.8)
