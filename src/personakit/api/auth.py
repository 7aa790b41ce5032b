"""Who asks, and whether they may: an API key in `Authorization: Bearer pk_…` opens one tenant, as far as its
scopes go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from personakit.api.answers import header
from personakit.api.key_ring import KeyRing
from personakit.api.problems import Unauthorized
from personakit.api.rates import Rates
from personakit.api.scopes import NEEDED, is_open, require
from personakit.eventlog.access import ApiKey


class ApiKeyAuthentication:
    """ASGI middleware: sets the scope's `user` to the tenant, and `auth` to the key. Raises Unauthorized with
    what to do, RateExceeded, and Forbidden for a key without the scope of the route."""

    def __init__(self, app: ASGIApp, keys: KeyRing, rates: Rates) -> None:
        self._app = app
        self._keys = keys
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; health and descriptions are open."""
        if not is_open(str(scope["path_template"])) and scope.get("method") != "OPTIONS":
            key = await authenticated(self._keys, scope)
            self._rates.admit(scope, key)
            handler: Any = scope["route_handler"]
            require(key.grant, NEEDED[handler.operation_id])
            scope["user"], scope["auth"] = key.tenant, key
        await self._app(scope, receive, send)


async def authenticated(keys: KeyRing, scope: Scope) -> ApiKey:
    """The key that a request bears, which opens its tenant now. Raises Unauthorized with what to do, and
    TooManyGuesses."""
    given = header(scope, b"authorization") or ""
    scheme, _, secret = given.partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise Unauthorized(
            "This needs an API key: send the header 'Authorization: Bearer pk_…'. "
            "`personakit up` keeps the first key in the file api-key of its data directory."
        )
    client = scope["client"]
    key = await keys.find(secret.strip(), client[0] if client else "")
    if key is None:
        raise Unauthorized("This API key is not known, or was revoked; make one with: personakit keys create")
    now = datetime.now(UTC)
    if key.ends_at is not None and key.ends_at <= now:
        raise Unauthorized(
            f"This API key expired at {key.ends_at.isoformat()}; make one with: personakit keys create"
        )
    keys.used(key, now)
    return key
