"""The mapper document: every accepted form is read, checked whole and brought into one normal form.

The normal form has every section and every default written out, so that a document means the same under
a later engine, and reading it again gives it back unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, TypeVar

import msgspec

from personakit_sdk.rules.conditions import Condition, check_depth, read_condition, references
from personakit_sdk.rules.inline_case import read_case
from personakit_sdk.rules.limits import DEFAULT_LIMITS, Limits
from personakit_sdk.rules.node import Node, take, take_list, take_object
from personakit_sdk.rules.paths import read_path
from personakit_sdk.rules.rule import LARGEST_WEIGHT, read_id, read_prose, read_rule, read_template

Document = dict[str, Any]

RULE_LANGUAGE: Final = 2
"""The version of the language: another number, and an engine of this one might decide otherwise. With the
second came `purposes`, and that a mapping may be withheld."""

_T = TypeVar("_T")

SECTIONS: Final = (
    "metadata",
    "purposes",
    "required_traits",
    "trait_mappings",
    "conditions",
    "rules",
    "templates",
    "feedback_settings",
    "tests",
)
SEMVER = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
PURPOSE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
MOST_PURPOSES: Final = 32
SETTINGS: Final = {
    "negative_threshold": (5, 1, 1_000_000),
    "negative_window_days": (7, 1, 3650),
    "positive_adjustment": (0.1, 0.0, LARGEST_WEIGHT),
    "negative_adjustment": (-0.2, -LARGEST_WEIGHT, 0.0),
    "min_weight": (0.5, 0.0, LARGEST_WEIGHT),
    "max_weight": (2.0, 0.0, LARGEST_WEIGHT),
}
"""Default, lowest and highest; whole numbers where the default is one."""
PUBLISHING: Final = ("auto", "propose", "off")
"""What becomes of what feedback teaches: the first one where a document says nothing."""
EXPLORATION: Final = "exploration"
"""How far below the best score, as a part of it, those lie that change places; none where it is not given."""
_SHOWN: Final = 8
"""Names of a cycle of conditions that its problem shows."""
_GROWTH: Final = 4
"""A document's text is held to `document_bytes` where it is loaded. What is read here may be the normal
form of such a one, which its defaults make longer, by less than this factor."""


def read_mapper(document: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS) -> Document:
    """The document in normal form. Raises DocumentInvalid with every fault, each at its place in the
    document as it was sent."""
    grown = msgspec.structs.replace(limits, document_bytes=_GROWTH * limits.document_bytes)
    root = Node.root(document, "mapper", limits=grown)
    sections = root.fields(SECTIONS, ("metadata", "rules"))
    templates = take_object(sections, "templates", lambda each: _read_each(each, read_template))
    conditions = take_object(sections, "conditions", lambda each: _read_each(each, read_condition))
    rules = take_list(sections, "rules", lambda each: each.items(at_least=1, at_most=limits.rules))
    read = [read_rule(rule, templates) for rule in rules]
    rule_ids = _check_ids(rules, read)
    normal: Document = {
        "metadata": take_object(sections, "metadata", _read_metadata),
        "required_traits": take_list(sections, "required_traits", _read_paths),
        "trait_mappings": take_object(sections, "trait_mappings", lambda each: _read_each(each, _read_paths)),
        "conditions": conditions,
        "rules": read,
        "templates": templates,
        "feedback_settings": _read_settings(
            sections.get("feedback_settings", root.child("feedback_settings", {}))
        ),
        "tests": take_list(sections, "tests", lambda each: _read_cases(each, rule_ids)),
    }
    named = take_object(sections, "conditions", Node.entries)
    placed = [
        (node.child("conditions", None), rule["conditions"]) for node, rule in zip(rules, read, strict=True)
    ]
    _check_references(conditions, named, placed)
    if "purposes" in sections:
        normal["purposes"] = _read_purposes(sections["purposes"])
    root.refuse_faults("mapper")
    return normal


def purposes_of(document: Document) -> list[str]:
    """What a mapper in normal form is for; nothing where it does not say."""
    found: list[str] = document.get("purposes", [])
    return found


def language_of(document: Document) -> int:
    """The oldest version of the language that says what the document does."""
    return 2 if "purposes" in document else 1


def reference_order(conditions: dict[str, Condition]) -> list[str]:
    """The names of the conditions, each after those that it refers to. Raises CycleError."""
    graph = {name: sorted(references(condition)) for name, condition in conditions.items()}
    return [name for name in TopologicalSorter(graph).static_order() if name in conditions]


def _read_each(node: Node, read: Callable[[Node], _T]) -> dict[str, _T]:
    return {name: read(entry) for name, entry in node.entries().items()}


def _read_cases(node: Node, rule_ids: set[str]) -> list[dict[str, Any]]:
    return [read_case(case, rule_ids) for case in node.items()]


def _read_paths(node: Node) -> list[str]:
    return [read_path(path) for path in node.items(at_most=node.limits.list_items)]


def _read_metadata(node: Node) -> dict[str, Any]:
    """The author's other keys stay as they are."""
    fields = node.entries()
    for key in ("id", "version", "description"):
        if key not in fields:
            node.fault(f"the key {key!r} is missing")
    known: dict[str, Callable[[Node], Any]] = {
        "id": read_id,
        "version": _read_version,
        "name": Node.text,
        "description": read_prose,
    }
    return {key: known[key](field) if key in known else field.value for key, field in fields.items()}


