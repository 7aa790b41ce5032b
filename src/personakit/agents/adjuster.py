"""The Configuration Adjuster: folds feedback into learned multipliers, of mappers and of single personas, and
into how far traits are believed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Final
from uuid import UUID

from personakit.agents.mappers import Mappers, adjusted_in, state_in
from personakit.agents.truster import Truster
from personakit.agents.votes import VotesOn
from personakit.domain.adjusted import Own, evolve_own
from personakit.domain.adjustment import learn, learn_for
from personakit.domain.events import PersonaWeightsAdjusted
from personakit.domain.mapper import MapperState
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.read import Reader, Snapshot

EVERY_SECONDS: Final = 3.0
"""How often the votes on one mapper are read at most."""
SHARE: Final = 20
"""One part in so many of the time is spent on one mapper's votes at most."""

Key = tuple[str, str]
"""A tenant and a mapper's id."""


class Adjuster:
    """Finds the mappers that were voted on, and lets each learn, then the personas that voted.

    What it has looked at is remembered in this process only: what is forgotten is looked at again, and found
    to change nothing.
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
        self._waiting: dict[Key, None] = {}
        self._read_through: dict[Key, int] = {}
        self._not_before: dict[Key, float] = {}

    def adjust_due(self, today: date) -> float | None:
        """Lets every mapper learn that was voted on since it last did, and on a new day (UTC) every one that
        ever was: steps that a day did not allow are left to the next. In how many seconds there is more to
        do, or None."""
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
        """One pass over the votes on one mapper; how many events it made."""
        votes = VotesOn(self._reader, tenant, mapper_id, today)
        with self._reader.snapshot() as snapshot:
            row = snapshot.row("mappers.state", tenant=tenant, mapper_id=mapper_id)
        if row is None or row["status"] != "active":
            return 0
        votes.beliefs(state_in(row).shown)  # before the mapper is held: others may change it meanwhile
        updated = self._mappers.change(
            tenant, mapper_id, lambda state: learn(state, votes.beliefs(state.shown), today)
        )
        made = self._adjust_personas(tenant, mapper_id, updated.state, votes, today)
        return made + (updated.position is not None)

    def _look(self, today: date) -> None:
        with self._reader.snapshot() as snapshot:
            after = self._looked if today == self._day else 0
            rows = snapshot.rows("votes.since", after=after)
        self._waiting |= dict.fromkeys((row["tenant"], row["mapper_id"]) for row in rows)
        self._day, self._looked = today, snapshot.positions["votes"]

    def _rested(self, key: Key) -> bool:
        return self._clock() >= self._not_before.get(key, 0.0)

    def _adjust_personas(
        self, tenant: str, mapper_id: str, state: MapperState, votes_on: VotesOn, today: date
    ) -> int:
        """Of the personas that voted since they were looked at last, or have further to go."""
        votes = votes_on.by(state.shown.document)
        beliefs = votes_on.beliefs(state.shown)
        made = 0
        with self._reader.snapshot() as snapshot:
            known = _own_weights(snapshot, tenant, mapper_id)
        doubted = self._truster.unsettled(tenant, today)
        seen = self._read_through.get((tenant, mapper_id), 0)
        nothing = Loaded(Own(mapper_id), 0)
        for persona, position in votes.voters.items():
            start = known.get(persona, nothing)
            if position > seen or persona in doubted:
                made += self._truster.adjust(tenant, persona, today, position)
            own = start.state.adjusted
            waits = not own.settled and (own.learned.day or today) < today
            if position <= max(seen, own.read_through) and not waits:
                continue
            decide = partial(learn_for, persona, state=state, votes=votes, beliefs=beliefs, today=today)
            if decide(start.state) is not None:
                made += self._append(StreamId(tenant, "persona", persona), start, decide)
        self._read_through[tenant, mapper_id] = beliefs.read_through
        return made

    def _append(
        self, stream: StreamId, start: Loaded[Own], decide: Callable[[Own], PersonaWeightsAdjusted | None]
    ) -> bool:
        with suppress(PersonErased):
            updated = self._streams.update(stream, start, evolve_own, decide, person=stream.stream)
            return updated.position is not None
        return False


def _own_weights(snapshot: Snapshot, tenant: str, mapper_id: str) -> dict[UUID, Loaded[Own]]:
    """What was learned of a mapper's rules for each persona of which anything was."""
    rows = snapshot.rows("personas.weights", tenant=tenant, mapper_id=mapper_id)
    return {row["persona"]: Loaded(Own(mapper_id, adjusted_in(row)), row["version"]) for row in rows}
