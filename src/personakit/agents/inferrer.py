"""The Inferrer: lets a model read a person's free text, and records what that changes in their mindscape.

Each pass ends in exactly one event that bears the position read through and what was paid; it is made under a
lease, and the cursor is taken from the log after the lease was. So a doubled wake-up pays for nothing twice.
If the process dies between the model's answer and the append, that answer is lost, and the person's text is
read again when the lease has run out: one call for each person at work then, at most.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

import msgspec

from personakit.agents.budget import Budget, BudgetSpent
from personakit.agents.free_text import asking, stretch
from personakit.agents.inferred import Change, complete, read_so_far, record, still_there
from personakit.agents.mindscapes import read_mindscape
from personakit.agents.model import ModelFailed, PatientModel, Understood
from personakit.config import ModelSettings
from personakit.domain.events import DerivationCompleted
from personakit.domain.inference import (
    DERIVATION,
    Proposed,
    Text,
    infer_update,
    nothing_inferred,
    read_answer,
    said_of,
)
from personakit.domain.mindscape import Mindscape, evolve
from personakit.eventlog.leases import Lease, Leases
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.read import Reader

LEASE = "inference"
LEASE_MARGIN = 30.0

logger = logging.getLogger(__name__)


class _Pass(NamedTuple):
    """What one call is about: a person's unread texts after `cursor`, through `through`."""

    tenant: str
    person: UUID
    start: Loaded[Mindscape]
    cursor: int
    through: int
    texts: list[Text]


class Inferrer:
    """Asks a model about people, one pass at a time."""

    def __init__(
        self,
        reader: Reader,
        streams: Streams,
        leases: Leases,
        model: PatientModel,
        budget: Budget,
        settings: ModelSettings,
        owned: Callable[[str], frozenset[str]],
    ) -> None:
        """`owned` gives the paths that a tenant's computed traits are defined for."""
        self._reader = reader
        self._streams = streams
        self._leases = leases
        self._model = model
        self._budget = budget
        self._settings = settings
        self._owned = owned

    def ready(self, limit: int) -> list[tuple[str, UUID]]:
        """Who has enough unread text, or has waited long enough, longest first."""
        settings = self._settings
        with self._reader.snapshot_of_all() as snapshot:
            rows = snapshot.rows(
                "inference_due.ready",
                tokens=settings.batch_tokens,
                seconds=settings.batch_seconds,
                spent=self._budget.refused(),
                limit=limit,
            )
        return [(row["tenant"], row["person"]) for row in rows]

    def infer(self, tenant: str, person: UUID) -> int | None:
        """One pass over a person's unread text; the position of its event, or None where there was nothing to
        do, or nothing can be done now. Then what is due stays due."""
        seconds = self._settings.ask_seconds + LEASE_MARGIN
        lease = self._leases.take(tenant, LEASE, person, seconds)
        if lease is None:
            return None
        with self._leases.closing(lease):
            try:
                return self._infer(lease)
            except PersonErased:
                self._leases.done(lease)
                return None

    def _infer(self, lease: Lease) -> int | None:
        tenant, person = lease.tenant, lease.entity
        found = self._unread(tenant, person)
        if found is None:
            self._leases.done(lease)
            return None
        if not found.texts:
            position = complete(self._streams, tenant, person, self._passed_over(found))
            self._leases.done(lease)
            return position
        try:
            understood = self._asked(found)
        except BudgetSpent as spent:
            logger.info("Free text waits (tenant %s): %s", lease.tenant, spent)
            self._leases.done(lease)
            return None
        except ModelFailed as failed:
            logger.warning("Free text waits, it will be tried again (tenant %s): %s", lease.tenant, failed)
            position = self._paid_for_nothing(found, failed)
            self._leases.failed(lease, str(failed), failed.retry_after)
            return position
        position = self._record(found, understood)
        self._leases.done(lease)
        return position

    def _asked(self, found: _Pass) -> Understood[Proposed]:
        ask = asking(found.start.state, found.texts, self._owned(found.tenant))
        with self._budget.reserved(found.tenant, self._model.most(ask)):
            return self._model.ask(ask, read_answer)

    def _unread(self, tenant: str, person: UUID) -> _Pass | None:
        """What a pass would read."""
        stream = StreamId(tenant, "mindscape", person)
        start = self._streams.load(stream, read_mindscape(self._reader, tenant, person), evolve)
        cursor = read_so_far(self._streams, tenant, person, start.state)
        with self._reader.snapshot(tenant) as snapshot:
            through = min(snapshot.positions["observations"], snapshot.positions["inference_due"])
            whose = {"tenant": tenant, "person": person, "after": cursor, "through": through}
            waiting = snapshot.row("inference_due.waiting", **whose)
            if waiting is None or not waiting["any"]:
                return None
            most = self._settings.call_tokens
            found = stretch(snapshot, "inference_due.unread", tenant, person, cursor, through, most)
        return _Pass(tenant, person, start, cursor, found.through, found.texts)

    def _passed_over(self, found: _Pass) -> DerivationCompleted:
        """What waits cannot be read, for it stands still in quarantine: said to be read, or it would wait for
        ever."""
        return DerivationCompleted(derivation=DERIVATION, definition="", read_through=found.through)

    def _record(self, found: _Pass, understood: Understood[Proposed]) -> int | None:
        """Appends what the answer changes, to whatever the mindscape is by now: it is paid, and not asked for
        again."""
        tenant, person = found.tenant, found.person
        said = said_of(understood.value, understood.use, found.through)
        owned = self._owned(tenant)

        def change_of(mindscape: Mindscape) -> Change:
            read = read_so_far(self._streams, tenant, person, mindscape)
            if read > found.cursor:  # this took longer than its lease, and another came first
                overtaken = msgspec.structs.replace(said, read_through=read)
                return nothing_inferred(overtaken, {"overtaken": 1})
            return infer_update(
                mindscape, still_there(self._reader, tenant, person, found.texts), said, owned
            )

        position = record(self._streams, tenant, person, found.start, change_of)
        if position is not None:
            self._budget.paid(tenant, position, understood.use.usd)
        return position

    def _paid_for_nothing(self, found: _Pass, failed: ModelFailed) -> int | None:
        """Records what an answer of no use cost; nothing counts as read by it."""
        if failed.use is None:
            return None
        said = said_of(Proposed((), 0), failed.use, found.cursor)
        change = nothing_inferred(said, {failed.reason: 1})
        position = complete(self._streams, found.tenant, found.person, change)
        if position is not None:
            self._budget.paid(found.tenant, position, failed.use.usd)
        return position
