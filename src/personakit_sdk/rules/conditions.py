"""Conditions as documents: every accepted form is read, checked and brought into the one normal form.

The normal form of a condition is an object with one key: `all` or `any` (a list of conditions), `not` (a
condition), `condition` (the name of one), `trait_check` `{path, operator, value, min_confidence}`,
`context_check` `{field, operator, value}` or `time_check` `{period, hour_range, day_of_week, timezone}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from personakit_sdk.rules.clock import PERIODS, WEEKDAYS, find_zone, weekday, zone_names
from personakit_sdk.rules.node import Node
from personakit_sdk.rules.operators import OPERATORS, instant
from personakit_sdk.rules.paths import read_path
from personakit_sdk.rules.plain import is_object

Condition = dict[str, Any]

KINDS: Final = ("all", "any", "not", "condition", "trait_check", "context_check", "time_check")
CHECKS: Final = ("trait_check", "context_check", "time_check")
_TYPED: Final = {"all": "conditions", "any": "conditions", "not": "condition"}
"""Where the typed form keeps what the normal form keeps under the kind itself."""
_NOTHING: Final[Condition] = {"all": []}
"""What is read where a fault was found; such a document never runs."""


def read_rule_conditions(node: Node) -> Condition:
    """The conditions of a rule: what has no `all` or `any` around it gets an `all`."""
    condition = read_condition(node)
    return condition if condition.keys() & {"all", "any"} else {"all": [condition]}


def read_condition(node: Node) -> Condition:
    """A condition of any accepted form, in the normal form."""
    condition = _read(node)
    count = sum(1 for _ in leaves(condition))
    if count > node.limits.conditions:
        node.fault(f"it has {count} conditions; at most {node.limits.conditions} are taken")
    return condition


def check_depth(node: Node, condition: Condition, named: dict[str, int]) -> int:
    """The depth of a condition, given that of the named ones; notes a fault when it is too deep."""
    levels = depth(condition, named)
    if levels > node.limits.depth:
        node.fault(f"conditions are nested {levels} levels deep; at most {node.limits.depth} are taken")
    return levels


def leaves(condition: Condition) -> Iterator[Condition]:
    """The checks and references in a condition, in the author's order."""
    match condition:
        case {"all": children} | {"any": children}:
            for child in children:
                yield from leaves(child)
        case {"not": child}:
            yield from leaves(child)
        case _:
            yield condition


def needs_of(condition: Condition) -> Iterator[Condition]:
    """What must hold for the condition to hold: the members of its `all`, and of those in it."""
    match condition:
        case {"all": members} | {"any": [_] as members}:
            for member in members:
                yield from needs_of(member)
        case _:
            yield condition


def references(condition: Condition) -> set[str]:
    """The names of the conditions that it refers to."""
    return {leaf["condition"] for leaf in leaves(condition) if "condition" in leaf}


def depth(condition: Condition, named: dict[str, int]) -> int:
    """The groups around its deepest check; a reference counts as one around what it refers to."""
    match condition:
        case {"all": children} | {"any": children}:
            return 1 + max((depth(child, named) for child in children), default=0)
        case {"not": child}:
            return 1 + depth(child, named)
        case {"condition": name}:
            return 1 + named.get(name, 0)
        case _:
            return 0


def _read(node: Node) -> Condition:
    if not is_object(node.value):
        node.entries()
        return _NOTHING
    parts = _parts(node)
    for key, part in parts.items():
        if key not in KINDS:
            part.unknown(key, "the condition", KINDS)
    kinds = [key for key in parts if key in KINDS]
    if len(kinds) != 1:
        node.fault(f"it needs exactly one of {', '.join(KINDS)}; it has {' and '.join(kinds) or 'none'}")
        return _NOTHING
    return _read_kind(kinds[0], parts[kinds[0]])


def _parts(node: Node) -> dict[str, Node]:
    """The keys of a condition, with the typed and the flat form brought into the form with one key."""
    parts = node.entries()
    if "type" not in parts:
        return parts
    kind = parts.pop("type").choice("the type of condition", (*KINDS, "single"))
    sent_as = _TYPED.get(kind)
    if sent_as in parts:
        parts[kind] = parts.pop(sent_as)
    elif kind in CHECKS and kind not in parts:
        values = {key: part.value for key, part in parts.items()}
        return {kind: Node(values, node.pointer, node.faults, node.limits)}
    if kind in KINDS and kind not in parts:
        node.fault(f"its type is {kind!r}, but it has no {sent_as or kind!r}")
    return parts


def _read_kind(kind: str, node: Node) -> Condition:
    match kind:
        case "all" | "any":
            return {kind: [_read(child) for child in node.items(at_least=1)]}
        case "not":
            return {kind: _read(node)}
        case "condition":
            return {kind: node.text()}
        case "time_check":
            return {kind: _read_time_check(node)}
        case "trait_check":
            return {kind: _read_trait_check(node)}
        case _:
            return {kind: _read_context_check(node)}


