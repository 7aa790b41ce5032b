"""Why: the checks that a suggestion rests on, and what became of every rule and why."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from personakit_sdk.rules.checks import Check, Outcome
from personakit_sdk.rules.plan import Plan, PlannedRule
from personakit_sdk.rules.reading import Reading

REASONS_KEPT: Final = 32
"""Reasons that one suggestion carries; a rule has at most 64 checks, but may refer to many more."""

_KINDS: Final[dict[str, Literal["trait", "context", "time"]]] = {
    "trait_check": "trait",
    "context_check": "context",
    "time_check": "time",
}


class Reason(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One check that a suggestion rests on.

    `path` is a trait's path or a context field and absent for time. `negated` says that the rule needed
    the check to fail, and it did. `seen` is absent where the path was missing.
    """

    kind: Literal["trait", "context", "time"]
    path: str | UnsetType = UNSET
    operator: str | UnsetType = UNSET
    wanted: Any = UNSET
    seen: Any = UNSET
    confidence: float | UnsetType = UNSET
    negated: bool = False


class Fate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of one suggestion of a rule that fired; `detail` is a sentence. `rank` counts from 1."""

    type: str
    rank: int
    fate: Literal["made", "dropped", "cut"]
    detail: str


class RuleExplanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One rule, fired or not: `detail` says why in a sentence, `conditions` what each check saw."""

    id: str
    fired: bool
    detail: str
    priority: int
    weight: float
    learned: float
    score: float
    conditions: Outcome
    suggestions: list[Fate]


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every rule in the author's order, and the named conditions that rules refer to."""

    rules: list[RuleExplanation]
    conditions: dict[str, Outcome]


def reasons(rule: PlannedRule, named: dict[str, Check], reading: Reading) -> list[Reason]:
    """The checks that a fired rule rests on, each once, in the author's order."""
    followed: set[str] = set()

    def supporting(outcome: Outcome, needed: bool) -> Iterator[Reason]:
        if outcome.kind == "not":
            yield from supporting(outcome.conditions[0], not needed)
        elif outcome.kind in _KINDS:
            yield _reason(outcome, negated=not needed)
        elif isinstance(outcome.name, str):
            if outcome.name not in followed:
                followed.add(outcome.name)
                yield from supporting(named[outcome.name].explain(reading), needed)
        else:
            for child in outcome.conditions:
                if child.holds == needed:
                    yield from supporting(child, needed)

    return list(islice(supporting(rule.check.explain(reading), True), REASONS_KEPT))


def _reason(outcome: Outcome, *, negated: bool) -> Reason:
    return Reason(
        kind=_KINDS[outcome.kind],
        path=outcome.path,
        operator=outcome.operator,
        wanted=outcome.wanted,
        seen=outcome.seen,
        confidence=outcome.confidence,
        negated=negated,
    )


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
