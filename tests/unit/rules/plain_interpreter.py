"""A second reading of the language, deliberately plain: no plan, no specialising, every sentence as it
stands. It is slow, and it is what the engine is held against (`test_rule_interpreter.py`)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from personakit_sdk.rules import Facts, TraitFact
from personakit_sdk.rules.facts import confidence

DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
NOTHING = object()


def fired(document: Mapping[str, Any], facts: Facts, learned: Mapping[str, float]) -> list[str]:
    """The ids of the rules of a mapper in normal form that fire, in the order of their suggestions."""
    made = []
    for rule in document["rules"]:
        score = rule["weight"] * learned.get(rule["id"], 1)
        if rule["enabled"] and score > 0 and holds(rule["conditions"], facts, document["conditions"]):
            for action in rule["actions"]:
                says = action["generate_suggestion"]
                texts = document["templates"][says["template"]] if "template" in says else says
                made.append((-rule["priority"], -score, URGENCY[texts["priority"]], len(made), rule["id"]))
    ids: list[str] = []
    for *_, rule_id in sorted(made):
        if rule_id not in ids:
            ids.append(rule_id)
    return ids


def holds(condition: Mapping[str, Any], facts: Facts, named: Mapping[str, Any] | None = None) -> bool:
    """Whether a condition in normal form holds; `named` are those it may refer to."""
    ((kind, asked),) = condition.items()
    match kind:
        case "all":
            found = all(holds(each, facts, named) for each in asked)
        case "any":
            found = any(holds(each, facts, named) for each in asked)
        case "not":
            found = not holds(asked, facts, named)
        case "condition":
            found = holds((named or {})[asked], facts, named)
        case "time_check":
            found = time_holds(asked, facts)
        case "context_check":
            found = comparison_holds(asked, enter(facts.context, segments(asked["field"])), facts)
        case _:
            seen, trait = trait_at(asked["path"], facts.traits)
            doubted = trait is not None and confidence(trait, facts.at) < asked.get("min_confidence", 0)
            found = not doubted and comparison_holds(asked, seen, facts)
    return found


def segments(path: str) -> list[str]:
    return [part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", path)]


def enter(value: Any, way: list[str]) -> Any:
    for segment in way:
        if isinstance(value, dict):
            value = value.get(segment, NOTHING)
        elif isinstance(value, list) and re.fullmatch("[0-9]+", segment):
            value = value[int(segment)] if int(segment) < len(value) else NOTHING
        else:
            return NOTHING
    return value


def trait_at(path: str, traits: Mapping[str, TraitFact]) -> tuple[Any, TraitFact | None]:
    """The value at a path and the trait it lies in; of two traits that it could lie in, the longer path."""
    parts = re.split(r"(?<!\\)\.", path)
    for length in range(len(parts), 0, -1):
        trait = traits.get(".".join(parts[:length]))
        if trait is not None:
            return enter(trait.value, segments(path)[length:]), trait
    return NOTHING, None


def comparison_holds(asked: Mapping[str, Any], seen: Any, facts: Facts) -> bool:
    name = asked["operator"]
    if name in {"exists", "not_exists"}:
        return (seen is not NOTHING) == (name == "exists")
    wanted = operand(asked["value"], facts)
    if seen is NOTHING or wanted is NOTHING:
        return False
    positive = name.removeprefix("not_")
    if positive in OF_INSTANTS:
        found = instant_holds(name, seen, wanted, facts.at)
    elif positive in OF_ORDER:
        found = ordered(name, seen, wanted)
    else:
        found = RELATIONS[positive](seen, wanted)
    return found == (name == positive)


def operand(value: Any, facts: Facts) -> Any:
    match value:
        case {"from_trait": str(path)}:
            return trait_at(path, facts.traits)[0]
        case {"from_context": str(field)}:
            return enter(facts.context, segments(field))
        case _:
            return value


def kind_of(value: Any) -> str:
    return "number" if type(value) in {int, float} else type(value).__name__


def same(a: Any, b: Any) -> bool:
    if kind_of(a) != kind_of(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return set(a) == set(b) and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def has(items: list[Any], wanted: Any) -> bool:
    return any(same(item, wanted) for item in items)


def between(seen: Any, wanted: Any) -> bool:
    return (
        isinstance(wanted, list)
        and len(wanted) == 2
        and ordered("greater_or_equal", seen, wanted[0])
        and ordered("less_or_equal", seen, wanted[1])
    )


def contains(seen: Any, wanted: Any) -> bool:
    if isinstance(seen, list):
        return has(seen, wanted)
    return texts(seen, wanted) and wanted in seen


def lists(seen: Any, wanted: Any) -> bool:
    return isinstance(seen, list) and isinstance(wanted, list)


def texts(seen: Any, wanted: Any) -> bool:
    return isinstance(seen, str) and isinstance(wanted, str)


def as_number(value: Any) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value) and len(value) <= 400:
        value = int(value)
    elif isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", value):
        value = float(value)
    if kind_of(value) != "number" or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return float(value) if isinstance(value, float) else int(value)


def ordered(name: str, seen: Any, wanted: Any) -> bool:
    left: Any = as_number(seen)
    right: Any = as_number(wanted)
    if left is None or right is None:
        if not isinstance(seen, str) or not isinstance(wanted, str):
            return False
        left, right = seen, wanted
    if name.startswith("greater"):
        return bool(left > right or (left == right and name == "greater_or_equal"))
    return bool(left < right or (left == right and name == "less_or_equal"))


def as_instant(value: Any) -> datetime | None:
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d[Tt ]", value):
        return None
    try:
        then = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if then.tzinfo is None else then


def instant_holds(name: str, seen: Any, wanted: Any, at: datetime) -> bool:
    then = as_instant(seen)
    if then is None:
        return False
    if name == "within_minutes":
        return kind_of(wanted) == "number" and 0 <= (then - at).total_seconds() <= wanted * 60
    other = at if wanted == "now" else as_instant(wanted)
    if other is None:
        return False
    return then < other if name == "before" else then > other


def time_holds(asked: Mapping[str, Any], facts: Facts) -> bool:
    now = local(asked.get("timezone", "user_local"), facts)
    start, end = asked.get("hour_range", [0, 24])
    inside = start <= now.hour < end if start <= end else not end <= now.hour < start
    return (
        inside
        and asked.get("period", period(now.hour)) == period(now.hour)
        and DAYS[now.weekday()] in asked.get("day_of_week", DAYS)
    )


def period(hour: int) -> str:
    if 5 <= hour < 12:
        return "morning"
    if 12 <= hour < 17:
        return "afternoon"
    return "evening" if 17 <= hour < 21 else "night"


def local(zone: str, facts: Facts) -> datetime:
    names = [zone]
    if zone == "user_local":
        names = [trait_at("profile.timezone", facts.traits)[0], facts.context.get("timezone")]
    known = [name for name in names if isinstance(name, str) and name in ZONES]
    try:
        return facts.at.astimezone(ZoneInfo(known[0]) if known else UTC)
    except OverflowError:
        return facts.at.replace(tzinfo=UTC)


URGENCY = {"high": 0, "medium": 1, "low": 2}
OF_INSTANTS = {"before", "after", "within_minutes"}
OF_ORDER = {"greater", "greater_or_equal", "less", "less_or_equal"}
RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "equals": same,
    "between": between,
    "in": lambda seen, wanted: isinstance(wanted, list) and has(wanted, seen),
    "contains": contains,
    "contains_any": lambda seen, wanted: lists(seen, wanted) and any(has(seen, item) for item in wanted),
    "contains_all": lambda seen, wanted: lists(seen, wanted) and all(has(seen, item) for item in wanted),
    "starts_with": lambda seen, wanted: texts(seen, wanted) and seen.startswith(wanted),
    "ends_with": lambda seen, wanted: texts(seen, wanted) and seen.endswith(wanted),
}
ZONES = {"UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"}
