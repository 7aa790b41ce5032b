"""The Inferrer: lets a model read a person's free text, and records what that changes in their mindscape.

Each pass ends in exactly one event that bears the position read through and what was paid; it is made under a
lease, and the cursor is taken from the log after the lease was. So a doubled wake-up pays for nothing twice.
If the process dies between the model's answer and the append, that answer is lost, and the person's text is
read again when the lease has run out: one call for each person at work then, at most.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, timedelta, timezone
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from personakit.agents.budget import Budget, BudgetSpent
from personakit.agents.mindscapes import read_mindscape
from personakit.agents.model import BYTES_PER_TOKEN, Ask, ModelFailed, PatientModel, Understood
from personakit.config import ModelSettings
from personakit.domain.events import DerivationCompleted, MindscapeUpdated, ModelUse
from personakit.domain.inference import (
    DERIVATION,
    Proposed,
    Said,
    Text,
    infer_update,
    nothing_inferred,
    question,
    read_answer,
)
from personakit.domain.inference_prompt import INSTRUCTIONS, SCHEMA
from personakit.domain.mindscape import Mindscape, evolve
from personakit.eventlog.leases import Lease, Leases
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.read import Reader

LEASE = "inference"
MOST_TEXTS = 500
MAX_OUTPUT = 4_000
"""Tokens, of which an answer with 20 traits takes half; the model's thinking counts too."""
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
        with self._reader.snapshot() as snapshot:
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
            position = self._complete(tenant, person, self._passed_over(found))
            self._leases.done(lease)
            return position
        try:
            understood = self._asked(found)
        except BudgetSpent as spent:
            logger.info("Free text waits: %s", spent)
            self._leases.done(lease)
            return None
        except ModelFailed as failed:
            logger.warning("Free text waits, it will be tried again: %s", failed)
            position = self._paid_for_nothing(found, failed)
            self._leases.failed(lease, str(failed), failed.retry_after)
            return position
        position = self._record(found, understood)
        self._leases.done(lease)
        return position

    def _asked(self, found: _Pass) -> Understood[Proposed]:
        owned = self._owned(found.tenant)
        ask = Ask(
            instructions=INSTRUCTIONS,
            schema=SCHEMA,
            question=question(found.start.state, found.texts, owned),
            max_tokens=MAX_OUTPUT,
        )
        with self._budget.reserved(found.tenant, self._model.most(ask)):
            return self._model.ask(ask, read_answer)

    def _unread(self, tenant: str, person: UUID) -> _Pass | None:
        """What a pass would read. The cursor is the log's own word: a read model that lags would let a text
        be paid for twice."""
        stream = StreamId(tenant, "mindscape", person)
        start = self._streams.load(stream, read_mindscape(self._reader, tenant, person), evolve)
        cursor = max(_cursor(start.state), self._completed_through(tenant, person))
        with self._reader.snapshot() as snapshot:
            through = min(snapshot.positions["observations"], snapshot.positions["inference_due"])
            whose = {"tenant": tenant, "person": person, "after": cursor, "through": through}
            waiting = snapshot.row("inference_due.waiting", **whose)
            if waiting is None or not waiting["any"]:
                return None
            rows = snapshot.rows("inference_due.unread", **whose, limit=MOST_TEXTS)
        taken = _fitting(rows, self._settings.call_tokens)
        if len(taken) < len(rows) or len(rows) == MOST_TEXTS:
            through = taken[-1]["position"]
        texts = [_text(row, self._settings.call_tokens) for row in taken]
        return _Pass(tenant, person, start, cursor, through, texts)

    def _completed_through(self, tenant: str, person: UUID) -> int:
        last = self._streams.last(StreamId(tenant, f"derivation.{DERIVATION}", person)).state
        return last.read_through if isinstance(last, DerivationCompleted) else 0

    def _passed_over(self, found: _Pass) -> DerivationCompleted:
        """What waits cannot be read, for it stands still in quarantine: said to be read, or it would wait for
        ever."""
        return DerivationCompleted(derivation=DERIVATION, definition="", read_through=found.through)

    def _record(self, found: _Pass, understood: Understood[Proposed]) -> int | None:
        """Appends what the answer changes, to whatever the mindscape is by now: it is paid, and not asked for
        again."""
        tenant, person = found.tenant, found.person
        said = self._said(understood.value, understood.use, found.through)
        owned = self._owned(tenant)
        unchanged: list[DerivationCompleted] = []

        def decide(mindscape: Mindscape) -> MindscapeUpdated | None:
            unchanged.clear()
            read = max(_cursor(mindscape), self._completed_through(tenant, person))
            change: MindscapeUpdated | DerivationCompleted
            if read > found.cursor:  # this took longer than its lease, and another came first
                overtaken = msgspec.structs.replace(said, read_through=read)
                change = nothing_inferred(overtaken, {"overtaken": 1})
            else:
                change = infer_update(mindscape, self._still_there(found), said, owned)
            if isinstance(change, MindscapeUpdated):
                return change
            unchanged.append(change)
            return None

        stream = StreamId(tenant, "mindscape", person)
        position = self._streams.update(stream, found.start, evolve, decide, person=person).position
        for change in unchanged:
            position = self._complete(tenant, person, change)
        if position is not None:
            self._budget.paid(tenant, position, understood.use.usd)
        return position

    def _still_there(self, found: _Pass) -> list[Text]:
        """The texts that were not taken back since they were shown: those are no evidence any more."""
        with self._reader.snapshot() as snapshot:
            rows = snapshot.rows(
                "observations.retracted_of",
                tenant=found.tenant,
                person=found.person,
                ids=[text.id for text in found.texts],
                through=snapshot.positions["observations"],
            )
        gone = {row["id"] for row in rows}
        return [text for text in found.texts if text.id not in gone]

    def _paid_for_nothing(self, found: _Pass, failed: ModelFailed) -> int | None:
        """Records what an answer of no use cost; nothing counts as read by it."""
        if failed.use is None:
            return None
        said = self._said(Proposed((), 0), failed.use, found.cursor)
        position = self._complete(found.tenant, found.person, nothing_inferred(said, {failed.reason: 1}))
        if position is not None:
            self._budget.paid(found.tenant, position, failed.use.usd)
        return position

    def _said(self, proposed: Proposed, use: ModelUse, through: int) -> Said:
        definition = f"{use.model}:{use.prompt[:16]}"
        return Said(proposed=proposed, use=use, definition=definition, read_through=through)

    def _complete(self, tenant: str, person: UUID, change: DerivationCompleted) -> int | None:
        stream = StreamId(tenant, f"derivation.{change.derivation}", person)

        def decide(before: DerivationCompleted | None) -> DerivationCompleted:
            read = max(change.read_through, before.read_through if before is not None else 0)
            return msgspec.structs.replace(change, read_through=read)

        last = self._streams.last(stream)
        return self._streams.update(stream, last, lambda _, event: event, decide, person=person).position


def _cursor(mindscape: Mindscape) -> int:
    """How far a model has read, whichever it was: another one does not begin again, which would cost."""
    derived = mindscape.derivations.get(DERIVATION)
    return derived.read_through if derived is not None else 0


def _fitting(rows: Sequence[dict[str, Any]], tokens: int) -> list[dict[str, Any]]:
    """The first rows that go into one call; one at least."""
    taken: list[dict[str, Any]] = []
    for row in rows:
        tokens -= row["tokens"]
        if taken and tokens < 0:
            break
        taken.append(row)
    return taken


def _text(row: dict[str, Any], tokens: int) -> Text:
    """The observation of a row, its instant in the offset it came with; the begin of one that is too large
    for a call of its own."""
    offset = timezone(timedelta(seconds=row["utc_offset"])) if row["utc_offset"] else UTC
    content = row["content"]
    if row["tokens"] > tokens:
        content = {"begin": msgspec.json.encode(content).decode()[: tokens * BYTES_PER_TOKEN]}
    return Text(row["id"], row["type"], content, row["occurred_at"].astimezone(offset))
