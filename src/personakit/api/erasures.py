"""`/people/{personId}`: a person is erased, and made again on purpose."""

from __future__ import annotations

import msgspec
from litestar import Response, Router, delete, put
from litestar.openapi import ResponseSpec

from personakit.api.answers import WAIT_SECONDS, answer, require_no_persona, require_person, unknown
from personakit.api.dependencies import CallerGiven, ServiceGiven
from personakit.api.parameters import PersonIdInPath
from personakit.api.touched import touch
from personakit.eventlog.receipts import receipt_of
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput


@delete(
    "/",
    status_code=200,
    sync_to_thread=True,
    operation_id="erasePerson",
    summary="Erase a person",
)
def erase_person(
    service: ServiceGiven, caller: CallerGiven, person_id: PersonIdInPath
) -> Response[wire.ErasureReceipt]:
    """Destroy the person's key, so that nothing in the log says anything of them any more, and all that is
    kept of them besides; a backup of before says nothing of them once the copies of keys that go with it are
    30 days old, or deleted. Created personas that viewed them begin anew without them. Asked again, the
    answer is the same receipt. What is written about them is refused (410) until they are made again."""
    require_no_persona(person_id)
    require_person(caller, person_id)
    erased = service.eraser.erase(caller.tenant, person_id)
    if erased is None:
        raise unknown(person_id)
    touch(erased.person)
    service.until_shown(erased.position, WAIT_SECONDS)
    return answer(receipt_of(erased, person_id, service.secret), erased.position)


@put(
    "/",
    status_code=201,
    sync_to_thread=True,
    operation_id="makePerson",
    summary="Make a person",
    responses={200: ResponseSpec(wire.MadePerson, description="They are there", generate_examples=False)},
)
def make_person(
    service: ServiceGiven, caller: CallerGiven, person_id: PersonIdInPath
) -> Response[wire.MadePerson]:
    """Let a person be known before anything is recorded about them, though one who had the id was erased.
    Nothing of theirs comes back. Only this makes an erased person's id good again; others are known from
    their first observation on, or from what is said of their consent."""
    require_person(caller, person_id)
    _require_id(person_id)
    there = service.people.find(caller.tenant, person_id) is not None
    made = service.people.make_again(caller.tenant, person_id)
    touch(made.surrogate)
    position = service.past.registered_at(caller.tenant, made.surrogate) or service.reader.head()
    service.until_shown(position, WAIT_SECONDS)
    return answer(wire.MadePerson(id=person_id, position=position), position, 200 if there else 201)


def _require_id(person_id: str) -> None:
    try:
        msgspec.convert(person_id, wire.PersonId)
    except msgspec.ValidationError:
        raise InvalidInput(
            f"{person_id!r} cannot be a person's id: that is 1 to 128 of A-Z a-z 0-9 . _ : @ -.",
            (Fault("personId", "no id"),),
        ) from None


router = Router("/people/{personId:str}", route_handlers=[erase_person, make_person], tags=["people"])
