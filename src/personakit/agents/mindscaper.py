"""The Mindscaper: folds a person's new observations into their mindscape.

Each pass ends in exactly one event that bears the position read through, or in none when there was
nothing new; so a crash or a doubled wake-up derives nothing twice.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

from personakit.agents.anew import Anew, observed_of, taken_back
from personakit.agents.mindscapes import mindscape_in, read_mindscape
from personakit.agents.tenant_rules import TenantRules
from personakit.domain.computed_traits import ComputedTraits
from personakit.domain.events import DerivationCompleted, MindscapeUpdated
from personakit.domain.mindscape import (
    Mindscape,
    by_other_rules,
    derive_update,
    evolve,
)
from personakit.eventlog.answers import ThreadFuture
from personakit.eventlog.appender import wait
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.recorder import VersionConflict
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Streams
from personakit.projections.read import Reader, Snapshot

DERIVATION = "computed"
BATCH = 1000
PEOPLE = 50
"""How many people one pass over a bucket reads together."""


class _Waiting(NamedTuple):
    """A person who awaits derivation: what is believed of them, and what was observed since."""

    tenant: str
    person: UUID
    computed: ComputedTraits
    mindscape: Mindscape
    due: int
    cursor: int
    through: int
    rows: list[dict[str, Any]]


class Mindscaper:
    """Derives computed traits by the rules of each tenant, with the mindscape's version as the lock."""

    def __init__(self, reader: Reader, streams: Streams, rules: TenantRules) -> None:
        self._reader = reader
        self._streams = streams
        self._rules = rules

    def derive_due(self, bucket: int) -> None:
        """One pass over the people of a bucket who await derivation, read together and appended together.

        Those who are folded anew from more than a batch come after the others, one by one. Who is not done
        with it is still due when `derivation_due` has followed, and is woken for again.
        """
        waiting, alone = self._waiting(bucket)
        offered = [
            (each, self._offer(each, change))
            for each in waiting
            if (change := self._change(each)) is not None
        ]
        for each, future in offered:
            try:
                if future is not None:
                    wait(future)
            except VersionConflict:
                self._streams.conflicts.met(each.tenant, DERIVATION)
                alone.append(each)
            except PersonErased:
                continue
        for each in alone:
            with suppress(PersonErased):
                self.derive(each.tenant, each.person)

    def _waiting(self, bucket: int) -> tuple[list[_Waiting], list[_Waiting]]:
        """Who is due, with their mindscape and the observations after their cursor, in one snapshot; and,
        without these, those of whom something was retracted after it, or who were derived by other rules from
        more than a batch.

        Not those whose newest mindscape the read model has not followed yet: a pass over them would only
        meet a conflict.
        """
        with self._reader.snapshot_of_all() as snapshot:
            asked = self._rules.asked(snapshot)
            due = snapshot.rows("derivation_due.due", **asked, bucket=bucket, limit=PEOPLE)
            rules = self._rules.of_each(snapshot, {row["tenant"] for row in due})
            whose = {"tenants": [row["tenant"] for row in due], "people": [row["person"] for row in due]}
            rows = snapshot.rows("mindscapes.newest", **whose)
            mindscapes = {(row["tenant"], row["person"]): mindscape_in(row) for row in rows}
            waiting = {
                (row["tenant"], row["person"]): _Waiting(
                    row["tenant"],
                    row["person"],
                    rules[row["tenant"]],
                    mindscape,
                    row["due"],
                    max(_read_by(row, rules[row["tenant"]]), _own_cursor(mindscape, rules[row["tenant"]])),
                    snapshot.positions["observations"],
                    [],
                )
                for row in due
                if (mindscape := mindscapes.get((row["tenant"], row["person"]))) is not None
            }
            through = snapshot.positions["observations"]
            cursors = [(each.tenant, each.person, each.cursor) for each in waiting.values()]
            alone = [waiting.pop(whose) for whose in taken_back(snapshot, cursors, through)]
            found = snapshot.rows(
                "observations.of_people",
                tenants=[each.tenant for each in waiting.values()],
                people=[each.person for each in waiting.values()],
                after=[each.cursor for each in waiting.values()],
                through=through,
                limit=BATCH,
            )
        for row in found:
            waiting[row["tenant"], row["person"]].rows.append(row)
        long = {whose for whose, each in waiting.items() if _is_long(each)}
        alone += [waiting.pop(whose) for whose in long]
        return list(waiting.values()), alone

    def _change(self, waiting: _Waiting) -> MindscapeUpdated | DerivationCompleted | None:
        if not waiting.rows:
            # What is due stands still in quarantine: said to be read, or all who wait for it wait for ever.
            followed = waiting.cursor < waiting.due <= waiting.through
            return _nothing(waiting.computed, waiting.through) if followed else None
        full = len(waiting.rows) == BATCH
        read_through = waiting.rows[-1]["position"] if full else waiting.through
        observed = [observed_of(row) for row in waiting.rows]
        return derive_update(waiting.mindscape, waiting.computed, observed, read_through)

    def _offer(
        self, waiting: _Waiting, change: MindscapeUpdated | DerivationCompleted
    ) -> ThreadFuture | None:
        """The append under way; None where all is done already, or nothing can be."""
        try:
            if isinstance(change, DerivationCompleted):
                self._complete(waiting.tenant, waiting.person, change)
                return None
            stream = StreamId(waiting.tenant, "mindscape", waiting.person)
            return self._streams.offer(stream, waiting.mindscape.version + 1, change, person=waiting.person)
        except PersonErased:
            return None

    def derive(self, tenant: str, person: UUID) -> None:
        """Reads on until this person's observations are read through."""
        while self._derive_batch(tenant, person):
            pass

    def _derive_batch(self, tenant: str, person: UUID) -> bool:
        """One pass over at most BATCH observations, or over all that are to be read anew; whether there may
        be more."""
        completed: list[DerivationCompleted] = []
        full = False

        def decide(mindscape: Mindscape) -> MindscapeUpdated | None:
            nonlocal full
            completed.clear()
            change, full = self._read_on(tenant, person, mindscape)
            if isinstance(change, DerivationCompleted):
                completed.append(change)
                return None
            return change

        stream = StreamId(tenant, "mindscape", person)
        self._streams.update(
            stream, read_mindscape(self._reader, tenant, person), evolve, decide, person=person
        )
        for change in completed:
            self._complete(tenant, person, change)
        # A pass that changed nothing moves a cursor that is seen only when `derivation_due` has followed:
        # the rest is still due then, and the next wake-up reads on from there.
        return full and not completed

    def _read_on(
        self, tenant: str, person: UUID, mindscape: Mindscape
    ) -> tuple[MindscapeUpdated | DerivationCompleted | None, bool]:
        """What the observations after the cursor change, and whether there may be more of them; None where
        there are none. Where something was retracted since, or the rules have changed, nothing is left for
        another pass."""
        with self._reader.snapshot(tenant) as snapshot:
            computed = self._rules.of(snapshot, tenant)
            cursor = _cursor(snapshot, tenant, person, mindscape, computed)
            through = snapshot.positions["observations"]
            lost = taken_back(snapshot, [(tenant, person, cursor)], through).get((tenant, person))
            if lost is not None:
                anew = Anew(snapshot, tenant, person, cursor, through, lost, BATCH)
                return anew.derive(mindscape, computed), False
            if cursor == 0 and by_other_rules(mindscape, computed):
                anew = Anew(snapshot, tenant, person, cursor, through, (), BATCH)
                return anew.derive_by_new_rules(mindscape, computed), False
            rows = self._rows(snapshot, tenant, person, cursor, through)
        if not rows:
            return None, False
        full = len(rows) == BATCH
        read_through = rows[-1]["position"] if full else through
        observed = [observed_of(row) for row in rows]
        return derive_update(mindscape, computed, observed, read_through), full

    @staticmethod
    def _rows(
        snapshot: Snapshot, tenant: str, person: UUID, cursor: int, through: int
    ) -> list[dict[str, Any]]:
        return snapshot.rows(
            "observations.by_person",
            tenant=tenant,
            person=person,
            after=cursor,
            through=through,
            limit=BATCH,
        )

    def _complete(self, tenant: str, person: UUID, change: DerivationCompleted) -> None:
        stream = StreamId(tenant, f"derivation.{change.derivation}", person)
        last = self._streams.last(stream)

        def decide(before: DerivationCompleted | None) -> DerivationCompleted | None:
            if before is None or before.definition != change.definition:
                return change
            return change if before.read_through < change.read_through else None

        self._streams.update(stream, last, lambda _, event: event, decide, person=person)


