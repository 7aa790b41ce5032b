"""Answers: every one says which position of the log it reflects."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Receive, Scope, Send

from personakit.agents.service import Service
from personakit.api.problems import NotFound
from personakit.api.touched import touch
from personakit.eventlog.access import ApiKey
from personakit.eventlog.people import persona_id as id_of
from personakit.eventlog.person_keys import Person, PersonErased
from personakit_sdk.errors import Fault, InvalidInput

T = TypeVar("T")
POSITION = "PersonaKit-Position"
MIN_POSITION = "PersonaKit-Min-Position"
_MIN_POSITION = MIN_POSITION.lower().encode()
PAGE = 50
MAX_PAGE = 500
NEWEST: Final = 2**63 - 1
"""Above every version and position."""
WAIT_SECONDS: Final = 5.0
"""How long the answer to a write waits for readers to see it."""
_JSON: Final = (b"content-type", b"application/json")
_encode: Final = msgspec.json.Encoder().encode


class _Sent(ASGIResponse):
    """An answer of which every byte is known."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._start: HTTPResponseStartEvent = {
            "type": "http.response.start",
            "status": status,
            "headers": headers,
        }
        self._body: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        await send(self._start)
        await send(self._body)


class Encoded(Response[T]):
    """An answer in JSON. Litestar's own makes encoders, cookies and headers anew for each answer, which costs
    as much as all else that it does for a request."""

    def to_asgi_response(self, *_: Any, **__: Any) -> _Sent:
        """The answer to be sent."""
        body = _encode(self.content)
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()
        ]
        headers += [_JSON, (b"content-length", b"%d" % len(body))]
        return _Sent(self.status_code or HTTPStatus.OK, headers, body)


def answer(
    content: T, position: int, status: int = 200, headers: dict[str, str] | None = None
) -> Response[T]:
    """`content` with the position it reflects (of a write: its event's)."""
    return Encoded(content, status_code=status, headers={POSITION: str(position), **(headers or {})})


def header(scope: Scope, name: bytes) -> str | None:
    """A header of a request by its lower-case name, or None; without making objects of all the others."""
    for known, value in scope["headers"]:
        if known == name:
            return value.decode("latin-1")
    return None


def asks_position(scope: Scope) -> bool:
    """Whether the caller asked for a position that was waited for: then only a snapshot will do, because
    the cache may not have heard yet what the projections have reached."""
    return header(scope, _MIN_POSITION) is not None


def require_person(caller: ApiKey, person_id: str) -> None:
    """Raises NotFound for a person who is not there for the caller, whether they are there or not."""
    if not caller.grant.has_person(person_id):
        raise _not_for_caller(person_id)


def require_no_persona(person_id: str) -> None:
    """Raises NotFound for the id of a created persona: it is no person, and has a key all the same."""
    if person_id.startswith("~"):
        raise NotFound(f"{person_id!r} is no person; GET /personas lists the personas, and whom they view.")


def person_of(service: Service, caller: ApiKey, person_id: str) -> Person:
    """The person. Raises PersonErased for one who was erased, and NotFound: for a created persona too."""
    require_no_persona(person_id)
    require_person(caller, person_id)
    return _keyed(service, caller.tenant, person_id)


def keyed_of(service: Service, caller: ApiKey, persona_id: str) -> Person:
    """The person or the created persona with this id, and the key of what is said of them. Raises
    NotFound."""
    if caller.grant.limits is not None:
        persona_of(service, caller, persona_id)
    return _keyed(service, caller.tenant, persona_id)


def _keyed(service: Service, tenant: str, person_id: str) -> Person:
    person = service.people.find(tenant, person_id)
    if person is None and service.people.erased(tenant, person_id):
        raise PersonErased
    if person is None:
        raise unknown(person_id)
    if not person_id.startswith("~"):
        touch(person.surrogate)
    return person


def unknown(person_id: str) -> NotFound:
    """That nobody ever heard of such a person."""
    return NotFound(
        f"Nothing is known of {person_id!r}; a person is known from their first observation on "
        "(POST /observations), or from PUT /people/{id} or /people/{id}/consent."
    )


def no_persona(persona_id: str) -> NotFound:
    """That there is no such persona."""
    return NotFound(f"There is no persona {persona_id!r}.")


def persona_of(service: Service, caller: ApiKey, persona_id: str) -> UUID:
    """The UUID of a persona; a person's own has the person's id, another's begins with ~. Raises NotFound,
    for one that is not there for the caller as well."""
    if not persona_id.startswith("~"):
        if not caller.grant.has_persona(persona_id, [persona_id]):
            raise _not_for_caller(persona_id)
        return _keyed(service, caller.tenant, persona_id).surrogate
    try:
        persona = UUID(persona_id[1:])
    except ValueError:
        raise no_persona(persona_id) from None
    if id_of(persona) != persona_id:  # a UUID can be written in many ways, of which one is the id
        raise NotFound(f"There is no persona {persona_id!r}; its id is {id_of(persona)!r}.")
    if caller.grant.limits is not None:
        _require_created(service, caller, persona_id, persona)
    return persona


def require_persona(caller: ApiKey, persona_id: str, people_ids: Iterable[str]) -> None:
    """Raises NotFound for a persona of people whom the caller may not see."""
    if not caller.grant.has_persona(persona_id, people_ids):
        raise no_persona(persona_id)


def _require_created(service: Service, caller: ApiKey, persona_id: str, persona: UUID) -> None:
    with service.reader.snapshot(caller.tenant) as snapshot:
        row = snapshot.row("personas.by_id", tenant=caller.tenant, personas=[persona])
    require_persona(caller, persona_id, (row and row["people_ids"]) or [])


def _not_for_caller(id_: str) -> NotFound:
    """The same whether there is such a one or not."""
    return NotFound(f"Nothing is known of {id_!r} to this key, which is limited to others.")


def page_size(limit: int | None) -> int:
    """How many items a page has: PAGE unless asked otherwise, at most MAX_PAGE."""
    if limit is None:
        return PAGE
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(
            f"limit is {limit}; it must be from 1 to {MAX_PAGE}.", (Fault("limit", "out of range"),)
        )
    return limit


def page_after(after: str | None, default: int) -> int:
    """The number in a page's `after` cursor."""
    if after is None:
        return default
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise InvalidInput(
            "`after` must be the `next` of the page before.", (Fault("after", "not a cursor"),)
        )
    return int(after)


def next_page(items: list[Any], limit: int, cursor: Any) -> str | None:
    """The cursor of the page after this one, or None when this one was not full."""
    return str(cursor(items[-1])) if len(items) == limit else None
