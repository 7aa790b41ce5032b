"""Mappers of any number of rules and people for them, made up so that about one rule in twenty fires."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from personakit_sdk.rules import Facts, TraitFact
from personakit_sdk.rules.limits import Limits

UNBOUNDED: Final = Limits(rules=100_000, document_bytes=64 * 2**20)
"""What the largest documents here need; a service takes 2,000 rules and 256 KiB unless it says otherwise."""
AREAS: Final = ("work", "calendar", "wellbeing", "learning", "home", "travel", "music", "money")
PERIODS: Final = ("morning", "afternoon", "evening", "night")
WORDS: Final = tuple(f"word_{number}" for number in range(8))
TAGS: Final = tuple(f"tag_{number}" for number in range(12))
_KINDS: Final = ("word", "number", "number", "word", "tags", "word", "number", "number", "word", "flag")
_BEGAN: Final = datetime(2026, 3, 2, tzinfo=UTC)

Check = dict[str, Any]
Values = dict[str, Any]


def paths(count: int) -> dict[str, str]:
    """Paths with the kind of their values, `word`, `number`, `tags` or `flag`; every fifth is one of the
    members `p50`, `p90` of a trait that is an object."""
    return {_path(number): _KINDS[number % len(_KINDS)] for number in range(count)}


def _path(number: int) -> str:
    area = AREAS[number // 10 % len(AREAS)]
    if number % 5 != 2:
        return f"{area}.trait_{number}"
    return f"{area}.spread_{number // 10}.p{50 if number % 10 < 5 else 90}"


def many_rules(count: int, over: dict[str, str], seed: int = 1) -> dict[str, Any]:
    """A mapper of `count` rules, each with three checks of its own; every tenth looks at the clock too."""
    chance = random.Random(seed)
    return {
        "metadata": {"id": "many_rules", "version": "1.0.0", "description": f"{count} rules"},
        "rules": [_rule(number, over, chance) for number in range(count)],
    }


def _rule(number: int, over: dict[str, str], chance: random.Random) -> dict[str, Any]:
    chosen = chance.sample(sorted(over), 3)
    checks = [{"trait_check": {"path": path, **_comparison(over[path], chance)}} for path in chosen]
    clock = [{"time_check": {"period": chance.choice(PERIODS)}}] if number % 10 == 0 else []
    suggestion = {
        "type": "note",
        "title": f"What rule {number} says of {{seen}}",
        "description": "Take ten minutes today to see what follows from {seen}.",
        "parameters": {"seen": {"from_trait": chosen[0]}},
    }
    return {
        "id": f"rule_{number}",
        "priority": number % 5,
        "weight": chance.choice((0.5, 1.0, 2.0)),
        "conditions": {"all": [*checks, *clock]},
        "actions": [{"generate_suggestion": suggestion}],
    }


def _comparison(kind: str, chance: random.Random) -> Check:
    match kind:
        case "word":
            if chance.random() < 0.6:
                return {"operator": "equals", "value": chance.choice(WORDS[:4])}
            return {"operator": "in", "value": chance.sample(WORDS, 3)}
        case "number":
            return _threshold(chance)
        case "tags":
            return {"operator": "contains", "value": chance.choice(TAGS)}
        case _:
            return {"operator": "equals", "value": chance.random() < 0.5}


def _threshold(chance: random.Random) -> Check:
    bound = round(chance.uniform(20, 80), 1)
    operator = chance.choice(("greater", "greater_or_equal", "less", "less_or_equal", "between"))
    return {"operator": operator, "value": bound if operator != "between" else [bound - 20, bound + 20]}


def people(count: int, over: dict[str, str], seed: int = 2) -> list[Values]:
    """What is at each path, of `count` people; one path in twenty is missing."""
    chance = random.Random(seed)
    return [
        {path: _value(kind, chance) for path, kind in over.items() if chance.random() > 0.05}
        for _ in range(count)
    ]


def _value(kind: str, chance: random.Random) -> Any:
    match kind:
        case "word":
            return chance.choice(WORDS[:4] if chance.random() < 0.8 else WORDS)
        case "number":
            return round(chance.uniform(0, 100), 1)
        case "tags":
            return chance.sample(TAGS, chance.randint(1, 6))
        case _:
            return chance.random() < 0.5


def instant(number: int) -> datetime:
    """When the person with that number is asked about: hours apart, so that every period comes up."""
    return _BEGAN + timedelta(hours=7 * number)


def facts(values: Values, at: datetime) -> Facts:
    """The values as traits; members of one object as one trait."""
    traits: dict[str, Any] = {}
    for path, value in values.items():
        parent, _, member = path.rpartition(".")
        if member in {"p50", "p90"}:
            traits.setdefault(parent, {})[member] = value
        else:
            traits[path] = value
    return Facts(traits={path: TraitFact(value=value) for path, value in traits.items()}, context={}, at=at)


def nested(values: Values) -> dict[str, Any]:
    """The values as one object, a level for every segment of their paths."""
    whole: dict[str, Any] = {}
    for path, value in values.items():
        *way, last = path.split(".")
        place = whole
        for segment in way:
            place = place.setdefault(segment, {})
        place[last] = value
    return whole
