"""Regenerations that a model has a part in: one call for a persona however many ask, in threads of their
own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import Enum
from typing import Final
from uuid import UUID

from personakit.agents.budget import BudgetSpent
from personakit.agents.model import ModelFailed
from personakit.agents.regenerator import Regenerator
from personakit.config import ModelSettings
from personakit.eventlog.leases import Lease, LeaseLost, Leases
from personakit.eventlog.person_keys import PersonErased
from personakit.projections.read import NotThereYet
from personakit_sdk.errors import PersonaKitError

LEASE = "core"
LEASE_MARGIN = 60.0
POLL_SECONDS = 0.1
_NOT_ANEW: Final = "A core could not be made anew, the old one goes on serving (tenant %s): %s"

logger = logging.getLogger(__name__)


class StillRegenerating(PersonaKitError):
    """The new core is under way and takes longer than the caller would wait."""


class _Elsewhere(Enum):
    """Somebody else is at it."""

    ELSEWHERE = "elsewhere"


class Regenerations:
    """Makes cores anew under a lease. Close it when done."""

    def __init__(self, regenerator: Regenerator, leases: Leases, settings: ModelSettings) -> None:
        self._regenerator = regenerator
        self._leases = leases
        self._lease_seconds = settings.ask_seconds + LEASE_MARGIN
        self.waiting = 0
        """How many in this process wait for somebody else's."""
        self._counting = threading.Lock()
        self._threads = ThreadPoolExecutor(settings.calls, thread_name_prefix="regeneration")

    def regenerate(self, tenant: str, persona: UUID, seconds: float) -> int | None:
        """As `Regenerator.regenerate`; who comes while it is under way waits for what comes of it. Raises
        ModelFailed, BudgetSpent, and StillRegenerating after `seconds`, when it goes on nevertheless."""
        began = time.monotonic()
        deadline = began + seconds
        while True:
            future = self._threads.submit(self._make, tenant, persona, began)
            try:
                made = future.result(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise StillRegenerating("The new core is under way; read the persona shortly.") from None
            if not isinstance(made, _Elsewhere):
                return made
            with self._waited():
                if self._ended(tenant, persona, began, deadline):
                    return None

    def close(self) -> None:
        """Returns when those under way have ended."""
        self._threads.shutdown(cancel_futures=True)

    def _make(self, tenant: str, persona: UUID, began: float) -> int | _Elsewhere | None:
        """An attempt for who asked at `began`: a failure since then is theirs, and is not paid for again."""
        asked = time.monotonic() - began
        lease = self._leases.take(
            tenant, LEASE, persona, self._lease_seconds, patient=False, failed_within=asked
        )
        if lease is None:
            return _Elsewhere.ELSEWHERE
        with self._leases.closing(lease):
            try:
                made = self._regenerator.regenerate(tenant, persona, lambda: self._extend(lease))
            except LeaseLost:
                return _Elsewhere.ELSEWHERE
            except ModelFailed as error:
                logger.warning(_NOT_ANEW, tenant, error)
                self._leases.failed(lease, str(error), error.retry_after)
                raise
            except PersonErased:
                self._leases.done(lease)
                raise
            except (BudgetSpent, NotThereYet) as error:
                # Whoever waits finds out for themselves: it costs nothing.
                logger.warning(_NOT_ANEW, tenant, error)
                self._leases.failed(lease, None)
                raise
        self._leases.done(lease)
        return made

    def _extend(self, lease: Lease) -> None:
        """Before each question: one may follow another, where the persona is defined anew meanwhile."""
        self._leases.extend(lease, self._lease_seconds)

    @contextmanager
    def _waited(self) -> Iterator[None]:
        with self._counting:
            self.waiting += 1
        try:
            yield
        finally:
            with self._counting:
                self.waiting -= 1

    def _ended(self, tenant: str, persona: UUID, began: float, deadline: float) -> bool:
        """Waits for whoever is at it: True when they made it, False when they are gone without a word. Raises
        ModelFailed when they failed, StillRegenerating."""
        while (state := self._leases.state(tenant, LEASE, persona, time.monotonic() - began)) is not None:
            if not state.held and state.error is not None:
                raise ModelFailed(state.error)
            if not state.held:
                return False
            if time.monotonic() > deadline:
                raise StillRegenerating("The new core is under way; read the persona shortly.")
            time.sleep(POLL_SECONDS)
        return True
