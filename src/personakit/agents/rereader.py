"""The Rereader: lets a model read all of somebody's free text again, aside, and promotes what comes of it.

Every answer that is paid is recorded at once, whether what it said is promoted or not; so the event that
promotes bears no cost of its own. While it reads it holds the lease of the Inferrer, so that nobody pays for
the same texts meanwhile; afterwards what was read since counts over the shadow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple
from uuid import UUID

import msgspec

from personakit.agents.budget import Budget, BudgetSpent
from personakit.agents.free_text import Stretch, asking, stretch
from personakit.agents.inferred import Change, complete, read_so_far, record, retracted_ids
from personakit.agents.inferrer import LEASE, LEASE_MARGIN
from personakit.agents.mindscapes import read_mindscape
from personakit.agents.model import ModelFailed, PatientModel, added
from personakit.config import ModelSettings
from personakit.domain.events import DerivationCompleted, MindscapeUpdated, ModelUse
from personakit.domain.inference import infer_update, read_answer, said_of
from personakit.domain.mindscape import Mindscape, evolve
from personakit.domain.rereading import REREADING, Shadow, promoted, unread
from personakit.eventlog.leases import Lease, Leases
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.read import Reader

EXPECTED_OUTPUT = 600
"""Tokens of an answer with six traits or so, and their reasons."""


class Estimate(msgspec.Struct, frozen=True):
    """What reading again is expected to take."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Estimate) -> Estimate:
        """Both together."""
        return Estimate(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            round(self.usd + other.usd, 9),
        )


class Reread(NamedTuple):
    """A person's shadow, with the texts it rests on and what that took; `start` is what it was begun with."""

    tenant: str
    person: UUID
    start: Loaded[Mindscape]
    shadow: Shadow
    texts: int
    use: ModelUse | None

    @property
    def change(self) -> MindscapeUpdated | None:
        """What promoting it would change in the mindscape that it was begun with."""
        change = promoted(self.start.state, self.shadow, 0, (), frozenset())
        return change if isinstance(change, MindscapeUpdated) else None


class Rereader:
    """Reads again, one person at a time."""

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

    def estimate(self, tenant: str, person: UUID) -> Estimate:
        """What `reread` would take, for free."""
        blank = unread(self._start(tenant, person).state)
        owned = self._owned(tenant)
        found = Estimate()
        for part in self._stretches(tenant, person, self._through()):
            tokens = asking(blank, part.texts, owned).tokens
            usd = self._model.model.usd(tokens, EXPECTED_OUTPUT)
            found += Estimate(1, tokens, EXPECTED_OUTPUT, usd)
        return found

    def reread(self, tenant: str, person: UUID) -> Reread | None:
        """All free text of a person read again; None where somebody is asking about them now. Raises
        ModelFailed and BudgetSpent, when what was paid by then is recorded, and PersonErased."""
        lease = self._leases.take(tenant, LEASE, person, self._lease_seconds, patient=False)
        if lease is None:
            return None
        with self._leases.closing(lease):
            try:
                found = self._reread(lease)
            except ModelFailed as failed:
                self._leases.failed(lease, str(failed), failed.retry_after)
                raise
            except BudgetSpent:
                self._leases.done(lease)
                raise
        self._leases.done(lease)
        return found

    def promote(self, found: Reread) -> int | None:
        """Puts the shadow in the place of what models made before, in one version, on top of whatever changed
        since; the event's position, None where nothing is to be changed. Doing it twice changes nothing more.
        Raises PersonErased."""
        tenant, person = found.tenant, found.person
        owned = self._owned(tenant)
        evidence = {id_ for trait in found.shadow.made.traits.values() for id_ in trait.evidence}

        def change_of(mindscape: Mindscape) -> Change | None:
            read = read_so_far(self._streams, tenant, person, mindscape)
            gone = retracted_ids(self._reader, tenant, person, sorted(evidence))
            return promoted(mindscape, found.shadow, read, gone, owned)

        return record(self._streams, tenant, person, found.start, change_of)

    @property
    def _lease_seconds(self) -> float:
        return self._settings.ask_seconds + LEASE_MARGIN

    def _start(self, tenant: str, person: UUID) -> Loaded[Mindscape]:
        stream = StreamId(tenant, "mindscape", person)
        return self._streams.load(stream, read_mindscape(self._reader, tenant, person), evolve)

    def _through(self) -> int:
        with self._reader.snapshot_of_all() as snapshot:
            return snapshot.positions["observations"]

    def _stretches(self, tenant: str, person: UUID, through: int) -> Iterator[Stretch]:
        """All free text up to a position, a call's worth at a time; no snapshot is held between them."""
        after = 0
        while after < through:
            with self._reader.snapshot(tenant) as snapshot:
                found = stretch(
                    snapshot,
                    "inference_due.texts",
                    tenant,
                    person,
                    after,
                    through,
                    self._settings.call_tokens,
                )
            if not found.texts:
                return
            yield found
            after = found.through

    def _reread(self, lease: Lease) -> Reread:
        tenant, person = lease.tenant, lease.entity
        through = self._through()
        start = self._start(tenant, person)
        owned = self._owned(tenant)
        made, definition, texts, use = unread(start.state), self._model.name, 0, None
        for part in self._stretches(tenant, person, through):
            self._leases.extend(lease, self._lease_seconds)
            change = self._asked(tenant, person, made, part, owned)
            if isinstance(change, MindscapeUpdated):
                made = evolve(made, change)
            definition, texts = change.definition, texts + len(part.texts)
            use = change.use if use is None or change.use is None else added(use, change.use)
        return Reread(tenant, person, start, Shadow(start.state, made, definition, through), texts, use)

    def _asked(
        self, tenant: str, person: UUID, shadow: Mindscape, part: Stretch, owned: frozenset[str]
    ) -> Change:
        """What the model makes of some texts on top of the shadow; what it cost stands in the log then."""
        ask = asking(shadow, part.texts, owned)
        with self._budget.reserved(tenant, self._model.most(ask)):
            try:
                understood = self._model.ask(ask, read_answer)
            except ModelFailed as failed:
                if failed.use is not None:
                    self._paid(tenant, person, failed.use, {failed.reason: 1})
                raise
            said = said_of(understood.value, understood.use, part.through)
            change = infer_update(shadow, part.texts, said, owned)
            self._paid(tenant, person, understood.use, change.dropped)
        return change

    def _paid(self, tenant: str, person: UUID, use: ModelUse, dropped: dict[str, int]) -> None:
        definition = f"{use.model}:{use.prompt[:16]}"
        event = DerivationCompleted(
            derivation=REREADING, definition=definition, read_through=0, use=use, dropped=dropped
        )
        position = complete(self._streams, tenant, person, event)
        if position is not None:
            self._budget.paid(tenant, position, use.usd)
