"""Leases: rows by which one process at a time does what must not be done twice, without holding a connection
while it lasts. Not part of the log: what was done is, in its event."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec

from personakit.eventlog.log_sql import SQL
from personakit.eventlog.recorder import LogRecorder
from personakit_sdk.errors import PersonaKitError

LONGEST_PAUSE = 3600.0


class Lease(msgspec.Struct, frozen=True):
    """That this process is at a kind of work on an entity; `failures` counts those in a row before."""

    tenant: str
    kind: str
    entity: UUID
    holder: UUID
    failures: int


class LeaseState(msgspec.Struct, frozen=True):
    """Whether somebody is at it, and what went wrong lately, if it did."""

    held: bool
    error: str | None


class LeaseLost(PersonaKitError):
    """It took longer than the lease lasted, and another has it now."""


class Leases:
    """Takes leases and ends them."""

    def __init__(self, recorder: LogRecorder, pause_seconds: float) -> None:
        self._recorder = recorder
        self._pause_seconds = pause_seconds

    def take(
        self,
        tenant: str,
        kind: str,
        entity: UUID,
        seconds: float,
        *,
        patient: bool = True,
        failed_within: float = 0.0,
    ) -> Lease | None:
        """The lease, for `seconds` at most; None where another has it, where it failed with an error in the
        last `failed_within` seconds or, for who is `patient`, where it is to be left alone."""
        holder = uuid4()
        values = {"tenant": tenant, "kind": kind, "entity": entity, "holder": holder}
        row = self._row("take_lease", **values, seconds=seconds, patient=patient, failed_within=failed_within)
        return None if row is None else Lease(tenant, kind, entity, holder, row["failures"])

    def extend(self, lease: Lease, seconds: float) -> None:
        """Keeps it for `seconds` from now on, at most. Raises LeaseLost."""
        values = {"tenant": lease.tenant, "kind": lease.kind, "entity": lease.entity, "holder": lease.holder}
        if self._row("extend_lease", **values, seconds=seconds) is None:
            raise LeaseLost(f"This took too long: another is at the same {lease.kind} by now.")

    def done(self, lease: Lease) -> None:
        """Ends it; nothing where it ran out and another took it."""
        self._execute("end_lease", lease)

    def failed(self, lease: Lease, error: str | None, retry_after: float | None = None) -> None:
        """Ends it, with what went wrong (None: nothing that others would not better find out for themselves).
        The pause doubles with each failure in a row, up to an hour; where the provider asks for a longer one,
        that counts."""
        growing = min(self._pause_seconds * 2.0 ** min(lease.failures, 20), LONGEST_PAUSE)
        asked_for = min(retry_after or 0.0, 24 * LONGEST_PAUSE)
        self._execute("fail_lease", lease, pause=max(growing, asked_for), error=error)

    @contextmanager
    def closing(self, lease: Lease) -> Iterator[None]:
        """Marks the lease failed where the block raises, so that what nobody foresaw is not done again at
        once, and for ever; also where the process is told to end, or the next one would wait for the rest."""
        try:
            yield
        except BaseException as error:
            self.failed(lease, type(error).__name__)
            raise

    def state(self, tenant: str, kind: str, entity: UUID, lately: float) -> LeaseState | None:
        """Whether it is held, and the error of the last `lately` seconds; None where the work was done."""
        row = self._row("lease", tenant=tenant, kind=kind, entity=entity, seconds=lately)
        return None if row is None else LeaseState(row["held"], row["error"])

    def failing(self) -> dict[tuple[str, str], int]:
        """Of each tenant and kind of work, on how many entities it failed when it was last tried."""
        with self._recorder.datastore.get_connection() as connection:
            rows = connection.execute(SQL["failing_leases"]).fetchall()
        return {(row["tenant"], row["kind"]): row["entities"] for row in rows}

    def _execute(self, query: str, lease: Lease, **more: Any) -> None:
        values = {"tenant": lease.tenant, "kind": lease.kind, "entity": lease.entity, "holder": lease.holder}
        with self._recorder.datastore.get_connection() as connection:
            connection.execute(SQL[query], {**values, **more})

    def _row(self, query: str, **values: Any) -> dict[str, Any] | None:
        with self._recorder.datastore.get_connection() as connection:
            return connection.execute(SQL[query], values).fetchone()
