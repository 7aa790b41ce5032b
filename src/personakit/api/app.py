"""The composition root: a Litestar application over an open Service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from personakit.agents.service import Service
from personakit.api import (
    computed_traits,
    curation,
    feedback,
    health,
    map_persona,
    mappers,
    model_use,
    observations,
    openapi,
    persona_definitions,
    schemas,
    suggestions,
)
from personakit.api import (
    keys as key_routes,
)
from personakit.api.answers import MIN_POSITION, header
from personakit.api.auth import ApiKeyAuthentication
from personakit.api.bodies import MAX_BODY
from personakit.api.key_ring import KeyRing
from personakit.api.metrics import Metrics
from personakit.api.metrics import metrics as metrics_page
from personakit.api.problems import respond
from personakit.api.scopes import require_scoped
from personakit.api.sync import pull, push
from personakit.api.sync.waiting import Waiting
from personakit.api.watch import Watch, methods_of
from personakit.eventlog.access import ApiKey
from personakit.projections.read import NotThereYet
from personakit_sdk.errors import Fault, InvalidInput

MIN_POSITION_SECONDS = 5.0
_MIN_POSITION = MIN_POSITION.lower().encode()
LOOKERS = 4
LOOK_SECONDS, LOOK_SELDOM_SECONDS = 0.005, 0.05
"""How soon a waiter looks again: soon at first, then more and more seldom."""


def create_app(service: Service) -> Litestar:
    """The whole HTTP API."""

    def provide_service() -> Service:
        return service

    # Whoever waits holds no thread, only looks now and then: from threads of their own, so that however
    # many wait, others are served.
    lookers = ThreadPoolExecutor(LOOKERS, thread_name_prefix="looker")

    async def before_request(request: Request[Any, Any, Any]) -> None:
        """Refuses what no handler can take, and honours PersonaKit-Min-Position: answers from a state
        that holds what the caller has seen."""
        scope = request.scope
        if b"%00" in scope["raw_path"] or b"%00" in scope["query_string"]:
            raise InvalidInput("The address has a NUL character in it; leave it out.")
        wanted = header(scope, _MIN_POSITION)
        if wanted is not None and scope.get("user") is not None:
            await _reached(partial(service.reader.wait_for, request.user, _position(wanted), 0.0), lookers)

    metrics = Metrics(service)
    waiting = Waiting(service)
    keys = KeyRing(service)
    app = Litestar(
        route_handlers=[
            observations.router,
            curation.router,
            persona_definitions.router,
            map_persona.router,
            mappers.router,
            computed_traits.router,
            feedback.give_feedback,
            model_use.get_model_use,
            suggestions.get_suggestion,
            pull.sync,
            push.push,
            key_routes.router,
            health.router,
            metrics_page,
            schemas.mapper_json,
            openapi.openapi_json,
            openapi.docs,
        ],
        dependencies={
            "service": Provide(provide_service, sync_to_thread=False),
            "tenant": Provide(_tenant, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
            "origin": Provide(_origin, sync_to_thread=False),
        },
        middleware=[DefineMiddleware(ApiKeyAuthentication, keys=keys)],
        before_request=before_request,
        on_startup=[keys.listen],
        on_shutdown=[lookers.shutdown, waiting.close, keys.close],
        exception_handlers={Exception: respond},
        request_max_body_size=MAX_BODY,
        openapi_config=_description(),
        logging_config=None,
        state=State({"keys": keys, "metrics": metrics, "service": service, "waiting": waiting}),
    )
    require_scoped(app.routes)
    app.asgi_handler = Watch(app.asgi_handler, service, metrics, methods_of(app.routes))
    service.on_append(metrics.appended)
    return app


async def _reached(look: Callable[[], None], lookers: ThreadPoolExecutor) -> None:
    """Looks until the position is reached. Raises NotThereYet after MIN_POSITION_SECONDS."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + MIN_POSITION_SECONDS
    pause = LOOK_SECONDS
    while True:
        try:
            return await loop.run_in_executor(lookers, look)
        except NotThereYet:
            if loop.time() > deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LOOK_SELDOM_SECONDS)


def _tenant(request: Request[Any, Any, Any]) -> str:
    return str(request.user)


def _caller(request: Request[Any, Any, Any]) -> ApiKey:
    key: ApiKey = request.auth
    return key


def _origin(request: Request[Any, Any, Any]) -> str:
    return f"key: {_caller(request).name}"


def _position(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    raise InvalidInput(
        f"{MIN_POSITION} is {text!r}; it must be a position, as PersonaKit-Position of an answer gives it.",
        (Fault(MIN_POSITION, "not a position"),),
    )


def _description() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="PersonaKit",
        version="0.1.0",
        description="Observations about a person in, suggestions out, and the reasons for them.",
        components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
        security=[{"key": []}],
        use_handler_docstrings=True,
        render_plugins=[
            JsonRenderPlugin()
        ],  # none at all would bring Litestar's own pages, with remote scripts
        path="/-",
    )
