"""The multipliers that a mapping uses: the mapper's and the persona's own, and what each rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from personakit.domain.events import RuleEvidence
from personakit_sdk.rules.explain import Explanation, LearnedFrom, Taught
from personakit_sdk.rules.learned import combined


class Weights(NamedTuple):
    """What was learned of a mapper's rules, for all or for one persona, the evidence behind it, and, where it
    is told, which version of the mapper gave each rule its multiplier."""

    learned: Mapping[str, float] = {}
    evidence: Mapping[str, RuleEvidence] = {}
    moved: Mapping[str, int] = {}


NOTHING = Weights()


def weights_in(row: Mapping[str, Any]) -> Weights:
    """Those in a row of a read model, or in what it keeps of a persona."""
    return Weights(
        msgspec.convert(row["learned"], dict[str, float]),
        msgspec.convert(row["evidence"], dict[str, RuleEvidence]),
        row.get("moved", {}),
    )


def effective(shared: Weights, own: Weights, document: Mapping[str, Any]) -> dict[str, float]:
    """By rule, what a weight is multiplied with."""
    return combined(shared.learned, own.learned, document["feedback_settings"])


def with_evidence(explanation: Explanation, shared: Weights, own: Weights) -> Explanation:
    """The explanation, saying of each rule of which anything was learned where its multiplier comes from."""
    rules = [
        msgspec.structs.replace(
            rule, learned_from=LearnedFrom(shared=_taught(shared, rule.id), own=_taught(own, rule.id))
        )
        if rule.id in shared.learned or rule.id in own.learned
        else rule
        for rule in explanation.rules
    ]
    return msgspec.structs.replace(explanation, rules=rules)


def _taught(weights: Weights, rule: str) -> Taught | None:
    if rule not in weights.learned:
        return None
    found = weights.evidence.get(rule)
    return Taught(
        multiplier=weights.learned[rule],
        rate=None if found is None else found.rate,
        votes=0.0 if found is None else found.votes,
        personas=0 if found is None else found.personas,
        version=weights.moved.get(rule),
    )
