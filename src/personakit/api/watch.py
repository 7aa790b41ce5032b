"""Around the whole application, so that no answer escapes it: its position, its being counted, and whose data
it was about."""

from __future__ import annotations

import time
from collections.abc import Iterable

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from personakit.agents.service import Service
from personakit.api.answers import POSITION
from personakit.api.metrics import Metrics
from personakit.api.touched import gather, note

_POSITION = POSITION.lower().encode("ascii")
NO_ROUTE = "(none)"
"""Stands for an address that no route has: the address itself is the caller's, and without bound."""


class Watch:
    """Gives an answer without a position the newest one that this process knows, and counts all answers."""

    def __init__(self, app: ASGIApp, service: Service, metrics: Metrics) -> None:
        self._app = app
        self._service = service
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        began = time.perf_counter()
        status, position = 0, None
        people = gather()

        async def sending(message: Message) -> None:
            nonlocal status, position
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                position = _position_in(headers)
                if position is None:
                    message["headers"] = [*headers, (_POSITION, b"%d" % self._service.position)]
                else:
                    self._service.saw(position)
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


def _position_in(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    for name, value in headers:
        if name == _POSITION:
            return int(value)
    return None
