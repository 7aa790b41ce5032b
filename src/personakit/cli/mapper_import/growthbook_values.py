"""What GrowthBook asks of one attribute: a value to be equal to, or operators on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from personakit.cli.mapper_import import javascript as js
from personakit.cli.mapper_import.facts import Fact
from personakit.cli.mapper_import.notes import KEY_ORDER, LISTS, Notes
from personakit.cli.mapper_import.truth import Truth, all_of, any_of, negation
from personakit_sdk.rules.node import Node
from personakit_sdk.rules.plain import is_list, is_object

Groups = Mapping[str, Node]
"""Saved groups: lists of values, by id."""

_ORDERS: Final = {"$lt": "less", "$lte": "less_or_equal", "$gt": "greater", "$gte": "greater_or_equal"}
_REFUSED: Final = {
    **dict.fromkeys(
        ("$regex", "$regexi"), "there are no regular expressions here; see starts_with and contains"
    ),
    **dict.fromkeys(("$veq", "$vne", "$vgt", "$vgte", "$vlt", "$vlte"), "versions cannot be compared here"),
    **dict.fromkeys(("$ini", "$nini", "$alli"), "texts are compared with their case here"),
}
_LARGEST_SIZE: Final = 10_000


def meets(fact: Fact, node: Node, notes: Notes, groups: Groups) -> Truth:
    """Whether an attribute is as a condition has it: equal to a value, or by every operator."""
    if not _is_operators(node.value):
        return _is_value(fact, node, notes)
    return all_of([_operator(fact, name, each, notes, groups) for name, each in node.entries().items()])


def _is_operators(value: Any) -> bool:
    return is_object(value) and bool(value) and all(key.startswith("$") for key in value)


def _is_value(fact: Fact, node: Node, notes: Notes) -> Truth:
    value = node.value
    match value:
        case None:
            return js.is_nothing(fact)
        case True:
            return fact.check("not_in", [None, False, 0, ""])
        case False:
            return fact.check("in", [False, 0, ""])
        case str():
            notes.add(LISTS, node.pointer)
            return any_of([_one_of(fact, _alike(value)), *_missing(fact, value)])
        case int() | float():
            return js.as_number_equal(fact, node, notes) if js.check_constant(node) else False
        case _:
            if _has_keys(value):
                notes.add(KEY_ORDER, node.pointer)
            return fact.check("equals", value)


def _one_of(fact: Fact, values: list[Any]) -> Truth:
    return fact.check("in", values) if len(values) > 1 else fact.check("equals", values[0])


def _alike(text: str) -> list[Any]:
    """What JavaScript writes as this text."""
    words: dict[str, Any] = {"true": True, "false": False, "null": None}
    number = js.number_of(text) if text else None
    if number is not None and js.text_of(number) == text:
        return [text, js.plain_number(number)]
    return [text, words[text]] if text in words else [text]


def _missing(fact: Fact, text: str) -> list[Truth]:
    return [fact.check("not_exists")] if text == "null" else []


def _has_keys(value: Any) -> bool:
    if is_list(value):
        return any(_has_keys(item) for item in value)
    return is_object(value) and (len(value) > 1 or any(map(_has_keys, value.values())))


def _operator(fact: Fact, name: str, node: Node, notes: Notes, groups: Groups) -> Truth:
    if name in _REFUSED:
        node.fault(f"{name} cannot be imported: {_REFUSED[name]}")
        return False
    if name in _ORDERS:
        return js.ordered(fact, _ORDERS[name], node, notes)
    if name == "$not":
        return negation(meets(fact, node, notes, groups))
    if name in ("$inGroup", "$notInGroup"):
        return _in_group(fact, node, groups, negated=name == "$notInGroup")
    if name not in _OPERATORS:
        node.unknown(name, "the operator", (*_OPERATORS, *_ORDERS, "$not", "$inGroup", "$notInGroup"))
        return False
    return _OPERATORS[name](fact, node, notes)


def _equal(fact: Fact, node: Node, _: Notes) -> Truth:
    return js.strictly_equal(fact, node.value) if js.check_constant(node) else False


def _in(fact: Fact, node: Node, _: Notes | None = None) -> Truth:
    """One of the values or, of a list, at least one element."""
    items = node.items()
    sound = [js.check_constant(item) for item in items]
    if not items or not all(sound):
        return False
    values = [item.value for item in items]
    return any_of([js.one_of(fact, values), fact.check("contains_any", values)])


def _in_group(fact: Fact, node: Node, groups: Groups, *, negated: bool) -> Truth:
    name = node.text()
    if name not in groups:
        node.unknown(name, "the saved group", groups)
        return False
    held = _in(fact, groups[name])
    return negation(held) if negated else held


def _exists(fact: Fact, node: Node, _: Notes) -> Truth:
    there = negation(js.is_nothing(fact))
    return there if node.flag() else js.is_nothing(fact)


def _size(fact: Fact, node: Node, _: Notes) -> Truth:
    """A list is as long as its last index says."""
    wanted = node.entries() if _is_operators(node.value) else {"$eq": node}
    return all_of([js.is_list(fact), *(_length(fact, name, each) for name, each in wanted.items())])


def _length(fact: Fact, name: str, node: Node) -> Truth:
    size = node.whole(0, _LARGEST_SIZE)
    at_least = {"$eq": (size, size + 1), "$gte": (size, None), "$gt": (size + 1, None)}
    at_most = {"$lt": (0, size), "$lte": (0, size + 1), "$ne": (size, size + 1)}
    if name not in at_least | at_most:
        node.unknown(name, "the operator on a size", (*at_least, *at_most))
        return False
    low, above = (at_least | at_most)[name]
    held = all_of([_longer(fact, low), True if above is None else negation(_longer(fact, above))])
    return negation(held) if name == "$ne" else held


def _longer(fact: Fact, size: int) -> Truth:
    return fact.member(str(size - 1)).check("exists") if size else True


def _element(fact: Fact, node: Node, _: Notes) -> Truth:
    """Only elements that are a value: nothing here looks into each element of a list."""
    if not (is_object(node.value) and node.value.keys() == {"$eq"}):
        node.fault("of $elemMatch only {$eq: value} can be said here: no condition looks into each element")
        return False
    wanted = node.entries()["$eq"]
    if not js.check_constant(wanted):
        return False
    if not wanted.value:
        return False  # GrowthBook passes over elements that are null, false, 0 or empty
    return fact.check("contains_any", [wanted.value])


def _all(fact: Fact, node: Node, notes: Notes) -> Truth:
    return all_of([js.is_list(fact), *(_has(fact, item, notes) for item in node.items())])


def _has(fact: Fact, node: Node, notes: Notes) -> Truth:
    if not isinstance(node.value, str):
        node.fault("in $all only texts can be imported: GrowthBook takes many elements for any other value")
        return False
    notes.add(LISTS, node.pointer)
    return fact.check("contains_any", _alike(node.value))


def _type(fact: Fact, node: Node, _: Notes) -> Truth:
    name = node.choice("the type", _TYPES)
    return _TYPES[name](fact) if name in _TYPES else False


def _is_object(fact: Fact) -> Truth:
    others = [js.is_text(fact), js.is_number(fact), _is_flag(fact), js.is_nothing(fact), js.is_list(fact)]
    return negation(any_of(others))


def _is_flag(fact: Fact) -> Truth:
    return fact.check("in", [True, False])


_TYPES: Final[dict[str, Callable[[Fact], Truth]]] = {
    "string": js.is_text,
    "number": js.is_number,
    "boolean": _is_flag,
    "null": js.is_nothing,
    "array": js.is_list,
    "object": _is_object,
}
_OPERATORS: Final[dict[str, Callable[[Fact, Node, Notes], Truth]]] = {
    "$eq": _equal,
    "$ne": lambda fact, node, notes: negation(_equal(fact, node, notes)),
    "$in": _in,
    "$nin": lambda fact, node, notes: negation(_in(fact, node, notes)),
    "$exists": _exists,
    "$size": _size,
    "$elemMatch": _element,
    "$all": _all,
    "$type": _type,
}
