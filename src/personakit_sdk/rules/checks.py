"""Conditions made ready to run: each becomes a closure that decides and one that says what it saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from personakit_sdk.rules.clock import in_hours, period_of, weekday_of
from personakit_sdk.rules.conditions import Condition, check_depth, read_condition, references
from personakit_sdk.rules.facts import Facts
from personakit_sdk.rules.node import Node
from personakit_sdk.rules.operators import OPERATORS
from personakit_sdk.rules.paths import MISSING
from personakit_sdk.rules.plain import ordered
from personakit_sdk.rules.reading import USER_ZONE, ZONE_TRAIT, Reading, Slots


class Outcome(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Whether one condition held, and what it saw.

    `path` is a trait's path or a context field; `seen` is absent where the path is missing, and then
    `missing` is true. A time check has seen `{time, timezone, period, dayOfWeek}`.
    """

    kind: Literal["all", "any", "not", "condition", "trait_check", "context_check", "time_check"]
    holds: bool
    path: str | UnsetType = UNSET
    operator: str | UnsetType = UNSET
    wanted: Any = UNSET
    seen: Any = UNSET
    missing: bool = False
    confidence: float | UnsetType = UNSET
    min_confidence: float | UnsetType = UNSET
    name: str | UnsetType = UNSET
    conditions: list[Outcome] = []


class Check(msgspec.Struct, frozen=True):
    """A compiled condition."""

    holds: Callable[[Reading], bool]
    explain: Callable[[Reading], Outcome]


def compile_condition(node: object, pointer: str = "") -> Callable[[Facts], bool]:
    """A condition that stands alone, ready to run.

    `pointer` is where it stands in its document. Raises DocumentInvalid with every fault; there are no
    named conditions to refer to.
    """
    place = Node.root(node, "condition", pointer)
    condition = read_condition(place)
    check_depth(place, condition, {})
    for name in sorted(references(condition)):
        place.fault(f"the condition {name!r} is not known; there are no named conditions here")
    place.refuse_faults("condition")
    slots = Slots()
    check = compile_check(condition, slots, {})
    return lambda facts: check.holds(Reading(slots, facts))


def compile_check(condition: Condition, slots: Slots, named: dict[str, Check]) -> Check:
    """The check of a condition in normal form; `named` holds those it refers to, compiled before."""
    match condition:
        case {"all": children}:
            check = _group("all", all, [compile_check(child, slots, named) for child in children])
        case {"any": children}:
            check = _group("any", any, [compile_check(child, slots, named) for child in children])
        case {"not": child}:
            check = _negation(compile_check(child, slots, named))
        case {"condition": name}:
            check = _reference(name, named[name])
        case {"time_check": asked}:
            check = _time_check(asked, slots)
        case {"trait_check": asked}:
            check = _trait_check(asked, slots)
        case _:
            check = _context_check(condition["context_check"], slots)
    return check


def _group(
    kind: Literal["all", "any"], combine: Callable[[Iterable[bool]], bool], checks: list[Check]
) -> Check:
    tests = [check.holds for check in checks]

    def explain(reading: Reading) -> Outcome:
        outcomes = [check.explain(reading) for check in checks]
        return Outcome(kind=kind, holds=combine(o.holds for o in outcomes), conditions=outcomes)

    return Check(lambda reading: combine(test(reading) for test in tests), explain)


def _negation(check: Check) -> Check:
    def explain(reading: Reading) -> Outcome:
        outcome = check.explain(reading)
        return Outcome(kind="not", holds=not outcome.holds, conditions=[outcome])

    return Check(lambda reading: not check.holds(reading), explain)


def _reference(name: str, check: Check) -> Check:
    """What the named condition saw is explained once for the whole plan, not here."""

    def holds(reading: Reading) -> bool:
        return reading.decide_once(name, check.holds)

    return Check(holds, lambda reading: Outcome(kind="condition", holds=holds(reading), name=name))


def _operand(value: Any, slots: Slots) -> Callable[[Reading], Any]:
    """Reads what is compared with: a constant, or what a path holds now."""
    match value:
        case {"from_trait": str(path)}:
            slot = slots.trait(path)
            return lambda reading: reading.traits[slot]
        case {"from_context": str(field)}:
            slot = slots.field(field)
            return lambda reading: reading.fields[slot]
        case _:
            return lambda _reading: value


def _comparison(
    check: dict[str, Any], see: Callable[[Reading], Any], slots: Slots
) -> tuple[Callable[[Reading], bool], Callable[[Reading], Any]]:
    """Whether the comparison holds, and what was wanted. A path that is missing, on either side, makes
    every operator false except `not_exists`."""
    if check["operator"] == "not_exists":
        return lambda reading: see(reading) is MISSING, lambda _reading: UNSET
    compare = OPERATORS[check["operator"]].holds
    want = _operand(check.get("value"), slots)

    def holds(reading: Reading) -> bool:
        seen, wanted = see(reading), want(reading)
        return seen is not MISSING and wanted is not MISSING and compare(seen, wanted, reading.at)

    if "value" not in check:
        return holds, lambda _reading: UNSET
    return holds, lambda reading: _shown(want(reading))


def _shown(value: Any) -> Any:
    return UNSET if value is MISSING else ordered(value)


def _trait_check(check: dict[str, Any], slots: Slots) -> Check:
    slot = slots.trait(check["path"])
    low = check.get("min_confidence")
    compares, wanted = _comparison(check, lambda reading: reading.traits[slot], slots)

    def holds(reading: Reading) -> bool:
        if low is not None and reading.found[slot] is not None and reading.confidence(slot) < low:
            return False
        return compares(reading)

    def explain(reading: Reading) -> Outcome:
        seen = reading.traits[slot]
        return Outcome(
            kind="trait_check",
            holds=holds(reading),
            path=check["path"],
            operator=check["operator"],
            wanted=wanted(reading),
            seen=_shown(seen),
            missing=seen is MISSING,
            confidence=UNSET if reading.found[slot] is None else reading.confidence(slot),
            min_confidence=UNSET if low is None else low,
        )

    return Check(compares if low is None else holds, explain)


def _context_check(check: dict[str, Any], slots: Slots) -> Check:
    slot = slots.field(check["field"])
    holds, wanted = _comparison(check, lambda reading: reading.fields[slot], slots)

    def explain(reading: Reading) -> Outcome:
        seen = reading.fields[slot]
        return Outcome(
            kind="context_check",
            holds=holds(reading),
            path=check["field"],
            operator=check["operator"],
            wanted=wanted(reading),
            seen=_shown(seen),
            missing=seen is MISSING,
        )

    return Check(holds, explain)


def _time_check(check: dict[str, Any], slots: Slots) -> Check:
    zone = check.get("timezone", USER_ZONE)
    if zone == USER_ZONE:
        slots.trait(ZONE_TRAIT)
    period = check.get("period")
    start, end = check.get("hour_range", (0, 24))
    days = check.get("day_of_week")

    def holds(reading: Reading) -> bool:
        now = reading.local(zone)
        return (
            (period is None or period_of(now.hour) == period)
            and in_hours(now.hour, start, end)
            and (days is None or weekday_of(now) in days)
        )

    def explain(reading: Reading) -> Outcome:
        now = reading.local(zone)
        seen = {
            "time": now.isoformat(timespec="seconds"),
            "timezone": str(now.tzinfo),
            "period": period_of(now.hour),
            "dayOfWeek": weekday_of(now),
        }
        return Outcome(kind="time_check", holds=holds(reading), wanted=check, seen=seen)

    return Check(holds, explain)
