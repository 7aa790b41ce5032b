"""Warnings about a computed-trait document that would run but may not be what its author meant; never
refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from personakit.domain.computed_trait_documents import WHAT, Definition, TraitDocument
from personakit_sdk.errors import Fault
from personakit_sdk.rules.conditions import read_condition
from personakit_sdk.rules.lint import never_holding
from personakit_sdk.rules.node import Node

SLOW_FROM_DAYS: Final = 2.0
"""A half-life below this makes a value of another day another value: nothing that a core should rest on."""
FAST_UP_TO_DAYS: Final = 365.0
"""A half-life above this hardly moves from day to day: nothing that an overlay needs to read live."""
_MEMBERS: Final[dict[str, frozenset[str]]] = {
    "histogram_by_hour": frozenset({"peak", "share", "period", "counts"}),
    "histogram_by_weekday": frozenset({"peak", "share", "weekend_share", "counts"}),
    "trend": frozenset({"direction", "per_day", "fit"}),
}
"""Members of the values that are objects; those of `quantiles` are its options."""


def lint_traits(document: TraitDocument, replaced: TraitDocument | None = None) -> list[Fault]:
    """The warnings, each at its place. `replaced` is the release's document of this id."""
    found = [fault for index, each in enumerate(document.definitions) for fault in _of(index, each)]
    return found + list(_lost(document, replaced))


def _of(index: int, definition: Definition) -> Iterator[Fault]:
    pointer = f"/traits/{index}"
    if "when" in definition.document:
        for why in never_holding(read_condition(Node.root(definition.document["when"], WHAT)), {}):
            yield Fault(f"{pointer}/when", f"a condition in it can never hold: {why}")
    yield from _half_life(pointer, definition)
    yield from _precision(pointer, definition)


def _half_life(pointer: str, definition: Definition) -> Iterator[Fault]:
    days = definition.options.half_life_days
    if days is None:
        return
    if definition.volatility == "low" and days < SLOW_FROM_DAYS:
        message = f"with a half-life of {days:g} days it changes from day to day, and goes into cores"
        yield Fault(f"{pointer}/volatility", f"{message} as if it were slow; `high` suits it")
    if definition.volatility == "high" and days > FAST_UP_TO_DAYS:
        message = f"with a half-life of {days:g} days it hardly changes, and is in no core"
        yield Fault(f"{pointer}/volatility", f"{message}; `low` suits it")


def _precision(pointer: str, definition: Definition) -> Iterator[Fault]:
    if definition.precision is None:
        return
    if definition.volatility == "high":
        message = "it has no effect: changes of a trait of high volatility make no core stale"
        yield Fault(f"{pointer}/precision", message)
    elif isinstance(definition.precision, dict):
        known = _members(definition)
        for member in sorted(definition.precision.keys() - known):
            yield Fault(
                f"{pointer}/precision", f"{definition.aggregate} has no {member!r}, so its step has no effect"
            )


def _members(definition: Definition) -> frozenset[Any]:
    if definition.aggregate == "last":  # whatever was observed
        return frozenset(definition.precision) if isinstance(definition.precision, dict) else frozenset()
    quantiles = frozenset(f"p{percent}" for percent in definition.options.quantiles)
    return _MEMBERS.get(definition.aggregate, quantiles)


def _lost(document: TraitDocument, replaced: TraitDocument | None) -> Iterator[Fault]:
    if replaced is None:
        return
    kept = {definition.path for definition in document.definitions}
    for definition in replaced.definitions:
        if definition.path not in kept:
            message = f"the release's document {replaced.id!r}, which this one replaces, has the trait"
            yield Fault("/traits", f"{message} {definition.path!r} too; nothing computes it then")
