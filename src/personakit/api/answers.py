"""Answers: every one says which position of the log it reflects."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from litestar import Response
from litestar.types import Scope

from personakit.agents.service import Service
from personakit.api.problems import NotFound
from personakit.eventlog.person_keys import Person
from personakit_sdk.errors import Fault, InvalidInput

T = TypeVar("T")
POSITION = "PersonaKit-Position"
MIN_POSITION = "PersonaKit-Min-Position"
PAGE = 50
MAX_PAGE = 500


def answer(
    content: T, position: int, status: int = 200, headers: dict[str, str] | None = None
) -> Response[T]:
    """`content` with the position it reflects (of a write: its event's)."""
    return Response(content, status_code=status, headers={POSITION: str(position), **(headers or {})})


def header(scope: Scope, name: bytes) -> str | None:
    """A header of a request by its lower-case name, or None; without making objects of all the others."""
    for known, value in scope["headers"]:
        if known == name:
            return value.decode("latin-1")
    return None


def person_of(service: Service, tenant: str, person_id: str) -> Person:
    """The person, or NotFound."""
    person = service.people.find(tenant, person_id)
    if person is None:
        raise NotFound(
            f"Nothing is known of {person_id!r}; a person is known from their first observation on "
            "(POST /observations)."
        )
    return person


def persona_of(service: Service, tenant: str, persona_id: str) -> UUID:
    """The UUID of a persona; a person's own has the person's id, another's begins with ~."""
    if not persona_id.startswith("~"):
        return person_of(service, tenant, persona_id).surrogate
    try:
        return UUID(persona_id[1:])
    except ValueError:
        raise NotFound(f"There is no persona {persona_id!r}.") from None


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
