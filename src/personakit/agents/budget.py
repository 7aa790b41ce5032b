"""The budget: what a tenant may spend on models in a day (UTC). It stops calls, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import msgspec

from personakit.projections.read import Reader
from personakit_sdk.errors import PersonaKitError

SHORTLY_SECONDS = 5.0
"""After which a call that did not fit beside those under way may be tried again."""


class BudgetSpent(PersonaKitError):
    """A call could cost more than the tenant may still spend today. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class _Paid(msgspec.Struct, frozen=True):
    tenant: str
    day: date
    position: int
    usd: float


class Budget:
    """Says whether a call may be made. What this process has under way counts, and what it has paid and the
    read model has not followed yet; so several processes overstep it by the calls under way at most."""

    def __init__(self, reader: Reader, usd: float, today: Callable[[], date] | None = None) -> None:
        self.usd = usd
        self._reader = reader
        self._today = today or _today
        self._lock = threading.Lock()
        self._under_way: dict[object, tuple[str, float]] = {}
        self._paid: list[_Paid] = []
        self._refused: dict[str, date] = {}

    @contextmanager
    def reserved(self, tenant: str, most: float) -> Iterator[None]:
        """Keeps `most` USD for a call until the block ends. Raises BudgetSpent."""
        key, day = object(), self._today()
        with self._lock:
            spent = self._spent(tenant, day)
            if spent + most > self.usd:
                self._refused[tenant] = day
                raise BudgetSpent(
                    f"The budget of {self.usd:g} USD a day for models is spent: {spent:.4f} USD are, and "
                    f"this could cost {most:.4f} more. It begins anew at 00:00 UTC.",
                    _until_midnight(),
                )
            under_way = sum(usd for whose, usd in self._under_way.values() if whose == tenant)
            if spent + under_way + most > self.usd:  # mostly they cost less than they could
                raise BudgetSpent(
                    f"Of the budget of {self.usd:g} USD a day for models {spent:.4f} USD are spent, calls "
                    f"under way could cost {under_way:.4f}, and this {most:.4f} more. Try again shortly.",
                    SHORTLY_SECONDS,
                )
            self._under_way[key] = (tenant, most)
        try:
            yield
        finally:
            with self._lock:
                del self._under_way[key]

    def left(self, tenant: str) -> float:
        """What a tenant may still spend today, in USD."""
        with self._lock:
            return max(0.0, self.usd - self._spent(tenant, self._today()))

    def paid(self, tenant: str, position: int, usd: float) -> None:
        """Notes what was paid, and at which position that stands in the log."""
        with self._lock:
            self._paid.append(_Paid(tenant, self._today(), position, usd))

    def refused(self) -> list[str]:
        """The tenants who were refused a call today: until tomorrow it is of no use to try."""
        day = self._today()
        with self._lock:
            self._refused = {tenant: when for tenant, when in self._refused.items() if when == day}
            return list(self._refused)

    def _spent(self, tenant: str, day: date) -> float:
        with self._reader.snapshot(tenant) as snapshot:
            row = snapshot.row("model_use.spent", tenant=tenant, day=day)
            through = snapshot.positions["model_use"]
        self._paid = [each for each in self._paid if each.position > through and each.day == day]
        not_followed = sum(each.usd for each in self._paid if each.tenant == tenant)
        return (row["usd"] if row else 0.0) + not_followed


def _until_midnight() -> float:
    now = datetime.now(UTC)
    begun = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return (begun + timedelta(days=1) - now).total_seconds()


def _today() -> date:
    return datetime.now(UTC).date()
