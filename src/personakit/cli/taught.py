"""Where a multiplier comes from, in a line for each part of it."""

from __future__ import annotations

from msgspec import UnsetType

from personakit_sdk.rules.explain import LearnedFrom, Taught


def taught(learned_from: LearnedFrom | UnsetType) -> list[str]:
    """What all have of a rule, and the persona's own; nothing where nothing was learned."""
    if isinstance(learned_from, UnsetType):
        return []
    each = (("for all", learned_from.shared), ("for this persona", learned_from.own))
    return [_line(whose, found) for whose, found in each if found is not None]


def _line(whose: str, found: Taught) -> str:
    since = "" if found.version is None else f" since version {found.version}"
    if found.rate is None:
        return f"learned {found.multiplier:g} {whose}{since}"
    votes = f"{found.votes:.1f} votes of {found.personas}, {found.rate:.0%} good"
    return f"learned {found.multiplier:g} {whose}{since}, by {votes}"