def _read_trait_check(node: Node) -> dict[str, Any]:
    fields = node.fields(("path", "trait", "operator", "value", "min_confidence"), ("operator",))
    check: dict[str, Any] = {"path": _read_checked_path(node, fields), **_read_comparison(node, fields)}
    if "min_confidence" in fields:
        check["min_confidence"] = fields["min_confidence"].number(0, 1)
    return check


def _read_checked_path(node: Node, fields: dict[str, Node]) -> str:
    """`trait` is taken for `path`."""
    given = [fields[key] for key in ("path", "trait") if key in fields]
    if len(given) == 1:
        return read_path(given[0])
    if is_object(node.value):
        node.fault("it needs a `path`" if not given else "`trait` is another word for `path`; give one")
    return ""


def _read_context_check(node: Node) -> dict[str, Any]:
    fields = node.fields(("field", "operator", "value"), ("field", "operator"))
    field = read_path(fields["field"]) if "field" in fields else ""
    return {"field": field, **_read_comparison(node, fields)}


def _read_comparison(node: Node, fields: dict[str, Node]) -> dict[str, Any]:
    """The operator and its value, `exists: false` resolved to `not_exists`."""
    name = fields["operator"].choice("the operator", OPERATORS) if "operator" in fields else ""
    if name not in OPERATORS:
        return {"operator": name}
    if OPERATORS[name].operand == "none":
        return {"operator": _read_existence(name, fields)}
    if "value" not in fields:
        node.fault(f"the operator {name!r} needs a `value`")
        return {"operator": name}
    return {"operator": name, "value": _read_value(name, fields["value"])}


def _read_existence(name: str, fields: dict[str, Node]) -> str:
    if "value" not in fields or fields["value"].flag():
        return name
    return "not_exists" if name == "exists" else "exists"


def _read_value(name: str, node: Node) -> Any:
    """A constant of the kind that the operator takes, or `{from_trait: …}`, `{from_context: …}`."""
    if is_object(node.value) and {"from_trait", "from_context"} & node.value.keys():
        return read_source(node)
    _OPERANDS[OPERATORS[name].operand](node)
    return node.constant()


def _read_pair(node: Node) -> None:
    _constants(node.items(at_least=2, at_most=2))


def _read_list(node: Node) -> None:
    _constants(node.items())


def _constants(items: Sequence[Node]) -> None:
    """A source inside a list would be compared as an object, and never be equal to anything."""
    for item in items:
        if is_object(item.value) and not {"from_trait", "from_context"}.isdisjoint(item.value):
            item.fault("a list holds constants; take the whole list from one place instead")


def _read_affix(node: Node) -> None:
    if not isinstance(node.value, str):
        node.fault("it must be a text")


def _read_instant(node: Node) -> None:
    if node.value != "now" and instant(node.value) is None:
        node.fault("it must be `now` or an instant with an offset, as in 2026-03-02T09:00:00Z")


def _read_minutes(node: Node) -> None:
    node.number(0, 1e9)


_OPERANDS: Final[dict[str, Callable[[Node], object]]] = {
    "any": lambda _node: None,
    "pair": _read_pair,
    "list": _read_list,
    "text": _read_affix,
    "instant": _read_instant,
    "minutes": _read_minutes,
}


def read_source(node: Node, others: tuple[str, ...] = ()) -> dict[str, str]:
    """`{from_trait: path}` or `{from_context: field}`; `others` are keys that may stand beside it."""
    fields = node.fields(("from_trait", "from_context", *others))
    sources = [key for key in ("from_trait", "from_context") if key in fields]
    if len(sources) != 1:
        node.fault("it takes its value from one place: `from_trait` or `from_context`")
        return {}
    return {sources[0]: read_path(fields[sources[0]])}


def _read_time_check(node: Node) -> dict[str, Any]:
    fields = node.fields(("period", "hour_range", "day_of_week", "timezone"))
    check: dict[str, Any] = {}
    if "period" in fields:
        check["period"] = fields["period"].choice("the period", PERIODS)
    if "hour_range" in fields:
        check["hour_range"] = _read_hours(fields["hour_range"])
    if "day_of_week" in fields:
        check["day_of_week"] = [_read_day(day) for day in fields["day_of_week"].items(at_least=1, at_most=7)]
    if not check and is_object(node.value):
        node.fault("it needs a `period`, an `hour_range` or a `day_of_week`")
    if "timezone" in fields:
        check["timezone"] = _read_zone(fields["timezone"])
    return check


def _read_hours(node: Node) -> list[int]:
    hours = node.items(at_least=2, at_most=2)
    return [hour.whole(0, 23 + index) for index, hour in enumerate(hours)]


def _read_day(node: Node) -> str:
    name = node.text()
    day = weekday(name)
    if day is None and name:
        node.unknown(name, "the day", WEEKDAYS)
    return day or name


def _read_zone(node: Node) -> str:
    name = node.text()
    if name and name != "user_local" and find_zone(name) is None:
        node.unknown(name, "the time zone", (*zone_names(), "user_local"))
    return name
