"""Whose data a request reads or changes: gathered where ids become people, noted when it is answered.

A context variable, and not a parameter: between the handler that has the request and the function that finds
somebody lie others that have no business with it, and one that forgot to pass it on would lose a row of the
audit without anybody's noticing. It goes along into the threads that handlers run in (`asyncio.to_thread`,
and Litestar's).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Final
from uuid import UUID

from litestar.types import Scope

from personakit.agents.service import Service
from personakit.eventlog.access import ApiKey
from personakit.eventlog.audit import SOMEBODY

NOBODY_WAITED: Final = 499
"""Stands for the status of a request that was given up before there was an answer."""
_READ_BY_POST: Final = frozenset({"mapPersonaByBody"})
_touched: ContextVar[list[UUID] | None] = ContextVar("touched", default=None)


def touch(person: UUID) -> None:
    """Says that the request at hand reads or changes somebody's data."""
    people = _touched.get()
    if people is not None:
        people.append(person)


def touch_all(those: Iterable[UUID]) -> None:
    """The same of several."""
    people = _touched.get()
    if people is not None:
        people.extend(those)


def touch_named(service: Service, tenant: str, person_ids: Iterable[str]) -> None:
    """The same of those who were just recorded about, by their ids. The process knows them, so that no
    database is asked; should it have forgotten one meanwhile, it was somebody."""
    found = (service.people.found(tenant, each) for each in person_ids)
    touch_all(SOMEBODY if person is None else person.surrogate for person in found)


def gather() -> list[UUID]:
    """Begins with a request: whom it touches, once or more often, is in what is given here."""
    people: list[UUID] = []
    _touched.set(people)
    return people


def note(service: Service, scope: Scope, status: int, position: int | None, people: list[UUID]) -> None:
    """Notes whom an answered request touched; `position` is the one that the answer said."""
    key: ApiKey = scope["auth"]
    handler: Any = scope["route_handler"]
    operation: str = handler.operation_id
    if scope.get("method") == "GET" or status >= 300 or operation in _READ_BY_POST:
        position = None
    those = people if len(people) == 1 else set(people)
    by = (key.tenant, key.prefix, operation, status or NOBODY_WAITED)
    service.audit.note(by, those, time.time(), position)
