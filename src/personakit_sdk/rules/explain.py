"""Why: what became of every rule, and what each of its checks saw."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from personakit_sdk.rules.outcome import Outcome
from personakit_sdk.rules.plan import Plan, PlannedRule
from personakit_sdk.rules.reading import Reading


class Fate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of one suggestion of a rule that fired; `detail` is a sentence. `rank` counts from 1."""

    type: str
    rank: int
    fate: Literal["made", "dropped", "cut"]
    detail: str


class Taught(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A multiplier, and what was believed when it was learned: the rate of good votes, how many votes that
    rests on, of how many personas; `version` is the mapper's that gave it, where that is told."""

    multiplier: float
    rate: float | None
    votes: float
    personas: int
    version: int | None = None


class LearnedFrom(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where what was learned of a rule comes from: what all have of it (`shared`), and the persona's own."""

    shared: Taught | None
    own: Taught | None


class RuleExplanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One rule, fired or not: `detail` says why in a sentence, `conditions` what each check saw.
    `learned_from` is there where anything was learned and it is known where from."""

    id: str
    fired: bool
    detail: str
    priority: int
    weight: float
    learned: float
    score: float
    conditions: Outcome
    suggestions: list[Fate]
    learned_from: LearnedFrom | UnsetType = UNSET


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every rule in the author's order, and the named conditions that rules refer to."""

    rules: list[RuleExplanation]
    conditions: dict[str, Outcome]


def explain_rule(rule: PlannedRule, learned: float, reading: Reading, fates: list[Fate]) -> RuleExplanation:
    """What became of one rule; `fates` are those of its suggestions when it fired."""
    conditions = rule.check.explain(reading)
    fired = rule.enabled and conditions.holds and rule.weight * learned > 0
    return RuleExplanation(
        id=rule.id,
        fired=fired,
        detail=_detail(rule, learned, conditions.holds),
        priority=rule.priority,
        weight=rule.weight,
        learned=learned,
        score=rule.weight * learned,
        conditions=conditions,
        suggestions=fates,
    )


def _detail(rule: PlannedRule, learned: float, holds: bool) -> str:
    if not rule.enabled:
        return "It is disabled."
    if not holds:
        return "Its conditions do not hold."
    if not rule.weight * learned > 0:
        return f"Its weight {rule.weight:g} times what was learned, {learned:g}, is not above 0."
    return "It is enabled, its conditions hold and its score is above 0."


def explain_named(plan: Plan, reading: Reading) -> dict[str, Outcome]:
    """What each named condition saw, sorted by name."""
    return {name: plan.named[name].explain(reading) for name in sorted(plan.named)}
