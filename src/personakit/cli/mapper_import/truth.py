"""Conditions put together: what is always or never true is known while it is imported, and goes away."""

from __future__ import annotations

from collections.abc import Iterable

from personakit_sdk.rules.conditions import Condition

Truth = bool | Condition
"""A condition, or what it comes to whatever the facts are."""


def all_of(truths: Iterable[Truth]) -> Truth:
    """True when every one is."""
    return _group("all", truths, neutral=True)


def any_of(truths: Iterable[Truth]) -> Truth:
    """True when at least one is."""
    return _group("any", truths, neutral=False)


def negation(truth: Truth) -> Truth:
    """True when the other is not."""
    if isinstance(truth, bool):
        return not truth
    if truth.keys() == {"not"}:
        inner: Condition = truth["not"]
        return inner
    [(kind, check)] = truth.items()
    opposite = {"exists": "not_exists", "not_exists": "exists"}
    if kind in ("trait_check", "context_check") and check["operator"] in opposite:
        return {kind: {**check, "operator": opposite[check["operator"]]}}
    return {"not": truth}


def _group(kind: str, truths: Iterable[Truth], *, neutral: bool) -> Truth:
    members: list[Condition] = []
    for truth in truths:
        if isinstance(truth, bool):
            if truth is not neutral:
                return truth
        elif truth.keys() == {kind}:
            members += truth[kind]
        else:
            members.append(truth)
    if not members:
        return neutral
    return members[0] if len(members) == 1 else {kind: members}
