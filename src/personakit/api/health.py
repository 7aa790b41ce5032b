"""`/health`: is the process alive, is it ready to take and to answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from litestar import Request, Response, Router, get
from litestar.openapi import ResponseSpec

from personakit_sdk import wire


@get("/live", sync_to_thread=False, operation_id="isAlive", summary="Is the process alive")
def live() -> wire.Health:
    """The process answers."""
    return wire.Health(status="ok")


@get(
    "/ready",
    operation_id="isReady",
    summary="Is the service ready",
    responses={503: ResponseSpec(wire.Health, description="It is not ready", generate_examples=False)},
)
async def ready(request: Request[Any, Any, Any]) -> Response[wire.Health]:
    """Whether the log can be read and written to; how far each projection lags behind it; and whether a
    model is asked, without which all of it works on computed traits."""
    found: wire.Health = await request.app.state["readiness"].look()
    unavailable = found.status == "unavailable"
    return Response(found, status_code=HTTPStatus.SERVICE_UNAVAILABLE if unavailable else HTTPStatus.OK)


router = Router("/health", route_handlers=[live, ready], tags=["health"])
