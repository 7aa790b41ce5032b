"""Version conflicts that were met and re-applied, counted over all processes: none is lost work, but many say
that too many change the same entity at once."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import NamedTuple

import psycopg
from eventsourcing.persistence import PersistenceError

from personakit.domain.events import (
    DerivationCompleted,
    Event,
    MindscapeUpdated,
    TraitPinned,
    TraitTrustAdjusted,
    TraitUnpinned,
)
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.recorder import LogRecorder
from personakit.eventlog.stored import StreamId

logger = logging.getLogger(__name__)


class TenantsWork(NamedTuple):
    """A kind of work for a tenant."""

    tenant: str
    work: str


class Conflicts:
    """Counts in this process, and now and then in the database: a conflict costs no write of its own. What a
    killed process had not written yet is not counted."""

    def __init__(self, recorder: LogRecorder) -> None:
        self._recorder = recorder
        self._lock = threading.Lock()
        self._met: Counter[TenantsWork] = Counter()

    def met(self, tenant: str, work: str) -> None:
        """Counts one."""
        with self._lock:
            self._met[TenantsWork(tenant, work)] += 1

    def keep(self) -> None:
        """Writes what was counted here; with the database away it is kept for the next time."""
        with self._lock:
            met, self._met = self._met, Counter()
        if not met:
            return
        values = {
            "tenants": [each.tenant for each in met],
            "works": [each.work for each in met],
            "times": list(met.values()),
        }
        try:
            with self._recorder.datastore.get_connection() as connection:
                connection.execute(SQL["count_conflicts"], values)
        except (psycopg.Error, PersistenceError) as error:
            logger.warning("Conflicts cannot be counted now: %s", error)
            with self._lock:
                self._met.update(met)

    def totals(self) -> dict[TenantsWork, int]:
        """How often a tenant's work met one, in all processes that have written it, and in this one."""
        self.keep()
        with self._recorder.datastore.get_connection() as connection:
            rows = connection.execute(SQL["conflicts"]).fetchall()
        return {TenantsWork(row["tenant"], row["work"]): row["met"] for row in rows}


def work_of(stream: StreamId, event: Event) -> str:
    """Whose work an event is: a derivation's, curation, or that on some kind of entity."""
    match event:
        case MindscapeUpdated() | DerivationCompleted():
            return event.derivation
        case TraitPinned() | TraitUnpinned():
            return "curation"
        case TraitTrustAdjusted():
            return "trust"
        case _:
            return stream.kind
