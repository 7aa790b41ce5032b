"""A mapper's own tests as documents: what is given, and what is expected of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from personakit_sdk.rules.clock import find_zone, zone_names
from personakit_sdk.rules.node import Node, take, take_object
from personakit_sdk.rules.operators import instant
from personakit_sdk.rules.paths import segments_of
from personakit_sdk.rules.rule import read_free

SUGGESTION_KEYS: Final = (
    "rule_id",
    "type",
    "title",
    "description",
    "priority",
    "weight",
    "learned",
    "score",
    "parameters",
    "metadata",
)
_LARGEST_MULTIPLIER: Final = 1000.0


def read_case(node: Node, rule_ids: Collection[str]) -> dict[str, Any]:
    """`{name, given: {traits, context, at, timezone, learned}, expect: {rules, suggestions}}`."""
    fields = node.fields(("name", "given", "expect"), ("name", "expect"))
    return {
        "name": take(fields, "name", Node.text, ""),
        "given": take_object(fields, "given", lambda given: _read_given(given, rule_ids)),
        "expect": take_object(fields, "expect", lambda expect: _read_expect(expect, rule_ids)),
    }


def _read_given(node: Node, rule_ids: Collection[str]) -> dict[str, Any]:
    readers: dict[str, Callable[[Node], Any]] = {
        "traits": _read_traits,
        "context": read_free,
        "at": _read_instant,
        "timezone": _read_zone,
        "learned": lambda learned: _read_learned(learned, rule_ids),
    }
    return {key: readers[key](field) for key, field in node.fields(readers).items()}


def _read_traits(node: Node) -> dict[str, Any]:
    return {path: _read_trait(path, value) for path, value in node.entries().items()}


def _read_trait(path: str, node: Node) -> Any:
    if not all(segments_of(path)):
        node.fault(f"the path {path[:64]!r} has an empty segment")
    return node.value


def _read_instant(node: Node) -> str:
    text = node.text()
    if text and instant(text) is None:
        node.fault("it must be an instant with an offset, as in 2026-03-02T09:00:00Z")
    return text


def _read_zone(node: Node) -> str:
    name = node.text()
    if name and find_zone(name) is None:
        node.unknown(name, "the time zone", zone_names())
    return name


def _read_learned(node: Node, rule_ids: Collection[str]) -> dict[str, float]:
    learned: dict[str, float] = {}
    for rule_id, multiplier in node.entries().items():
        if rule_id not in rule_ids:
            multiplier.unknown(rule_id, "the rule", rule_ids)
        learned[rule_id] = multiplier.number(0, _LARGEST_MULTIPLIER)
    return learned


def _read_expect(node: Node, rule_ids: Collection[str]) -> dict[str, Any]:
    readers: dict[str, Callable[[Node], Any]] = {
        "rules": lambda rules: [rule.choice("the rule", rule_ids) for rule in rules.items()],
        "suggestions": lambda each: [_read_suggestion(suggestion) for suggestion in each.items()],
    }
    return {key: readers[key](field) for key, field in node.fields(readers, ("rules",)).items()}


def _read_suggestion(node: Node) -> dict[str, Any]:
    return {key: value.value for key, value in node.fields(SUGGESTION_KEYS).items()}
