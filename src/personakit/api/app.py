"""The composition root: a Litestar application over an open Service."""

from __future__ import annotations

import asyncio
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
    audit,
    computed_traits,
    consent,
    curation,
    erasures,
    feedback,
    health,
    map_persona,
    mappers,
    model_use,
    observations,
    openapi,
    people,
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
from personakit.api.cross_origin import cross_origin
from personakit.api.gate import Gate, is_health
from personakit.api.key_ring import KeyRing
from personakit.api.metrics import Metrics
from personakit.api.metrics_page import MetricsPage
from personakit.api.metrics_page import metrics as get_metrics
from personakit.api.position_waits import PositionWaits
from personakit.api.problems import HostUnknown, respond
from personakit.api.rates import Rates
from personakit.api.readiness import Readiness
from personakit.api.scopes import require_scoped
from personakit.api.security_headers import SecurityHeaders
from personakit.api.shares import key_of
from personakit.api.streamed import Streams
from personakit.api.sync import pull, push
from personakit.api.sync.waiting import Waiting
from personakit.api.watch import Watch, methods_of
from personakit.config import WebSettings
from personakit.domain.rate import Rate
from personakit.eventlog.access import ApiKey
from personakit_sdk.errors import Fault, InvalidInput

_MIN_POSITION = MIN_POSITION.lower().encode()


def create_app(service: Service, web: WebSettings | None = None) -> Litestar:
    """The whole HTTP API, as `web` has it, or as it is without any setting."""
    web = web or WebSettings()

    def provide_service() -> Service:
        return service

    gate = Gate()
    position_waits = PositionWaits(gate)

    async def before_request(request: Request[Any, Any, Any]) -> None:
        """Refuses what no handler can take, and honours PersonaKit-Min-Position: answers from a state
        that holds what the caller has seen."""
        scope = request.scope
        if b"%00" in scope["raw_path"] or b"%00" in scope["query_string"]:
            raise InvalidInput("The address has a NUL character in it; leave it out.")
        if web.hosts:
            _require_host(request, web.hosts)
        wanted = header(scope, _MIN_POSITION)
        if wanted is not None and scope.get("user") is not None:
            look = partial(service.reader.wait_for, request.user, _position(wanted), 0.0)
            await position_waits.until_reached(key_of(scope), look)

    metrics = Metrics(service)
    metrics_page = MetricsPage(metrics, gate)
    waiting = Waiting(service)
    rates = Rates(Rate(web.requests_rate, web.items_rate))
    keys = KeyRing(service, rates)
    readiness = Readiness(service)
    app = Litestar(
        route_handlers=[
            observations.router,
            curation.router,
            consent.router,
            consent.policy_router,
            persona_definitions.router,
            map_persona.router,
            mappers.router,
            computed_traits.router,
            feedback.give_feedback,
            people.router,
            audit.get_audit,
            model_use.get_model_use,
            suggestions.get_suggestion,
            erasures.router,
            pull.sync,
            push.push,
            key_routes.router,
            health.router,
            get_metrics,
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
        middleware=[DefineMiddleware(ApiKeyAuthentication, keys=keys, rates=rates)],
        cors_config=cross_origin(web.cors_origins),
        before_request=before_request,
        on_startup=[keys.listen],
        on_shutdown=[position_waits.close, waiting.close, keys.close, readiness.close, metrics_page.close],
        exception_handlers={Exception: respond},
        request_max_body_size=MAX_BODY,
        openapi_config=_description(),
        logging_config=None,
        state=State(
            {
                "describing": asyncio.Lock(),
                "gate": gate,
                "keys": keys,
                "metrics": metrics,
                "metrics_page": metrics_page,
                "position_waits": position_waits,
                "readiness": readiness,
                "service": service,
                "streams": Streams(gate),
                "waiting": waiting,
            }
        ),
    )
    require_scoped(app.routes)
    security = SecurityHeaders(behind_tls=web.behind_tls)
    app.asgi_handler = Watch(
        gate.around(app.asgi_handler), service, metrics, security, methods_of(app.routes)
    )
    service.on_append(metrics.appended)
    return app


def _require_host(request: Request[Any, Any, Any], hosts: frozenset[str]) -> None:
    """Raises HostUnknown. Whoever asks after health does so by an address."""
    given = (header(request.scope, b"host") or "").lower()
    if given not in hosts and given.rpartition(":")[0] not in hosts and not is_health(request.url.path):
        raise HostUnknown("This service is not known by that name; ask at one of its own.")


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
