"""Around the whole application, so that no answer escapes it: its position, and its being counted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from personakit.agents.service import Service
from personakit.api.answers import POSITION
from personakit.api.metrics import Metrics

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
        self, app: ASGIApp, service: Service, metrics: Metrics, methods: Mapping[str, bytes]
    ) -> None:
        self._app = app
        self._service = service
        self._metrics = metrics
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        began = time.perf_counter()
        status = 0
        is_options = scope.get("method") == "OPTIONS"

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = self._with_position(message["headers"])
                message["headers"] = self._with_methods(scope, headers) if is_options else headers
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = scope.get("path_template") or NO_ROUTE
            method = str(scope.get("method"))
            self._metrics.answered(method, route, status, time.perf_counter() - began)

    def _with_position(self, headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
        for name, value in headers:
            if name == _POSITION:
                self._service.saw(int(value))
                return headers
        return [*headers, (_POSITION, b"%d" % self._service.position)]

    def _with_methods(
        self, scope: Scope, headers: Iterable[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        methods = self._methods.get(str(scope.get("path_template")))
        return [(name, methods if name == _ALLOW and methods else value) for name, value in headers]


def methods_of(routes: Iterable[BaseRoute]) -> dict[str, bytes]:
    """What each path takes, as `Allow` lists it."""
    found: dict[str, set[str]] = {}
    for route in routes:
        if isinstance(route, HTTPRoute):
            found.setdefault(route.path_format, set()).update(route.methods)
    return {path: ", ".join(sorted(methods)).encode() for path, methods in found.items()}
