"""Facts as one evaluation sees them: every path and every named condition is read once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, NamedTuple

from personakit_sdk.rules.clock import end_of_hour, find_zone, local, period_of, weekday_of
from personakit_sdk.rules.facts import ALWAYS, Facts, TraitFact, confidence, steady_until
from personakit_sdk.rules.paths import MISSING, Path, enter, find_trait, parse_path

USER_ZONE: Final = "user_local"
ZONE_TRAIT: Final = "profile.timezone"
_ZONE_PATH: Final = parse_path(ZONE_TRAIT)


Splits = tuple[tuple[str, tuple[str, ...]], ...]


class Slots:
    """The paths that a plan reads, each with its place in a Reading; filled while a plan is compiled.

    `traits` and `context` name the slot of a path; all slots are counted together.
    """

    def __init__(self) -> None:
        self.traits: dict[str, int] = {}
        self.context: dict[str, int] = {}
        self.trait_paths: list[tuple[int, str, Splits]] = []
        self.context_paths: list[tuple[int, Path]] = []

    def __len__(self) -> int:
        return len(self.traits) + len(self.context)

    def trait(self, path: str) -> int:
        if path not in self.traits:
            whole, *others = parse_path(path).splits
            self.trait_paths.append((len(self), whole[0], tuple(others)))
            self.traits[path] = len(self)
        return self.traits[path]

    def field(self, path: str) -> int:
        if path not in self.context:
            self.context_paths.append((len(self), parse_path(path)))
            self.context[path] = len(self)
        return self.context[path]


class LocalTime(NamedTuple):
    """What a clock in some zone shows: the instant there, its period of the day and day of the week."""

    now: datetime
    period: str
    weekday: str


class Reading:
    """`values` are those of traits and context fields by slot, MISSING where nothing is; `found` the traits
    that they lie in. Up to `until`, the clock alone changes nothing of what was read here so far."""

    __slots__ = ("_confidences", "_locals", "at", "facts", "found", "named", "until", "values")

    def __init__(self, slots: Slots, facts: Facts) -> None:
        self.facts = facts
        self.at = facts.at
        self.until = ALWAYS
        self.values: list[Any] = [MISSING] * len(slots)
        self.found: list[TraitFact | None] = [None] * len(slots)
        values, found, get = self.values, self.found, facts.traits.get
        for slot, whole, others in slots.trait_paths:
            trait = get(whole)
            if trait is not None:
                found[slot] = trait
                values[slot] = trait.value
                continue
            for trait_path, rest in others:
                trait = get(trait_path)
                if trait is not None:
                    found[slot] = trait
                    values[slot] = enter(trait.value, rest)
                    break
        for slot, path in slots.context_paths:
            self.values[slot] = enter(facts.context, path.segments)
        self.named: dict[str, bool] = {}
        self._confidences: dict[int, float] = {}
        self._locals: dict[str, LocalTime] = {}

    def confidence(self, slot: int) -> float:
        """How far the trait that the slot's path lies in is to be believed; 0 where there is none."""
        if slot not in self._confidences:
            trait = self.found[slot]
            if trait is None:
                return 0.0
            if trait.weight is None:  # certain, at every instant
                return 1.0
            self._confidences[slot] = believed = confidence(trait, self.at)
            self.hold_until(steady_until(trait, believed))
        return self._confidences[slot]

    def hold_until(self, instant: datetime) -> None:
        """Notes that something read changes then; not after `at` where it may at any moment."""
        self.until = min(self.until, instant)

    def decide_once(self, name: str, holds: Callable[[Reading], bool]) -> bool:
        """Whether a named condition holds; references to it may share the answer, or a few hundred of
        them could ask for exponentially many evaluations."""
        if name not in self.named:
            self.named[name] = holds(self)
        return self.named[name]

    def local(self, zone: str) -> LocalTime:
        """The instant as a clock in `zone` shows it; where the person is, for `user_local`."""
        if zone not in self._locals:
            found = find_zone(zone) if zone != USER_ZONE else self._user_zone()
            now = local(self.at, found or UTC)
            self._locals[zone] = LocalTime(now, period_of(now.hour), weekday_of(now))
            self.hold_until(end_of_hour(now))
        return self._locals[zone]

    def _user_zone(self) -> tzinfo:
        """The person's `profile.timezone`, else the context's `timezone`, else UTC; a name that is no
        time zone is passed over."""
        own, _ = find_trait(_ZONE_PATH, self.facts.traits)
        for name in (own, self.facts.context.get("timezone")):
            zone = find_zone(name) if isinstance(name, str) else None
            if zone is not None:
                return zone
        return UTC
