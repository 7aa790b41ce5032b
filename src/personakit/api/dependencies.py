"""What handlers ask for: the service, the key that the request bears, its tenant and its name.

Most get them by name. The routes that are asked most take them from the request: two dependencies cost as
much there as all that Litestar does else.
"""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from litestar.exceptions import ValidationException
from litestar.types import Scope

from personakit.agents.service import Service
from personakit.api.answers import header
from personakit.eventlog.access import ApiKey

ServiceGiven = NamedDependency[Service]
TenantGiven = NamedDependency[str]
CallerGiven = NamedDependency[ApiKey]
"""The key that the request bears: whom it may see, and of which tenant."""
OriginGiven = NamedDependency[str]
"""Who makes a version, as the log keeps it: the name of the caller's key."""
IDEMPOTENCY_KEY = "Idempotency-Key"
LONGEST_KEY = 255
_HEADER = IDEMPOTENCY_KEY.lower().encode()


def service_of(request: Request[Any, Any, Any]) -> Service:
    """The service behind the application."""
    service: Service = request.app.state["service"]
    return service


def idempotency_key(scope: Scope) -> str | None:
    """The Idempotency-Key of a request. Raises ValidationException for one that is too long."""
    key = header(scope, _HEADER)
    if key is not None and len(key) > LONGEST_KEY:
        message = f"Expected `str` of length <= {LONGEST_KEY}"
        raise ValidationException(extra=[{"key": IDEMPOTENCY_KEY, "message": message, "source": "header"}])
    return key
