"""`/health`: is the process alive, is it ready to take and to answer."""

from __future__ import annotations

from litestar import Response, Router, get

from personakit.api.dependencies import ServiceGiven
from personakit_sdk import wire


@get("/live", sync_to_thread=False)
def live() -> wire.Health:
    """The process answers."""
    return wire.Health(status="ok")


@get("/ready", sync_to_thread=True)
def ready(service: ServiceGiven) -> Response[wire.Health]:
    """The log can be read and written to; how far each projection lags behind it."""
    checks = {
        state.name: f"{state.lag_events} events behind" for state in service.reader.states() if state.active
    }
    return Response(wire.Health(status="ok", checks=checks))


router = Router("/health", route_handlers=[live, ready], tags=["health"])
