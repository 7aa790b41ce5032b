"""Who asks: an API key in `Authorization: Bearer pk_…` opens one tenant."""

from __future__ import annotations

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor

from litestar.types import ASGIApp, Receive, Scope, Send

from personakit.api.answers import header
from personakit.api.problems import Unauthorized
from personakit.eventlog.access import Holder, holder_of
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
        self._known: dict[str, tuple[Holder | None, float]] = {}

    async def holder(self, key: str) -> Holder | None:
        """Whose the key is, or None for one that opens nothing."""
        holder, until = self._known.get(key, (None, 0.0))
        if time.monotonic() < until:
            return holder
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, holder_of, self._recorder, key)
        if found is None:
            self._known.pop(key, None)
            return None
        self._known[key] = (found, time.monotonic() + REMEMBERED_SECONDS)
        return found


class ApiKeyAuthentication:
    """ASGI middleware: sets the scope's `user` to the tenant, and `auth` to the key's name. Raises
    Unauthorized with what to do."""

    def __init__(self, app: ASGIApp, keys: KeyRing) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; health and descriptions are open."""
        if not _OPEN.search(scope["path"]) and scope.get("method") != "OPTIONS":
            holder = await self._holder(scope)
            scope["user"], scope["auth"] = holder.tenant, holder.key_name
        await self._app(scope, receive, send)

    async def _holder(self, scope: Scope) -> Holder:
        given = header(scope, b"authorization") or ""
        scheme, _, key = given.partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Unauthorized(
                "This needs an API key: send the header 'Authorization: Bearer pk_…'. "
                "`personakit up` keeps the first key in the file api-key of its data directory."
            )
        holder = await self._keys.holder(key.strip())
        if holder is None:
            raise Unauthorized("This API key is not known; make one with: personakit keys create")
        return holder
