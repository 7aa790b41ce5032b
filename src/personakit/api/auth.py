"""Who asks: an API key in `Authorization: Bearer pk_…` opens one tenant."""

from __future__ import annotations

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor

from litestar.types import ASGIApp, Receive, Scope, Send

from personakit.api.answers import header
from personakit.api.problems import Unauthorized
from personakit.eventlog.access import tenant_of
from personakit.eventlog.recorder import LogRecorder

REMEMBERED_SECONDS = 0.9
"""How long a key is believed without asking again: a revoked one stops within a second."""
LOOKUPS = 4
OPEN_PATHS = ["^/health/", "^/metrics$", "^/openapi.json$", "^/docs", "^/schemas/"]
"""Health, figures, and descriptions of the API and of documents: they hold nobody's data."""

_OPEN = re.compile("|".join(OPEN_PATHS))


class KeyRing:
    """Looks keys up, and remembers for a moment those that opened something."""

    def __init__(self, recorder: LogRecorder) -> None:
        self._recorder = recorder
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="keys")
        self._known: dict[str, tuple[str, float]] = {}

    async def tenant(self, key: str) -> str | None:
        """The tenant that the key opens, or None."""
        tenant, until = self._known.get(key, ("", 0.0))
        if time.monotonic() < until:
            return tenant
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, tenant_of, self._recorder, key)
        if found is None:
            self._known.pop(key, None)
            return None
        self._known[key] = (found, time.monotonic() + REMEMBERED_SECONDS)
        return found


class ApiKeyAuthentication:
    """ASGI middleware: sets the scope's `user` to the tenant. Raises Unauthorized with what to do."""

    def __init__(self, app: ASGIApp, keys: KeyRing) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; health and descriptions are open."""
        if not _OPEN.search(scope["path"]) and scope.get("method") != "OPTIONS":
            scope["user"] = await self._tenant(scope)
            scope["auth"] = None
        await self._app(scope, receive, send)

    async def _tenant(self, scope: Scope) -> str:
        given = header(scope, b"authorization") or ""
        scheme, _, key = given.partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Unauthorized(
                "This needs an API key: send the header 'Authorization: Bearer pk_…'. "
                "`personakit up` keeps the first key in the file api-key of its data directory."
            )
        tenant = await self._keys.tenant(key.strip())
        if tenant is None:
            raise Unauthorized("This API key is not known; make one with: personakit keys create")
        return tenant
