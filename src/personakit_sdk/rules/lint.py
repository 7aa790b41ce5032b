"""Warnings about a mapper that would run but may not be what its author meant; never refusals."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from personakit_sdk.errors import Fault
from personakit_sdk.rules.conditions import Condition, leaves, needs_of, references
from personakit_sdk.rules.contradiction import contradiction
from personakit_sdk.rules.document import EXPLORATION
from personakit_sdk.rules.operators import number
from personakit_sdk.rules.paths import parse_path
from personakit_sdk.rules.plain import is_list, is_object, pointer_to
from personakit_sdk.rules.plan import Plan
from personakit_sdk.rules.reading import ZONE_TRAIT

_ORDERINGS = ("greater", "greater_or_equal", "less", "less_or_equal")


def lint(plan: Plan, known_traits: Collection[str] | None = None) -> list[Fault]:
    """The warnings, each at its place in the plan's document.

    `known_traits` are the paths that computed traits or mindscapes have; without them no trait is
    reported as unknown.
    """
    return [
        *_unused(plan.document),
        *_duplicates(plan.document),
        *_shadowed(plan.document),
        *_never(plan.document),
        *_unexplored(plan.document),
        *(_unknown_traits(plan, known_traits) if known_traits is not None else ()),
    ]


def _unused(document: dict[str, Any]) -> Iterator[Fault]:
    used = {
        action["generate_suggestion"].get("template")
        for rule in document["rules"]
        for action in rule["actions"]
    }
    for name in document["templates"]:
        if name not in used:
            yield Fault(pointer_to("/templates", name), f"no rule uses the template {name!r}")
    referred = {name for _, condition in _conditions(document) for name in references(condition)}
    for name in document["conditions"]:
        if name not in referred:
            yield Fault(pointer_to("/conditions", name), f"nothing refers to the condition {name!r}")


def _conditions(document: dict[str, Any]) -> Iterator[tuple[str, Condition]]:
    """Every tree of conditions with its pointer."""
    for name, condition in document["conditions"].items():
        yield pointer_to("/conditions", name), condition
    for index, rule in enumerate(document["rules"]):
        yield f"/rules/{index}/conditions", rule["conditions"]


def _duplicates(document: dict[str, Any]) -> Iterator[Fault]:
    """Rules that do the same under the same conditions."""
    seen: dict[bytes, str] = {}
    for index, rule in enumerate(document["rules"]):
        body = _body([rule["conditions"], rule["actions"]])
        first = seen.setdefault(body, rule["id"])
        if first != rule["id"]:
            yield Fault(f"/rules/{index}", f"the rule {rule['id']!r} does what {first!r} does")


def _never(document: dict[str, Any]) -> Iterator[Fault]:
    """Rules that are switched off by weight, and checks that no facts can meet."""
    for index, rule in enumerate(document["rules"]):
        if rule["weight"] <= 0:
            yield Fault(f"/rules/{index}/weight", f"the rule {rule['id']!r} never fires, for its weight is 0")
    for pointer, condition in _conditions(document):
        for why in never_holding(condition, document["conditions"]):
            yield Fault(pointer, f"a condition in it can never hold: {why}")


def _unexplored(document: dict[str, Any]) -> Iterator[Fault]:
    """An exploration that never changes anything: only rules of one priority change places."""
    priorities = [rule["priority"] for rule in document["rules"] if _counts(rule)]
    if EXPLORATION in document["feedback_settings"] and len(set(priorities)) == len(priorities):
        yield Fault(
            f"/feedback_settings/{EXPLORATION}", "nothing is explored, for no two rules have one priority"
        )


def never_holding(condition: Condition, named: Mapping[str, Condition]) -> list[str]:
    """Why something in the condition, references to `named` ones followed, can never hold; empty where
    nothing of that kind is known. What is impossible alone is impossible together, and said once."""
    alone = [why for why in map(_impossible, leaves(condition)) if why]
    together = "" if alone else contradiction(condition, named)
    return alone or ([together] if together else [])


def _shadowed(document: dict[str, Any]) -> Iterator[Fault]:
    """Rules that add nothing: whenever one of them fires, another one fires too, stands no lower, and makes
    the same suggestions. That is so where both have the same actions, and the conditions of the one are among
    the members of the other's `all`."""
    rules = [(index, rule) for index, rule in enumerate(document["rules"]) if _counts(rule)]
    needs = {index: frozenset(map(_body, needs_of(rule["conditions"]))) for index, rule in rules}
    alike: dict[bytes, list[tuple[int, dict[str, Any]]]] = {}
    for index, rule in rules:
        alike.setdefault(_body(rule["actions"]), []).append((index, rule))
    for index, rule in rules:
        for other_index, other in alike[_body(rule["actions"])]:
            if needs[other_index] < needs[index] and _stands_no_lower(other, rule):
                yield Fault(
                    f"/rules/{index}",
                    f"the rule {rule['id']!r} adds nothing: {other['id']!r} makes the same suggestions, "
                    "asks for less and stands no lower",
                )
                break


def _counts(rule: dict[str, Any]) -> bool:
    return bool(rule["enabled"]) and rule["weight"] > 0


def _stands_no_lower(other: dict[str, Any], rule: dict[str, Any]) -> bool:
    return bool(other["priority"] >= rule["priority"] and other["weight"] >= rule["weight"])


def _body(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _impossible(leaf: Condition) -> str:
    if "time_check" in leaf:
        start, end = leaf["time_check"].get("hour_range", (0, 24))
        return f"the hours from {start} to {end} are none" if start == end else ""
    check: dict[str, Any] = leaf.get("trait_check") or leaf.get("context_check") or {}
    operator, value = check.get("operator"), check.get("value")
    if operator in _ORDERINGS and not is_object(value) and not _orderable(value):
        return f"nothing is {operator} than {value!r}; give a number or a text"
    if operator in ("in", "contains_any") and value == []:
        return f"the list of {operator!r} is empty"
    if operator == "between" and is_list(value):
        return _empty_range(value[0], value[1])
    return ""


def _orderable(value: Any) -> bool:
    return isinstance(value, str) or number(value) is not None


def _empty_range(low: Any, high: Any) -> str:
    lowest, highest = number(low), number(high)
    empty = lowest is not None and highest is not None and lowest > highest
    return f"nothing lies between {low!r} and {high!r}" if empty else ""


def _unknown_traits(plan: Plan, known: Collection[str]) -> Iterator[Fault]:
    """Paths that lie in no known trait."""
    for path in sorted({*plan.trait_paths} - {ZONE_TRAIT}):
        if not any(trait_path in known for trait_path, _ in parse_path(path).splits):
            yield Fault("", f"no computed trait or mindscape has the trait {path!r}")