def _read_version(node: Node) -> str:
    text = node.text()
    if text and not SEMVER.fullmatch(text):
        node.fault(f"{text[:64]!r} is no semantic version, such as 1.2.0")
    return text


def _read_purposes(node: Node) -> list[str]:
    """Sorted, for their order says nothing; a mapper that says nothing has none in its normal form."""
    found = {purpose.text(): purpose for purpose in node.items(at_least=1, at_most=MOST_PURPOSES)}
    for name, purpose in found.items():
        if name and not PURPOSE.fullmatch(name):
            purpose.fault(f"the purpose {name[:64]!r} must be 1 to 64 of a-z 0-9 _ and begin with a letter")
    return sorted(found)


def _read_settings(node: Node) -> dict[str, Any]:
    """`publishing` and `exploration` stand in the normal form only where they were given: they came later,
    and no hash changes by a default."""
    fields = node.fields((*SETTINGS, "publishing", EXPLORATION))
    settings: dict[str, Any] = {name: _read_setting(fields, name) for name in SETTINGS}
    if settings["min_weight"] > settings["max_weight"]:
        node.fault("min_weight is above max_weight")
    if "publishing" in fields:
        settings["publishing"] = fields["publishing"].choice("way of publishing", PUBLISHING)
    if EXPLORATION in fields:
        settings[EXPLORATION] = _read_exploration(fields[EXPLORATION])
    return settings


def _read_setting(fields: dict[str, Node], name: str) -> float:
    default, low, high = SETTINGS[name]
    if isinstance(default, int):
        return take(fields, name, lambda node: node.whole(int(low), int(high)), default)
    return take(fields, name, lambda node: node.number(low, high), default)


def _read_exploration(node: Node) -> float:
    width = node.number(0, 1)
    if node.value == 0:
        node.fault("it must be above 0; nothing is explored where it is left out")
    return width


def _check_ids(nodes: list[Node], rules: list[dict[str, Any]]) -> set[str]:
    """The ids of all rules; two of the same are a fault, for feedback could not tell them apart."""
    seen: set[str] = set()
    for node, rule in zip(nodes, rules, strict=True):
        if rule["id"] and rule["id"] in seen:
            node.child("id", rule["id"]).fault(f"another rule has the id {rule['id']!r} already")
        seen.add(rule["id"])
    return seen


def _check_references(
    conditions: dict[str, Condition], named: dict[str, Node], rules: list[tuple[Node, Condition]]
) -> None:
    """Every condition that is referred to must exist, and none may lead back to itself. `named` are the
    places of the named conditions, `rules` those of the rules' conditions."""
    for node, condition in [*((named[name], conditions[name]) for name in conditions), *rules]:
        for name in sorted(references(condition) - conditions.keys()):
            node.unknown(name, "the condition", conditions)
    try:
        order = reference_order(conditions)
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        way = cycle if len(cycle) <= _SHOWN else [*cycle[: _SHOWN - 1], "…", cycle[-1]]
        named[cycle[0]].fault(f"it refers to itself: {' -> '.join(way)}")
        return
    depths: dict[str, int] = {}
    for name in order:
        depths[name] = check_depth(named[name], conditions[name], depths)
    for node, condition in rules:
        check_depth(node, condition, depths)
