"""Mappers and facts by chance, from few words, so that what is seen is often what is wanted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from personakit_sdk.rules import Facts, TraitFact
from personakit_sdk.rules.operators import OPERATORS
from tests.unit.rules.mapper_cases import mapper

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
TEXTS = ["", "1", "1.0", "+2", "-3", "1e1", "9007199254740993", "1e999", "a", "b", "ab", "é", "now"]
TIMES = ["2026-03-02T09:00:00Z", "2026-03-02T10:00:00+01:00", "2026-03-02T09:30:00Z", "2026-03-02T09:00:00"]
NUMBERS = [0, 1, 2, -3, 10, 9007199254740993, 2.0**53, 1.0, 1.5, -0.0, 0.1]
SCALARS = [*TEXTS, *TIMES, *NUMBERS, True, False, None]
ODD = [float("nan"), float("inf"), float("-inf"), 10**400]
PATHS = ["a", "b", "a.b", "a.0", "a.b.a", "b.a", r"a\.b", "c", "d", "profile.timezone"]
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]
DAYS = ["mon", "Tuesday", "WED", "thursday", "fri", "Sat", "sunday"]


def random_mapper(chance: Random, rules: int) -> dict[str, Any]:
    """A document of so many rules, each with one to three suggestions, over three named conditions."""
    named: dict[str, Any] = {}
    for name in ("first", "second", "third"):
        named[name] = condition(chance, list(named), 1)
    templates = {
        urgency: {"title": "t", "description": "d", "priority": urgency} for urgency in ("high", "low")
    }
    return mapper(
        *[_rule(chance, number, list(named)) for number in range(rules)],
        conditions=named,
        templates=templates,
    )


def _rule(chance: Random, number: int, named: list[str]) -> dict[str, Any]:
    says = [
        {"type": "n", "template": "high"},
        {"type": "n", "template": "low"},
        {"type": "n", "title": "t", "description": "d"},
    ]
    return {
        "id": f"r{number}",
        "enabled": chance.random() > 0.05,
        "priority": chance.randint(-1, 1),
        "weight": chance.choice([0, 0.5, 1, 1, 2]),
        "conditions": condition(chance, named, 2),
        "actions": [{"generate_suggestion": each} for each in chance.sample(says, chance.randint(1, 3))],
    }


def condition(chance: Random, named: list[str], depth: int) -> dict[str, Any]:
    """Mostly an `all` of a few checks, as authors write them; sometimes anything."""
    kind = chance.choices(["all", "any", "not", "check"], [6, 2, 1, 3])[0] if depth else "check"
    if kind == "check":
        return _check(chance, named)
    if kind == "not":
        return {"not": condition(chance, named, depth - 1)}
    return {kind: [condition(chance, named, depth - 1) for _ in range(chance.randint(1, 3))]}


def _check(chance: Random, named: list[str]) -> dict[str, Any]:
    kind = chance.choices(["trait", "context", "time", "named"], [8, 3, 1, 1])[0]
    if kind == "time":
        return {"time_check": _time(chance)}
    if kind == "named" and named:
        return {"condition": chance.choice(named)}
    comparison = _comparison(chance)
    if kind == "context":
        return {"context_check": {"field": chance.choice(PATHS), **comparison}}
    believed = {"min_confidence": chance.choice([0.2, 0.5, 1.0])} if chance.random() < 0.2 else {}
    return {"trait_check": {"path": chance.choice(PATHS), **comparison, **believed}}


def _comparison(chance: Random) -> dict[str, Any]:
    name = chance.choice([*OPERATORS, "equals", "in", "greater", "less", "between", "contains"])
    operand = OPERATORS[name].operand
    if operand == "none":
        return {"operator": name}
    if chance.random() < 0.1:
        return {
            "operator": name,
            "value": {chance.choice(["from_trait", "from_context"]): chance.choice(PATHS)},
        }
    wanted: dict[str, Callable[[], Any]] = {
        "any": lambda: value(chance),
        "pair": lambda: [chance.choice(SCALARS), chance.choice(SCALARS)],
        "list": lambda: [value(chance, 1) for _ in range(chance.randint(0, 3))],
        "text": lambda: chance.choice(TEXTS),
        "instant": lambda: chance.choice(["now", *TIMES[:3]]),
        "minutes": lambda: chance.choice([0, 29.5, 30, 31]),
    }
    return {"operator": name, "value": wanted[operand]()}


def _time(chance: Random) -> dict[str, Any]:
    parts = {
        "period": chance.choice(["morning", "afternoon", "evening", "night"]),
        "hour_range": [chance.randint(0, 23), chance.randint(0, 24)],
        "day_of_week": chance.sample(DAYS, 4),
    }
    given = {name: parts[name] for name in chance.sample(sorted(parts), chance.randint(1, 2))}
    return given | ({"timezone": chance.choice([*ZONES, "user_local"])} if chance.random() < 0.5 else {})


def value(chance: Random, depth: int = 2) -> Any:
    """A scalar, or a small list or object."""
    if not depth or chance.random() < 0.8:
        return chance.choice(SCALARS)
    if chance.random() < 0.6:
        return [value(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    return {key: value(chance, depth - 1) for key in chance.sample(["a", "b", "0"], chance.randint(0, 3))}


def random_facts(chance: Random) -> Facts:
    """What is at some of the paths; sometimes what no document could hold."""
    return Facts(
        traits={path: _trait(chance) for path in PATHS if chance.random() < 0.6},
        context={path: _seen(chance) for path in [*PATHS, "timezone"] if chance.random() < 0.6},
        at=AT + timedelta(hours=chance.randint(0, 170), minutes=chance.choice([0, 0, 30])),
    )


def _seen(chance: Random) -> Any:
    return chance.choices([value(chance), chance.choice(ODD), chance.choice(ZONES)], [18, 1, 1])[0]


def _trait(chance: Random) -> TraitFact:
    if chance.random() < 0.5:
        return TraitFact(value=_seen(chance))
    return TraitFact(
        value=_seen(chance),
        weight=chance.choice([0.0, 1.0, 4.0, 100.0]),
        spread=chance.choice([0.0, 0.5, 1.0]),
        last_observed_at=AT - timedelta(days=3),
        half_life_days=chance.choice([None, 3.0]),
    )
