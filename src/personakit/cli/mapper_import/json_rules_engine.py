"""Rules of json-rules-engine (npm): `all`, `any`, `not`, named conditions, ten operators, events.

A fact that is missing is undefined, as where the engine allows undefined facts; where it does not, the
engine fails. Facts that a function computes cannot be imported, only named.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from personakit.cli.mapper_import.facts import Fact, FactNames, check_segments
from personakit.cli.mapper_import.imported import (
    PLACEHOLDER,
    Imported,
    conditions_of,
    parameters_of,
    rule,
    unique_id,
)
from personakit.cli.mapper_import.javascript import check_constant, is_list, is_real
from personakit.cli.mapper_import.notes import PATHS, SPELLINGS, Notes
from personakit.cli.mapper_import.truth import Truth, all_of, any_of, negation
from personakit_sdk.rules.node import Node
from personakit_sdk.rules.plain import is_list as is_array
from personakit_sdk.rules.plain import is_object

DEFAULT_PRIORITY: Final = 1
_RULE: Final = ("name", "conditions", "event", "priority")
_LEAF: Final = ("fact", "operator", "value", "path", "params", "name", "priority")
_GROUPS: Final = ("all", "any", "not", "condition")
_PATH = re.compile(r"\$((?:\.[A-Za-z0-9_$-]+|\[[0-9]+\]|\['[^'\\]+'\])*)")
_STEP = re.compile(r"\.([A-Za-z0-9_$-]+)|\[([0-9]+)\]|\['([^'\\]+)'\]")
_ORDERS: Final = {
    "lessThan": "less",
    "lessThanInclusive": "less_or_equal",
    "greaterThan": "greater",
    "greaterThanInclusive": "greater_or_equal",
}


def read(root: Node, names: FactNames, notes: Notes) -> Imported:
    """One rule, a list of rules, or `{rules, conditions}` where conditions have names."""
    return _Reader(names, notes).file(root)


class _Reader:
    def __init__(self, names: FactNames, notes: Notes) -> None:
        self._names = names
        self._notes = notes
        self._named: dict[str, Node] = {}

    def file(self, root: Node) -> Imported:
        rules, named = [root], dict[str, Node]()
        if is_array(root.value):
            rules = root.items(at_least=1)
        elif is_object(root.value) and "rules" in root.value:
            fields = root.fields(("rules", "conditions"))
            rules = fields["rules"].items(at_least=1)
            named = fields["conditions"].entries() if "conditions" in fields else {}
        self._named = named
        taken: set[str] = set()
        conditions = {name: conditions_of(node, self._condition(node)) for name, node in named.items()}
        return Imported([self._rule(each, taken) for each in rules], conditions)

    def _rule(self, node: Node, taken: set[str]) -> dict[str, Any]:
        fields = node.fields(_RULE, ("conditions", "event"))
        event = fields["event"].fields(("type", "params"), ("type",)) if "event" in fields else {}
        kind = event["type"].text() if "type" in event else ""
        name = fields["name"].text() if "name" in fields else kind
        given = parameters_of(event["params"]) if "params" in event else {}
        said = given.get("message")
        priority = fields["priority"].whole(1, 1_000_000) if "priority" in fields else DEFAULT_PRIORITY
        truth = self._condition(fields["conditions"]) if "conditions" in fields else PLACEHOLDER
        return rule(
            unique_id(name or kind, taken),
            conditions_of(node, truth),
            kind=kind,
            title=name or kind,
            description=said if isinstance(said, str) and said else f"The event {kind!r}.",
            parameters=given,
            priority=priority - DEFAULT_PRIORITY,
        )

    def _condition(self, node: Node) -> Truth:
        parts = node.entries()
        groups = [key for key in _GROUPS if key in parts]
        if not groups:
            return self._leaf(node)
        for key, part in parts.items():
            if key not in (groups[0], "name", "priority"):
                part.fault(f"{key!r} cannot stand beside {groups[0]!r}")
        return self._group(groups[0], parts[groups[0]])

    def _group(self, kind: str, node: Node) -> Truth:
        if kind == "not":
            return negation(self._condition(node))
        if kind == "condition":
            name = node.text()
            if name and name not in self._named:
                node.fault(f"the condition {name[:64]!r} is not in this file; put it into `conditions`")
            return {"condition": name}
        members = node.items()
        if not members and is_array(node.value):
            node.fault("it is empty, which is always true there and refused here; leave it out")
        return (all_of if kind == "all" else any_of)([self._condition(member) for member in members])

    def _leaf(self, node: Node) -> Truth:
        known = node.fields(_LEAF, ("fact", "operator", "value"))
        if "params" in known:
            known["params"].fault("a fact that is computed from parameters cannot be imported")
        if not known.keys() >= {"fact", "operator", "value"}:
            return PLACEHOLDER
        fact, value = self._fact(known), known["value"]
        if is_object(value.value) and "fact" in value.value:
            value.fault("two facts are compared, for which JavaScript's rules depend on the types of both")
            return PLACEHOLDER
        name = known["operator"].choice("the operator", _OPERATORS)
        return _OPERATORS[name](fact, value, self._notes) if name in _OPERATORS else PLACEHOLDER

    def _fact(self, fields: dict[str, Node]) -> Fact:
        name = fields["fact"].text()
        if "\\" in name:
            fields["fact"].fault("its name has a backslash in it, which paths here cannot say")
        fact = self._names.named(name)
        for segment in self._segments(fields["path"]) if "path" in fields else ():
            fact = fact.member(segment.replace(".", "\\."))
        return fact

    def _segments(self, node: Node) -> list[str]:
        found = _PATH.fullmatch(node.text())
        if found is None:
            node.fault("of JSONPath only names and indexes can be said here, as in $.city.name or $.tags[0]")
            return []
        segments = ["".join(step) for step in _STEP.findall(found[1])]
        if segments:
            check_segments(node, segments)
            self._notes.add(PATHS, node.pointer)
        return segments


def _equal(fact: Fact, node: Node, _: Notes) -> Truth:
    check_constant(node)
    return fact.check("equals", node.value)


def _in(fact: Fact, node: Node, _: Notes) -> Truth:
    items = node.items()
    for item in items:
        check_constant(item)
    return fact.check("in", [item.value for item in items]) if items else False


def _contains(fact: Fact, node: Node, _: Notes) -> Truth:
    check_constant(node)
    return fact.check("contains_any", [node.value])


def _lacks(fact: Fact, node: Node, notes: Notes) -> Truth:
    return all_of([is_list(fact), negation(_contains(fact, node, notes))])


def _order(name: str) -> Callable[[Fact, Node, Notes], Truth]:
    def ordered(fact: Fact, node: Node, notes: Notes) -> Truth:
        if not is_real(node.value):
            node.fault("it must be a number: json-rules-engine orders facts that are numbers only")
        check_constant(node)
        notes.add(SPELLINGS, node.pointer)
        return fact.check(name, node.value)

    return ordered


_OPERATORS: Final[dict[str, Callable[[Fact, Node, Notes], Truth]]] = {
    "equal": _equal,
    "notEqual": lambda fact, node, notes: negation(_equal(fact, node, notes)),
    "in": _in,
    "notIn": lambda fact, node, notes: negation(_in(fact, node, notes)),
    "contains": _contains,
    "doesNotContain": _lacks,
    **{name: _order(ours) for name, ours in _ORDERS.items()},
}
