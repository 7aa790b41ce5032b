"""The Configuration Adjuster: folds feedback into learned multipliers, of mappers and of single personas, and
into how far traits are believed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from personakit.agents.mappers import Mappers, adjusted_in, state_in
from personakit.agents.truster import Truster
from personakit.agents.votes import VotesOn
from personakit.domain.adjusted import Own, evolve_own
from personakit.domain.adjustment import ADJUSTER, learn, learn_for
from personakit.domain.events import PersonaWeightsAdjusted
from personakit.domain.mapper import MapperState
from personakit.domain.trust import paths_of_rules
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.read import Reader, Snapshot

EVERY_SECONDS: Final = 3.0
"""How often the votes on one mapper are read at most."""
SHARE: Final = 20
"""One part in so many of the time is spent on one mapper's votes at most."""

BEFORE_ALL: Final = datetime(1, 1, 1, tzinfo=UTC)
Key = tuple[str, str]
"""A tenant and a mapper's id."""


class Looked(NamedTuple):
    """Up to which position the votes on a mapper were looked at, by which `_teaching`, on which day last; and
    who voted on that day, for it may not have allowed all that they taught."""

    through: int
    teaching: bytes
    day: date
    voted: frozenset[UUID] = frozenset()


class Adjuster:
    """Finds the mappers that were voted on, and lets each learn, then the personas that voted.

    What it has looked at is remembered in this process only: what is forgotten is looked at again, and
    changes nothing unless others have voted since.
    """

    def __init__(
        self,
        reader: Reader,
        streams: Streams,
        mappers: Mappers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._streams = streams
        self._mappers = mappers
        self._truster = Truster(reader, streams)
        self._clock = clock
        self._day: date | None = None
        self._looked = 0
        self._changed = BEFORE_ALL
        self._waiting: dict[Key, None] = {}
        self._seen: dict[Key, Looked] = {}
        self._not_before: dict[Key, float] = {}

    def adjust_due(self, today: date) -> float | None:
        """Lets every mapper learn that was voted on or changed since it last did, and on a new day (UTC)
        every one that ever was voted on: steps that a day did not allow are left to the next. In how many
        seconds there is more to do, or None."""
        self._look(today)
        for key in [key for key in self._waiting if self._rested(key)]:
            del self._waiting[key]
            began = self._clock()
            try:
                self.adjust(*key, today)
            except BaseException:
                self._waiting[key] = None  # after the others, so that it keeps none of them waiting
                raise
            ended = self._clock()
            self._not_before[key] = max(began + EVERY_SECONDS, ended + (SHARE - 1) * (ended - began))
        now = self._clock()
        self._not_before = {key: until for key, until in self._not_before.items() if until > now}
        return min((self._not_before.get(key, now) - now for key in self._waiting), default=None)

    def adjust(self, tenant: str, mapper_id: str, today: date) -> int:
        """One pass over the votes on one mapper; how many events it made. Of one that was withdrawn nothing
        is learned; the traits that it mapped are believed as before."""
        votes = VotesOn(self._reader, tenant, mapper_id, today)
        with self._reader.snapshot(tenant) as snapshot:
            row = snapshot.row("mappers.state", tenant=tenant, mapper_id=mapper_id)
        if row is None or row["status"] == "draft":
            return 0
        votes.beliefs(state_in(row).shown)  # before the mapper is held: others may change it meanwhile
        updated = self._mappers.change(
            tenant, mapper_id, lambda state: learn(state, votes.beliefs(state.shown), today)
        )
        made = self._adjust_personas(tenant, mapper_id, updated.state, votes, today)
        return made + (updated.position is not None)

    def _look(self, today: date) -> None:
        begins = today != self._day
        with self._reader.snapshot_of_all() as snapshot:
            rows = snapshot.rows("votes.since", after=0 if begins else self._looked)
            changed = snapshot.rows("mappers.changed_since", after=self._changed, but=ADJUSTER)
        due = [*rows, *changed] if not begins else rows
        self._waiting |= dict.fromkeys((row["tenant"], row["mapper_id"]) for row in due)
        self._day, self._looked = today, snapshot.positions["votes"]
        self._changed = max((row["created_at"] for row in changed), default=self._changed)

    def _rested(self, key: Key) -> bool:
        return self._clock() >= self._not_before.get(key, 0.0)

    def _adjust_personas(
        self, tenant: str, mapper_id: str, state: MapperState, votes_on: VotesOn, today: date
    ) -> int:
        """Of the personas that voted since they were looked at last, or on the day before this one, or have
        further to go; of all of them where their votes teach something else now."""
        votes = votes_on.by(state.shown.document)
        beliefs = votes_on.beliefs(state.shown)
        made = 0
        with self._reader.snapshot(tenant) as snapshot:
            known = _own_weights(snapshot, tenant, mapper_id)
        doubted = self._truster.unsettled(tenant, today)
        teaching = _teaching(state)
        looked = self._seen.get((tenant, mapper_id), Looked(0, teaching, today))
        anew = looked.teaching != teaching
        seen = 0 if anew else looked.through
        voted = {persona for persona, position in votes.voters.items() if position > seen}
        before = looked.voted if looked.day != today else frozenset()
        nothing = Loaded(Own(mapper_id), 0)
        for persona, position in votes.voters.items():
            start = known.get(persona, nothing)
            if persona in voted or persona in before or persona in doubted:
                made += self._truster.adjust(tenant, persona, today, position)
            own = start.state.adjusted
            waits = not own.settled and (own.learned.day or today) < today
            news = position > own.read_through and (persona in voted or persona in before)
            if not (news or waits or anew):
                continue
            decide = partial(learn_for, persona, state=state, votes=votes, beliefs=beliefs, today=today)
            if decide(start.state) is not None:
                made += self._append(StreamId(tenant, "persona", persona), start, decide)
        voted |= looked.voted - before
        self._seen[tenant, mapper_id] = Looked(beliefs.read_through, teaching, today, frozenset(voted))
        return made

    def _append(
        self, stream: StreamId, start: Loaded[Own], decide: Callable[[Own], PersonaWeightsAdjusted | None]
    ) -> bool:
        with suppress(PersonErased):
            updated = self._streams.update(stream, start, evolve_own, decide, person=stream.stream)
            return updated.position is not None
        return False


def _teaching(state: MapperState) -> bytes:
    """What of a mapper says what votes teach: whether it is in use, its rules with the traits that they rest
    on, its settings, and which rules are frozen."""
    document = state.shown.document
    rules = {rule: sorted(paths) for rule, paths in paths_of_rules(document).items()}
    decides = (state.shown.status, rules, document["feedback_settings"], sorted(state.adjusted.frozen))
    return msgspec.json.encode(decides, order="deterministic")


def _own_weights(snapshot: Snapshot, tenant: str, mapper_id: str) -> dict[UUID, Loaded[Own]]:
    """What was learned of a mapper's rules for each persona of which anything was."""
    rows = snapshot.rows("personas.weights", tenant=tenant, mapper_id=mapper_id)
    return {row["persona"]: Loaded(Own(mapper_id, adjusted_in(row)), row["version"]) for row in rows}
