"""The prefilter: of all rules of a plan, those that facts let fire, found without asking each of them.

Only what a rule cannot do without is looked at: the members of its `all`, and of one `any` in it if all of
them are checks of paths. For every path one bitmap says which rules its value lets fire; all of them
together leave a few rules, which are then asked for their whole conditions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from personakit_sdk.rules.bitmaps import Grid, Lookup, bits, lookups
from personakit_sdk.rules.comparisons import Test
from personakit_sdk.rules.conditions import Condition, needs_of
from personakit_sdk.rules.reading import USER_ZONE, Reading, Slots
from personakit_sdk.rules.requirement import Requirement, TimeRequirement

Tables = list[tuple[int, dict[type, Lookup], Lookup]]
"""Of each slot, its lookups by type and the one of all other types."""


class Prefilter:
    """Made once per plan, of the conditions of its rules in normal form, each with its test; None stands
    for a rule that never fires. `named` are the tests of the conditions that they refer to."""

    def __init__(
        self, rules: Sequence[tuple[Condition, Test] | None], slots: Slots, named: Mapping[str, Test]
    ) -> None:
        needs = _Needs(slots)
        for number, rule in enumerate(rules):
            if rule is not None:
                needs.add(number, rule[0])
        self._tests = [rule[1] if rule is not None else None for rule in rules]
        self._sure = sure = 1 << len(rules)
        self._every = needs.rules | sure
        self._settled = needs.rules & ~needs.open
        self._all = _tables(needs.all, self._every, sure, need_all=True)
        self._any = _tables(needs.any, self._every, sure, need_all=False)
        self._unless_any = self._every & ~needs.choosing
        self._clocks = [_Clock(zone, checks, self._every) for zone, checks in needs.times.items()]
        self._named = [(name, named[name], users) for name, users in needs.named.items()]

    def holding(self, reading: Reading) -> list[int]:
        """The numbers of the rules whose conditions hold, in the author's order."""
        left = self._left(reading)
        settled = left & self._settled if left & self._sure else 0
        for number in bits(left & ~settled & ~self._sure):
            test = self._tests[number]
            if test is not None and test(reading):
                settled |= 1 << number
        return bits(settled)

    def _left(self, reading: Reading) -> int:
        """The bitmap of the rules that may fire."""
        left = self._every
        values = reading.values
        for slot, by_type, other in self._all:
            value = values[slot]
            left &= by_type.get(value.__class__, other)(value)
        if self._any:
            left &= self._chosen(values)
        for clock in self._clocks:
            if left & clock.rules:
                left &= clock.lookup(reading)
        for name, test, users in self._named:
            if left & users and not reading.decide_once(name, test):
                left &= ~users
        return left

    def _chosen(self, values: list[Any]) -> int:
        """The rules of whose `any` some member may hold, and those that have none."""
        found = self._unless_any
        for slot, by_type, other in self._any:
            value = values[slot]
            found |= by_type.get(value.__class__, other)(value)
        return found


class _Needs:
    """What rules cannot do without, by slot, zone and name; `rules`, those that `choose` and those that are
    left `open` by it are bitmaps."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.rules = 0
        self.open = 0
        self.choosing = 0
        self.all: dict[int, list[Requirement]] = {}
        self.any: dict[int, list[Requirement]] = {}
        self.times: dict[str, list[TimeRequirement]] = {}
        self.named: dict[str, int] = {}

    def add(self, rule: int, condition: Condition) -> None:
        self.rules |= 1 << rule
        for need in needs_of(condition):
            if not self._add(rule, need):
                self.open |= 1 << rule

    def _add(self, rule: int, need: Condition) -> bool:
        """Whether what is taken in of the need says all about it."""
        match need:
            case {"condition": name}:
                self.named[name] = self.named.get(name, 0) | 1 << rule
                return True
            case {"time_check": asked}:
                zone = asked.get("timezone", USER_ZONE)
                self.times.setdefault(zone, []).append(TimeRequirement(rule, asked))
                return True
            case {"trait_check": _} | {"context_check": _}:
                return self._require(rule, need, self.all)
            case {"any": members}:
                self._choose(rule, members)
                return False
            case _:
                return False

    def _choose(self, rule: int, members: list[Condition]) -> None:
        """Takes in one `any` a rule, if what each member needs can be looked up."""
        found = [next(filter(_of_path, needs_of(member)), None) for member in members]
        needs = [need for need in found if need is not None]
        if len(needs) == len(members) and not self.choosing >> rule & 1:
            self.choosing |= 1 << rule
            for need in needs:
                self._require(rule, need, self.any)

    def _require(self, rule: int, need: Condition, by_slot: dict[int, list[Requirement]]) -> bool:
        ((kind, asked),) = need.items()
        of_trait = kind == "trait_check"
        slot = self._slots.traits[asked["path"]] if of_trait else self._slots.context[asked["field"]]
        requirement = Requirement(rule, asked)
        known = by_slot.setdefault(slot, [])
        # Which of two elements a list has is not told apart.
        alone = requirement.elements() is None or not known or known[-1].rule != rule
        known.append(requirement)
        return requirement.exact and alone


def _of_path(condition: Condition) -> bool:
    return not condition.keys().isdisjoint(("trait_check", "context_check"))


def _tables(by_slot: Mapping[int, Sequence[Requirement]], every: int, sure: int, *, need_all: bool) -> Tables:
    made: Tables = []
    for slot, requirements in by_slot.items():
        by_type = lookups(Grid(requirements, every, need_all), sure)
        made.append((slot, by_type, by_type[object]))
    return made


class _Clock:
    """The time checks of one zone: `rules` are those that have some."""

    def __init__(self, zone: str, checks: Sequence[TimeRequirement], rules: int) -> None:
        grid = Grid(checks, rules, need_all=True)
        self.rules = rules & ~grid.others
        self._zone = zone
        self._hours = grid.bitmaps(24, lambda each: each.hours)
        self._days = grid.bitmaps(7, lambda each: each.days)

    def lookup(self, reading: Reading) -> int:
        now = reading.local(self._zone).now
        return self._hours[now.hour] & self._days[now.weekday()]
