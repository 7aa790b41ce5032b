"""Conditions made ready to run: each becomes a check that decides, says what it saw, and gives reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from msgspec import UNSET

from personakit_sdk.rules.clock import end_of_second, in_hours
from personakit_sdk.rules.comparisons import Test, compare_with_constant, compare_with_slot
from personakit_sdk.rules.conditions import Condition, check_depth, read_condition, references
from personakit_sdk.rules.facts import Facts
from personakit_sdk.rules.node import Node
from personakit_sdk.rules.outcome import Outcome, Reason, Reasons
from personakit_sdk.rules.paths import MISSING
from personakit_sdk.rules.plain import ordered
from personakit_sdk.rules.reading import USER_ZONE, ZONE_TRAIT, Reading, Slots


class Check(Protocol):
    """A compiled condition. `holds` is a plain function and no method: it is asked of every rule."""

    holds: Test

    def explain(self, reading: Reading) -> Outcome:
        """Whether it holds, and what it saw."""
        ...

    def give_reasons(self, reading: Reading, needed: bool, reasons: Reasons) -> None:
        """Adds the checks in it that make it hold or, where that was not `needed`, not hold."""
        ...


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
    holds = compile_check(condition, slots, {}).holds
    return lambda facts: holds(Reading(slots, facts))


def compile_check(condition: Condition, slots: Slots, named: dict[str, Check]) -> Check:
    """The check of a condition in normal form; `named` holds those it refers to, compiled before."""
    check: Check
    match condition:
        case {"all": children}:
            check = _Group("all", [compile_check(child, slots, named) for child in children])
        case {"any": children}:
            check = _Group("any", [compile_check(child, slots, named) for child in children])
        case {"not": child}:
            check = _Negation(compile_check(child, slots, named))
        case {"condition": name}:
            check = _Reference(name, named[name])
        case {"time_check": asked}:
            check = _TimeCheck(asked, slots)
        case {"trait_check": asked}:
            check = _PathCheck("trait", asked["path"], slots.trait(asked["path"]), asked, slots)
        case _:
            asked = condition["context_check"]
            check = _PathCheck("context", asked["field"], slots.field(asked["field"]), asked, slots)
    return check


class _Group:
    """`all` or `any` of some checks."""

    def __init__(self, kind: Literal["all", "any"], checks: list[Check]) -> None:
        self._kind: Literal["all", "any"] = kind
        self._checks = checks
        tests = [check.holds for check in checks]
        self.holds = _every(tests) if kind == "all" else _some(tests)

    def explain(self, reading: Reading) -> Outcome:
        outcomes = [check.explain(reading) for check in self._checks]
        return Outcome(kind=self._kind, holds=self.holds(reading), conditions=outcomes)

    def give_reasons(self, reading: Reading, needed: bool, reasons: Reasons) -> None:
        every = needed == (self._kind == "all")  # an `all` that holds rests on each, as an `any` that fails
        for check in self._checks:
            if every or check.holds(reading) == needed:
                check.give_reasons(reading, needed, reasons)


# Without generators, and written out for two: this runs for every rule, and most rules have two checks.


def _every(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda reading: first(reading) and second(reading)

    def holds(reading: Reading) -> bool:
        for test in tests:  # noqa: SIM110 - see above
            if not test(reading):
                return False
        return True

    return holds


def _some(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda reading: first(reading) or second(reading)

    def holds(reading: Reading) -> bool:
        for test in tests:  # noqa: SIM110 - see above
            if test(reading):
                return True
        return False

    return holds


class _Negation:
    """`not` another check."""

    def __init__(self, check: Check) -> None:
        self._check = check
        test = check.holds
        self.holds: Test = lambda reading: not test(reading)

    def explain(self, reading: Reading) -> Outcome:
        outcome = self._check.explain(reading)
        return Outcome(kind="not", holds=not outcome.holds, conditions=[outcome])

    def give_reasons(self, reading: Reading, needed: bool, reasons: Reasons) -> None:
        self._check.give_reasons(reading, not needed, reasons)


class _Reference:
    """A named condition. What it saw is explained once for the whole plan, not at each reference."""

    def __init__(self, name: str, check: Check) -> None:
        self._name = name
        self._check = check
        test = check.holds
        self.holds: Test = lambda reading: reading.decide_once(name, test)

    def explain(self, reading: Reading) -> Outcome:
        return Outcome(kind="condition", holds=self.holds(reading), name=self._name)

    def give_reasons(self, reading: Reading, needed: bool, reasons: Reasons) -> None:
        if self._name not in reasons.followed:
            reasons.followed.add(self._name)
            self._check.give_reasons(reading, needed, reasons)


class _PathCheck:
    """A comparison of what is at a path, in the traits or in the context."""

    def __init__(
        self, kind: Literal["trait", "context"], path: str, slot: int, asked: dict[str, Any], slots: Slots
    ) -> None:
        self._kind: Literal["trait", "context"] = kind
        self._path = path
        self._slot = slot
        self._operator: str = asked["operator"]
        self._low: float | None = asked.get("min_confidence")
        self._wanted = asked.get("value", UNSET)
        self._other = _slot_of(self._wanted, slots)
        compares = (
            compare_with_constant(self._operator, slot, self._wanted)
            if self._other is None
            else compare_with_slot(self._operator, slot, self._other)
        )
        self.holds = compares if self._low is None else _believed(compares, slot, self._low)

    def explain(self, reading: Reading) -> Outcome:
        seen = reading.values[self._slot]
        return Outcome(
            kind="trait_check" if self._kind == "trait" else "context_check",
            holds=self.holds(reading),
            path=self._path,
            operator=self._operator,
            wanted=self._shown_wanted(reading),
            seen=_shown(seen),
            missing=seen is MISSING,
            confidence=self._confidence(reading),
            min_confidence=UNSET if self._low is None else self._low,
        )

    def give_reasons(self, reading: Reading, needed: bool, reasons: Reasons) -> None:
        reasons.add(
            Reason(
                kind=self._kind,
                path=self._path,
                operator=self._operator,
                wanted=self._shown_wanted(reading),
                seen=_shown(reading.values[self._slot]),
                confidence=self._confidence(reading),
                negated=not needed,
            )
        )

    def _confidence(self, reading: Reading) -> Any:
        return UNSET if reading.found[self._slot] is None else reading.confidence(self._slot)

    def _shown_wanted(self, reading: Reading) -> Any:
        return _shown(self._wanted if self._other is None else reading.values[self._other])


def _slot_of(wanted: Any, slots: Slots) -> int | None:
    """Where it is read what is compared with; None for a constant."""
    match wanted:
        case {"from_trait": str(path)}:
            return slots.trait(path)
        case {"from_context": str(field)}:
            return slots.field(field)
        case _:
            return None


def _believed(compares: Test, slot: int, low: float) -> Test:
    """Whether it holds and the trait is to be believed so far; a trait that is missing is not asked."""

    def holds(reading: Reading) -> bool:
        return compares(reading) and (reading.found[slot] is None or not reading.confidence(slot) < low)

    return holds


def _shown(value: Any) -> Any:
    return UNSET if value is MISSING else ordered(value)


class _TimeCheck:
    """What a clock shows at the instant of the request."""

    def __init__(self, asked: dict[str, Any], slots: Slots) -> None:
        self._asked = asked
        self._zone: str = asked.get("timezone", USER_ZONE)
        if self._zone == USER_ZONE:
            slots.trait(ZONE_TRAIT)
        self.holds = _shows(asked, self._zone)

    def explain(self, reading: Reading) -> Outcome:
        holds = self.holds(reading)
        return Outcome(kind="time_check", holds=holds, wanted=self._asked, seen=self._seen(reading))

    def give_reasons(self, reading: Reading, needed: bool, reasons: Reasons) -> None:
        reasons.add(Reason(kind="time", wanted=self._asked, seen=self._seen(reading), negated=not needed))

    def _seen(self, reading: Reading) -> dict[str, str]:
        now, period, weekday = reading.local(self._zone)
        reading.hold_until(end_of_second(reading.at))  # seconds are shown
        return {
            "time": now.isoformat(timespec="seconds"),
            "timezone": str(now.tzinfo),
            "period": period,
            "dayOfWeek": weekday,
        }


def _shows(asked: dict[str, Any], zone: str) -> Test:
    wanted = asked.get("period")
    start, end = asked.get("hour_range", (0, 24))
    days = asked.get("day_of_week")

    def holds(reading: Reading) -> bool:
        now, period, weekday = reading.local(zone)
        return (
            (wanted is None or period == wanted)
            and in_hours(now.hour, start, end)
            and (days is None or weekday in days)
        )

    return holds
