"""`/health`: is the process alive, is it ready to take and to answer."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Response, Router, get
from litestar.openapi import ResponseSpec

from personakit.agents.service import Service
from personakit.api.dependencies import ServiceGiven
from personakit.projections.builds import BuildState
from personakit_sdk import wire


@get("/live", sync_to_thread=False, operation_id="isAlive", summary="Is the process alive")
def live() -> wire.Health:
    """The process answers."""
    return wire.Health(status="ok")


@get(
    "/ready",
    sync_to_thread=True,
    operation_id="isReady",
    summary="Is the service ready",
    responses={503: ResponseSpec(wire.Health, description="It is not ready", generate_examples=False)},
)
def ready(service: ServiceGiven) -> Response[wire.Health]:
    """Whether the log can be read and written to; how far each projection lags behind it; whether a model is
    asked, without which all of it works on computed traits; and whether the database itself keeps tenants
    apart."""
    states = [state for state in service.reader.states() if state.state == "active"]
    unbound = service.unbound()
    checks = {state.name: _condition(state) for state in states} | {
        "model": _model(service),
        "roles": "in force" if unbound is None else f"NOT IN FORCE: {unbound}",
    }
    if not service.appender.alive:
        checks = {"log": "takes no more writes; start the service again", **checks}
        return Response(wire.Health(status="unavailable", checks=checks), status_code=503)
    degraded = unbound is not None or any(state.quarantined for state in states)
    checks = {"log": "writable", **checks}
    return Response(wire.Health(status="degraded" if degraded else "ok", checks=checks))


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


router = Router("/health", route_handlers=[live, ready], tags=["health"])
