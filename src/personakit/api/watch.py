"""Around the whole application, so that no answer escapes it: its position, what it tells of the key's rate
and tells a browser, its being counted, and whose data it was about."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from personakit.agents.service import Service
from personakit.api.answers import POSITION
from personakit.api.metrics import Metrics
from personakit.api.rates import rate_headers
from personakit.api.security_headers import Header, SecurityHeaders
from personakit.api.touched import gather, note

_POSITION: Final = POSITION.lower().encode("ascii")
_ALLOW: Final = b"allow"
NO_ROUTE = "(none)"
"""Stands for an address that no route has: the address itself is the caller's, and without bound."""


class Watch:
    """Gives an answer without a position the newest one that this process knows, and counts all answers.

    `methods` says what each route takes: Litestar's own answer to OPTIONS names those only that were there
    when the first handler of a path came.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        metrics: Metrics,
        security: SecurityHeaders,
        methods: Mapping[str, bytes],
    ) -> None:
        self._app = app
        self._service = service
        self._metrics = metrics
        self._security = security
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        began = time.perf_counter()
        status, position = 0, None
        people = gather()
        is_options = scope.get("method") == "OPTIONS"

        async def sending(message: Message) -> None:
            nonlocal status, position
            if message["type"] == "http.response.start":
                status = message["status"]
                position, headers = self._completed(scope, message["headers"])
                message["headers"] = self._with_methods(scope, headers) if is_options else headers
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = scope.get("path_template") or NO_ROUTE
            method = str(scope.get("method"))
            tenant = str(scope.get("user") or "")
            self._metrics.answered(tenant, method, route, status, time.perf_counter() - began)
            if people:
                note(self._service, scope, status, position, people)

    def _completed(self, scope: Scope, headers: Iterable[Header]) -> tuple[int | None, list[Header]]:
        """The position that the answer itself says, and all its headers."""
        complete = [*headers]
        given = dict(complete)
        complete += self._security.lacking(given)
        if (rate := rate_headers(scope)) is not None:
            complete += rate
        if (said := given.get(_POSITION)) is not None:
            self._service.saw(int(said))
            return int(said), complete
        return None, [*complete, (_POSITION, b"%d" % self._service.position)]

    def _with_methods(self, scope: Scope, headers: Iterable[Header]) -> list[Header]:
        methods = self._methods.get(str(scope.get("path_template")))
        return [(name, methods if name == _ALLOW and methods else value) for name, value in headers]


def methods_of(routes: Iterable[BaseRoute]) -> dict[str, bytes]:
    """What each path takes, as `Allow` lists it."""
    found: dict[str, set[str]] = {}
    for route in routes:
        if isinstance(route, HTTPRoute):
            found.setdefault(route.path_format, set()).update(route.methods)
    return {path: ", ".join(sorted(methods)).encode() for path, methods in found.items()}
