"""`asOf`: the state of the log that a caller asks about, by position or by time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from personakit.agents.past import AsOf
from personakit.agents.service import Service
from personakit.api.problems import NotFound
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput

AHEAD = timedelta(minutes=5)
_POSITION = re.compile(r"[0-9]{1,18}", re.ASCII)


def resolve(service: Service, as_of: str, now: datetime) -> AsOf:
    """The state that `as_of` names. A time up to AHEAD after `now` counts as now.

    Raises InvalidInput for what is neither a position nor a time, or a time later than that; BeyondHead
    for a position that the log has not reached.
    """
    if _POSITION.fullmatch(as_of):
        return service.past.at_position(int(as_of))
    instant = _instant(as_of)
    if instant > now + AHEAD:
        raise InvalidInput(
            f"asOf is {as_of}, which lies in the future; check your clock.", (Fault("asOf", "in the future"),)
        )
    return service.past.at_instant(min(instant, now))


def _instant(text: str) -> datetime:
    try:
        return msgspec.convert(text, wire.Instant)
    except msgspec.ValidationError:
        raise InvalidInput(
            f'asOf is "{text}"; give a log position (a whole number) or an RFC 3339 time with an offset, '
            "as in 2026-03-02T09:00:00Z (encode a + as %2B).",
            (Fault("asOf", "neither a position nor a time"),),
        ) from None


def require_known(service: Service, tenant: str, person_id: str, person: UUID, as_of: AsOf) -> None:
    """Raises NotFound for a person who was registered after `as_of`."""
    registered = service.past.registered_at(tenant, person)
    if registered is None or registered > as_of.position:
        since = "" if registered is None else f", who is known from position {registered} on"
        raise NotFound(f"At position {as_of.position} nothing was known of {person_id!r}{since}.")
