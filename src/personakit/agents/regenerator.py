"""The Regenerator: makes persona cores, once per set of mindscape versions however many ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from personakit.agents.inferred import complete
from personakit.agents.mindscapes import mindscape_in, mindscapes_of
from personakit.agents.model import ModelFailed
from personakit.agents.summariser import Summariser
from personakit.domain.events import DerivationCompleted, ModelUse, PersonaCoreGenerated
from personakit.domain.persona import CoreState, Definition, compose_core, evolve, own
from personakit.eventlog.appender import wait
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.recorder import VersionConflict
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.read import NotThereYet, Reader

SUMMARY = "summary"
"""The derivation under which is recorded what a summary cost that was of no use."""
PATIENCE_SECONDS, PAUSE_SECONDS = 5.0, 0.01
MOST_ASKED = 3
"""How often a model is asked to word the core of a persona that is defined anew meanwhile."""


class Regenerator:
    """Makes cores from mindscapes: composed for free or, on request where there is a model, worded by it."""

    def __init__(self, reader: Reader, streams: Streams, summariser: Summariser | None = None) -> None:
        self._reader = reader
        self._streams = streams
        self._summariser = summariser

    def first_cores(self, limit: int) -> int:
        """Composes the first core of personas that have none although there are traits, `limit` at most,
        read together and appended together; how many were made. Whom another process came first for has
        one."""
        with self._reader.snapshot_of_all() as snapshot:
            rows = snapshot.rows("personas.without_core", limit=limit)
        offered = []
        for row in rows:
            core = compose_core({row["person"]: mindscape_in(row)}, own(row["person"]))
            stream = StreamId(row["tenant"], "persona", row["persona"])
            with suppress(PersonErased):
                offered.append(
                    self._streams.offer(stream, row["persona_version"] + 1, core, person=row["person"])
                )
        made = 0
        for future in offered:
            with suppress(VersionConflict, PersonErased):
                wait(future)
                made += 1
        return made

    def regenerate(
        self, tenant: str, persona: UUID, before_asking: Callable[[], None] = lambda: None
    ) -> int | None:
        """Makes a core from today's mindscapes; the event's position, or None when the newest core is of
        these or newer ones, or the persona is not there. Where a model words it, two at once would both pay:
        `Regenerations` lets one at a time, and hears `before_asking`. Raises NotThereYet, PersonErased,
        ModelFailed, BudgetSpent."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        asked = 0
        while True:
            try:
                return self._regenerate(tenant, persona, before_asking)
            except _Redefined as redefined:
                if redefined.paid:  # what the model took does not count against the read models
                    asked, deadline = asked + 1, time.monotonic() + PATIENCE_SECONDS
                if asked == MOST_ASKED:
                    raise NotThereYet("The persona is defined anew all the time; try again later.") from None
            except _Behind:
                pass
            if time.monotonic() > deadline:
                raise NotThereYet("The read models lag behind; try again shortly.")
            time.sleep(PAUSE_SECONDS)

    def _regenerate(self, tenant: str, persona: UUID, before_asking: Callable[[], None]) -> int | None:
        with self._reader.snapshot(tenant) as snapshot:
            row = snapshot.row("personas.by_id", tenant=tenant, personas=[persona])
            if row is None:
                return None
            # What changed before a persona was defined so does not make its core stale: it must be read.
            if not row["own"] and snapshot.positions["mindscapes"] < snapshot.positions["personas"]:
                raise _Behind
            definition = definition_in(row)
            core = compose_core(mindscapes_of(snapshot, tenant, row["people"]), definition)
        known = state_in(row)
        stream = StreamId(tenant, "persona", persona)
        start = Loaded(known, row["version"])
        if self._summariser is None:
            return self._append(stream, start, known, core)
        # The log's own word, not the read model's: a core just made and not followed yet is not paid again.
        start = self._streams.load(stream, start, evolve)
        if start.state.definition != known.definition:
            raise _Redefined
        if not self._wanted(core, start.state):
            return None
        before_asking()
        return self._append_worded(self._summariser, stream, start, known, core)

    def _append(
        self, stream: StreamId, start: Loaded[CoreState], known: CoreState, core: PersonaCoreGenerated
    ) -> int | None:
        def decide(state: CoreState) -> PersonaCoreGenerated | None:
            if state.definition != known.definition:
                raise _Redefined
            return core if self._wanted(core, state) else None

        return self._streams.update(stream, start, evolve, decide, person=stream.stream).position

    def _append_worded(
        self,
        summariser: Summariser,
        stream: StreamId,
        start: Loaded[CoreState],
        known: CoreState,
        core: PersonaCoreGenerated,
    ) -> int | None:
        """What was paid is recorded, whatever becomes of it."""
        try:
            core = summariser.word(stream.tenant, core)
        except ModelFailed as failed:
            self._paid_for_nothing(summariser, stream, failed.use, failed.reason)
            raise
        try:
            position = self._append(stream, start, known, core)
        except _Redefined:
            self._paid_for_nothing(summariser, stream, core.use, "redefined")
            raise _Redefined(paid=core.use is not None) from None
        if position is None:
            self._paid_for_nothing(summariser, stream, core.use, "overtaken")
        elif core.use is not None:
            summariser.budget.paid(stream.tenant, position, core.use.usd)
        return position

    def _paid_for_nothing(
        self, summariser: Summariser, stream: StreamId, use: ModelUse | None, reason: str
    ) -> None:
        if use is None:
            return
        event = DerivationCompleted(
            derivation=SUMMARY,
            definition=f"{use.model}:{use.prompt[:16]}",
            read_through=0,
            use=use,
            dropped={reason: 1},
        )
        position = complete(self._streams, stream.tenant, stream.stream, event)
        if position is not None:
            summariser.budget.paid(stream.tenant, position, use.usd)

    def _wanted(self, core: PersonaCoreGenerated, state: CoreState) -> bool:
        """Whether the core is newer than the newest, or better: a model can word what was only composed."""
        better = self._summariser is not None and state.source == "composed" and bool(core.traits)
        return not state.retired and (better or _newer(core, state))


class _Redefined(Exception):
    """The persona was given another definition meanwhile; `paid`: after a model had worded its core."""

    def __init__(self, *, paid: bool = False) -> None:
        super().__init__()
        self.paid = paid


class _Behind(Exception):
    """The read models stand at positions that do not fit together yet."""


def state_in(row: Mapping[str, Any]) -> CoreState:
    """What a row of the read model says of a persona's stream."""
    definition = None if row["own"] else definition_in(row)
    source = row["core"]["source"] if row["core"] else "composed"
    return CoreState(row["core_version"], row["made_from"] or {}, definition, row["name"], source=source)


def definition_in(row: Mapping[str, Any]) -> Definition:
    """The definition in a row of the read model."""
    paths = row.get("paths")
    return Definition(tuple(row["people"]), None if paths is None else tuple(paths))


def _newer(core: PersonaCoreGenerated, state: CoreState) -> bool:
    """Whether the core saw a mindscape version that the newest one did not: never the other way round."""
    return any(
        version > state.made_from.get(person, -1) for person, version in core.mindscape_versions.items()
    )
