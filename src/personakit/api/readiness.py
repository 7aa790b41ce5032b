"""Whether the service is ready: looked at from a thread of its own, once for all who ask at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

from personakit.agents.service import Service
from personakit.projections.builds import BuildState
from personakit_sdk import wire

LOOK_SECONDS: Final = 2.0


class Readiness:
    """Asks the log and the read models. However many requests hold connections and threads, and however many
    probes there are, one more connection is waited for."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="readiness")
        self._looking: Future[wire.Health] | None = None

    async def look(self) -> wire.Health:
        """How it stands: `unavailable` where that cannot be told within LOOK_SECONDS."""
        if self._looking is None or self._looking.done():
            self._looking = self._thread.submit(self._look)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await asyncio.shield(asyncio.wrap_future(self._looking))
        except TimeoutError:
            return wire.Health(
                status="unavailable", checks={"log": f"does not answer within {LOOK_SECONDS:.0f} seconds"}
            )

    def close(self) -> None:
        """Nobody asks any more."""
        self._thread.shutdown()

    def _look(self) -> wire.Health:
        service = self._service
        states = [state for state in service.reader.states() if state.state == "active"]
        unbound = service.unbound()
        checks = {state.name: _condition(state) for state in states} | {
            "model": _model(service),
            "roles": "in force" if unbound is None else f"NOT IN FORCE: {unbound}",
        }
        if not service.appender.alive:
            return wire.Health(
                status="unavailable",
                checks={"log": "takes no more writes; start the service again", **checks},
            )
        degraded = unbound is not None or any(state.quarantined for state in states)
        return wire.Health(status="degraded" if degraded else "ok", checks={"log": "writable", **checks})


def _model(service: Service) -> str:
    room = service.inference
    if room is None:
        return "none, for no key is set: traits are computed, summaries composed"
    with service.reader.snapshot_of_all() as snapshot:
        waiting = snapshot.rows("inference_due.backlog")
        spent = snapshot.row("model_use.spent_above", day=datetime.now(UTC).date(), usd=room.full_at)
    people, tenants = sum(row["people"] for row in waiting), spent["tenants"] if spent else 0
    said = f"{room.settings.name}, text of {people} people waits"
    if not tenants:
        return said
    return f"{said}; of {tenants} tenants today's {room.settings.budget_usd:g} USD are spent"


def _condition(state: BuildState) -> str:
    behind = f"{state.lag_events} events behind"
    if not state.quarantined:
        return behind
    return f"{behind}, {state.quarantined} streams QUARANTINED; the log of the workers says which and why"
