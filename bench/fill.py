"""Fills a log quickly with what the service would have written, cohort by cohort.

The observations go in through the intake, as requests would bring them, without HTTP. Mindscape updates
and cores are derived once, from one cohort's observations, and appended for the like of each person in
every cohort: the traits are true of the observations, only the ids in their evidence are others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from bench.fifty_rules import fifty_rules
from bench.history import history, people, uuid7s
from personakit.agents.service import Service
from personakit.cli.database import FIRST_TENANT
from personakit.domain.computed_traits import Observed
from personakit.domain.events import Event, MindscapeUpdated, PersonaCoreGenerated
from personakit.domain.mapper import publish_shipped
from personakit.domain.mindscape import EMPTY, derive_update, evolve
from personakit.domain.persona import compose_core, own
from personakit.eventlog.appender import NewEvent, wait
from personakit.eventlog.intake import Receipt
from personakit.eventlog.person_keys import Person
from personakit.eventlog.stored import StreamId
from personakit_sdk.rules import compile_mapper
from personakit_sdk.wire import Observation

COHORT_PEOPLE: Final = 100
EACH: Final = 196
UPDATES: Final = 2
COHORT_EVENTS: Final = COHORT_PEOPLE * (1 + EACH + UPDATES + 1)
"""20,000: of each person the registration, the observations, the updates and the core."""

CHUNK: Final = 500
COHORTS_AT_ONCE: Final = 2
_NOBODY: Final = UUID(int=0)


class Derived(msgspec.Struct, frozen=True):
    """What the observations of one person of the first cohort come to."""

    updates: tuple[MindscapeUpdated, ...]
    core: PersonaCoreGenerated


class Filler:
    """Adds cohorts to the log of a service whose agents are asleep."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._history = msgspec.convert(history(people(COHORT_PEOPLE), EACH), list[Observation])
        self._derived = {person: self._derive(person) for person in people(COHORT_PEOPLE)}

    def add(self, cohorts: Iterable[int]) -> None:
        """Adds these cohorts, each COHORT_EVENTS events."""
        with ThreadPoolExecutor(COHORTS_AT_ONCE) as threads:
            for _ in threads.map(self._add, cohorts):
                pass

    def publish_mapper(self) -> None:
        """Publishes the mapper of fifty rules."""
        plan = compile_mapper(fifty_rules())
        self._service.mappers.change(FIRST_TENANT, plan.mapper_id, partial(publish_shipped, plan))

    def _add(self, cohort: int) -> None:
        names = {person: f"{cohort}-{person}" for person in self._derived}
        span = len(self._history) // UPDATES
        ids = uuid7s(cohort)
        for number in range(UPDATES):
            part = self._history[number * span : (number + 1) * span]
            observations = [
                msgspec.structs.replace(item, id=next(ids), person_id=names[item.person_id]) for item in part
            ]
            through = self._record(observations)
            updates = {
                names[p]: _read(derived.updates[number], through) for p, derived in self._derived.items()
            }
            self._append("mindscape", number + 1, updates)
        self._append("persona", 1, {names[p]: derived.core for p, derived in self._derived.items()})

    def _record(self, observations: Sequence[Observation]) -> int:
        """Records observations; the position of the last one."""
        position = 0
        for start in range(0, len(observations), CHUNK):
            for receipt in self._service.intake.record(FIRST_TENANT, observations[start : start + CHUNK]):
                if not isinstance(receipt, Receipt) or receipt.status != "stored":
                    raise AssertionError(f"An observation was not stored: {receipt}")
                position = max(position, receipt.position)
        return position

    def _append(self, kind: str, version: int, events: Mapping[str, Event]) -> None:
        """Appends the event of each person as this version of their mindscape or persona."""
        found = self._service.people.register(FIRST_TENANT, events)
        new = [
            NewEvent(StreamId(FIRST_TENANT, kind, who.surrogate), version, _about(who, events[name]), who)
            for name, who in found.items()
        ]
        wait(self._service.appender.append(new))

    def _derive(self, person: str) -> Derived:
        ids = uuid7s(0)
        observed = [
            Observed(next(ids), item.type, item.content, item.occurred_at)
            for item in self._history
            if item.person_id == person
        ]
        mindscape, updates = EMPTY, []
        for number in range(UPDATES):
            part = observed[number * EACH // UPDATES : (number + 1) * EACH // UPDATES]
            update = derive_update(mindscape, self._service.rules.shipped, part, number + 1)
            if not isinstance(update, MindscapeUpdated):
                raise TypeError("Observations that change nothing make no history.")
            updates.append(update)
            mindscape = evolve(mindscape, update)
        return Derived(tuple(updates), compose_core({_NOBODY: mindscape}, own(_NOBODY)))


def _read(update: MindscapeUpdated, through: int) -> MindscapeUpdated:
    """The update, its derivation having read this far."""
    return msgspec.structs.replace(update, read_through=through)


def _about(person: Person, event: Event) -> Event:
    """The event as it is about this person: a core names the mindscape that it was made from."""
    if isinstance(event, PersonaCoreGenerated):
        return msgspec.structs.replace(event, mindscape_versions={str(person.surrogate): UPDATES})
    return event
