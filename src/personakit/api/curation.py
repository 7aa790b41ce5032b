"""`/mindscapes/{personId}/traits/{path}`: a trait is pinned, and unpinned."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from litestar import Response, Router, delete, put
from litestar.params import RawBody

from personakit.agents.service import Service
from personakit.api import bodies
from personakit.api.answers import WAIT_SECONDS, answer, person_of
from personakit.api.dependencies import CallerGiven, OriginGiven, ServiceGiven
from personakit.api.evidence import get_evidence
from personakit.api.mindscapes import get_mindscape, list_versions, show
from personakit.api.openapi import documented
from personakit.api.parameters import PersonIdInPath, ReasonNeeded, TraitPathInPath
from personakit.api.trait_paths import MOST_NAMES, is_path
from personakit.domain.curation import pinned_value
from personakit.domain.mindscape import Pin
from personakit.eventlog.access import ApiKey
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput

LARGEST_VALUE = 4096
"""Bytes of JSON."""


@put(
    "/{personId:str}/traits/{path:str}",
    sync_to_thread=True,
    operation_class=documented(wire.PinTrait),
    operation_id="pinTrait",
    summary="Pin a trait",
)
def pin_trait(
    service: ServiceGiven,
    caller: CallerGiven,
    origin: OriginGiven,
    person_id: PersonIdInPath,
    path: TraitPathInPath,
    body: RawBody,
) -> Response[wire.Mindscape]:
    """Say what a trait is. It is certain, and shown from now on whatever is derived at its path; what is
    derived is shown beside it, with whether it contradicts. A key without `read` is told the version alone,
    and none of the traits."""
    _require_path(path)
    sent = bodies.decode_item(body, wire.PinTrait)
    size = len(msgspec.json.encode(sent.value))
    if size > LARGEST_VALUE:
        raise InvalidInput(
            f"The value has {size} bytes as JSON; a trait may have {LARGEST_VALUE}.",
            (Fault("/value", "too large"),),
        )
    pin = Pin(pinned_value(sent.value), sent.volatility, sent.reason, origin)
    person = person_of(service, caller, person_id).surrogate
    position = service.curator.pin(caller.tenant, person, path, pin)
    return _shown(service, caller, person_id, position)


@delete(
    "/{personId:str}/traits/{path:str}",
    status_code=200,
    sync_to_thread=True,
    operation_id="unpinTrait",
    summary="Unpin a trait",
)
def unpin_trait(
    service: ServiceGiven,
    caller: CallerGiven,
    origin: OriginGiven,
    person_id: PersonIdInPath,
    path: TraitPathInPath,
    reason: ReasonNeeded,
) -> Response[wire.Mindscape]:
    """Let what is derived be shown again; 404 for a trait that is not pinned. A key without `read` is told
    the version alone, and none of the traits."""
    person = person_of(service, caller, person_id).surrogate
    said = bodies.storable(reason, "reason")
    position = service.curator.unpin(caller.tenant, person, path, said, origin)
    return _shown(service, caller, person_id, position)


def _shown(
    service: Service, caller: ApiKey, person_id: str, position: int | None
) -> Response[wire.Mindscape]:
    service.until_shown(position or service.reader.head(), WAIT_SECONDS)
    shown = show(service, caller, person_id, datetime.now(UTC), cached=False)
    return shown if caller.grant.may_read else _untold(shown.content)


def _untold(shown: wire.Mindscape) -> Response[wire.Mindscape]:
    """For a key that may not read: nothing of what is believed."""
    return answer(msgspec.structs.replace(shown, traits={}, pins={}, derived_through={}), shown.position)


def _require_path(path: str) -> None:
    if not is_path(path):
        raise InvalidInput(
            f"{path[:64]!r} is no path of a trait: that is 1 to {MOST_NAMES} names between dots, such as "
            "work.focus_duration.",
            (Fault("path", "not a path"),),
        )


router = Router(
    "/mindscapes",
    route_handlers=[get_mindscape, list_versions, get_evidence, pin_trait, unpin_trait],
    tags=["mindscapes"],
)
