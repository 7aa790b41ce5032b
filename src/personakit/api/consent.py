"""`/people/{personId}/consent`, `/consent-policy`: what people consent to, and whether mapping takes it."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import Response, Router, get, put
from litestar.datastructures import ResponseHeader
from litestar.params import HeaderParameter, RawBody

from personakit.agents.service import Service
from personakit.api import bodies
from personakit.api.answers import WAIT_SECONDS, answer, person_of, require_person
from personakit.api.as_of import require_known, resolve
from personakit.api.dependencies import CallerGiven, OriginGiven, ServiceGiven, TenantGiven
from personakit.api.etags import quoted, tags_in
from personakit.api.openapi import documented
from personakit.api.parameters import AsOfGiven, PersonIdInPath
from personakit.domain.publishing import Provenance
from personakit.eventlog.access import ApiKey
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput

SHOWN: Final = 100
"""The newest changes that are told; GET /people/{id}/export has all."""
_VERSION = ResponseHeader(
    name="ETag", description="The `version`, quoted; send it as `If-Match`", documentation_only=True
)
_IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description="The `ETag` last seen; 412 when it changed since"),
]


@get(
    "/{personId:str}/consent",
    sync_to_thread=True,
    response_headers=[_VERSION],
    operation_id="getConsent",
    summary="Read what a person consents to",
)
def get_consent(
    service: ServiceGiven, caller: CallerGiven, person_id: PersonIdInPath, as_of: AsOfGiven = None
) -> Response[wire.Consent]:
    """The purposes that a person consents to, and who told of each change, when and in which words; or as it
    was. Who never said anything consents to nothing."""
    person = person_of(service, caller, person_id).surrogate
    if as_of is None:
        return _shown(service, caller, person_id, person, service.reader.head())
    then = resolve(service, as_of, datetime.now(UTC))
    require_known(service, caller.tenant, person_id, person, then)
    return _shown(service, caller, person_id, person, then.position)


@put(
    "/{personId:str}/consent",
    sync_to_thread=True,
    response_headers=[_VERSION],
    operation_class=documented(wire.ChangeConsent),
    operation_id="changeConsent",
    summary="Say what a person consents to",
)
def change_consent(
    service: ServiceGiven,
    caller: CallerGiven,
    origin: OriginGiven,
    person_id: PersonIdInPath,
    body: RawBody,
    if_match: _IfMatch = None,
) -> Response[wire.Consent]:
    """Say all that a person consents to: what is not named is withdrawn. When it is answered no mapping of
    that process goes by what was before; of others, an answer whose `PersonaKit-Position` is this one's or
    above reflects it. Devices hear of it with their next pull. The same again does nothing. Somebody who is
    not known yet is from here on, so that consent can be asked for before anything is observed. A key without
    `read` is not told who said what before."""
    _require_id(person_id)
    require_person(caller, person_id)
    sent = bodies.decode_item(body, wire.ChangeConsent)
    by = Provenance(origin, sent.reason)
    said = service.consents.change(caller.tenant, person_id, sent.purposes, by, if_match=tags_in(if_match))
    person = person_of(service, caller, person_id).surrogate
    position = said or service.reader.head()
    service.until_shown(position, WAIT_SECONDS)
    return _shown(service, caller, person_id, person, position)


@get(
    "/",
    sync_to_thread=True,
    operation_id="getConsentPolicy",
    summary="Read whether mapping takes consent",
)
def get_policy(service: ServiceGiven, tenant: TenantGiven) -> Response[wire.ConsentPolicy]:
    """Whether people of this tenant are mapped only for purposes that they have consented to."""
    return _policy(service, tenant)


@put(
    "/",
    sync_to_thread=True,
    operation_class=documented(wire.SetConsentPolicy),
    operation_id="setConsentPolicy",
    summary="Set whether mapping takes consent",
)
def set_policy(
    service: ServiceGiven, tenant: TenantGiven, origin: OriginGiven, body: RawBody
) -> Response[wire.ConsentPolicy]:
    """Map only for purposes that people have consented to (`required`), or whatever they consented to
    (`off`, as it is until somebody sets it). When it is answered no mapping of that process goes by what was
    before; of others, an answer whose `PersonaKit-Position` is this one's or above reflects it."""
    sent = bodies.decode_item(body, wire.SetConsentPolicy)
    position = service.consents.set_policy(tenant, sent.policy, Provenance(origin, sent.reason))
    service.until_shown(position or service.reader.head(), WAIT_SECONDS)
    return _policy(service, tenant)


def _shown(
    service: Service, caller: ApiKey, person_id: str, person: UUID, position: int
) -> Response[wire.Consent]:
    """Folded from the log, which is what counts where somebody has to show that they were asked."""
    changes = enumerate(service.past.consent(caller.tenant, person, position), start=1)
    told = deque(
        (
            wire.ConsentChange(
                version=number,
                purposes=list(event.purposes),
                changed_at=row.recorded_at,
                position=row.id,
                origin=event.origin,
                reason=event.reason,
            )
            for number, (row, event) in changes
        ),
        maxlen=SHOWN,
    )
    last = told[-1] if told else None
    shown = wire.Consent(
        person_id=person_id,
        purposes=last.purposes if last else [],
        version=last.version if last else 0,
        history=list(reversed(told)) if caller.grant.may_read else [],
    )
    return answer(shown, position, headers={"ETag": quoted(str(shown.version))})


def _policy(service: Service, tenant: str) -> Response[wire.ConsentPolicy]:
    with service.reader.snapshot(tenant) as snapshot:
        row = snapshot.row("consents.policy", tenant=tenant) or {}
        undeclared = snapshot.rows("mappers.undeclared", tenant=tenant)
    shown = wire.ConsentPolicy(
        policy=row.get("policy", "off"),
        version=row.get("version", 0),
        changed_at=row.get("changed_at"),
        origin=row.get("origin", ""),
        reason=row.get("reason", ""),
        undeclared=[each["mapper_id"] for each in undeclared],
    )
    return answer(shown, snapshot.position)


def _require_id(person_id: str) -> None:
    try:
        msgspec.convert(person_id, wire.PersonId)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"{person_id[:64]!r} is no person's id: {error}.", (Fault("personId", "no id"),)
        ) from None


router = Router("/people", route_handlers=[get_consent, change_consent], tags=["people"])
policy_router = Router("/consent-policy", route_handlers=[get_policy, set_policy], tags=["people"])