def _nothing(computed: ComputedTraits, through: int) -> DerivationCompleted:
    return DerivationCompleted(derivation=DERIVATION, definition=computed.fingerprint, read_through=through)


def _cursor(
    snapshot: Snapshot, tenant: str, person: UUID, mindscape: Mindscape, computed: ComputedTraits
) -> int:
    """How far these rules have read: the mindscape's word, or a later pass that changed nothing."""
    row = snapshot.row("derivation_due.cursor", tenant=tenant, person=person, derivation=DERIVATION)
    return max(_own_cursor(mindscape, computed), _read_by(row, computed) if row else 0)


def _read_by(row: dict[str, Any], computed: ComputedTraits) -> int:
    """How far these rules have read, by a row of `derivation_due`: others begin again."""
    return int(row["read_through"]) if row["definition"] == computed.fingerprint else 0


def _own_cursor(mindscape: Mindscape, computed: ComputedTraits) -> int:
    derived = mindscape.derivations.get(DERIVATION)
    same = derived is not None and derived.definition == computed.fingerprint
    return derived.read_through if derived is not None and same else 0


def _is_long(waiting: _Waiting) -> bool:
    """Whether a batch is not enough to read all again by other rules: no reader sees a part of it."""
    full = len(waiting.rows) == BATCH and waiting.cursor == 0
    return full and by_other_rules(waiting.mindscape, waiting.computed)
