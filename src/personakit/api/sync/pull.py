"""`GET /sync`: what changed since a cursor or an instant."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import ResponseHeader
from litestar.params import QueryParameter

from personakit.agents.service import Service
from personakit.api.answers import POSITION, answer, page_size
from personakit.api.as_of import AHEAD
from personakit.api.auth import authenticated
from personakit.api.dependencies import service_of
from personakit.api.etags import quoted, tags_in
from personakit.api.openapi import documented
from personakit.api.parameters import PageLimit
from personakit.api.problems import SinceAhead
from personakit.api.sync.cursor import Cursor, Mode, decode_cursor, encode_cursor, require_same_log
from personakit.api.sync.pages import Asked, Page, reached, read_page
from personakit.api.sync.scope import Scope, scope_of
from personakit.api.sync.waiting import Waiting
from personakit.eventlog.access import ApiKey
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput
from personakit_sdk.rules.clock import time_zone_data
from personakit_sdk.rules.document import RULE_LANGUAGE

VALID: Final = timedelta(days=7)
VALID_UNTIL: Final = "PersonaKit-Valid-Until"
MOST_SECONDS: Final = 25
SETTLE_SECONDS: Final = 5.0
"""How long the end of a full pull waits for the read models to be at one position."""
SETTLE_PAUSE: Final = 0.02
RENEWED: Final = timedelta(days=30)
RENEWED_POSITIONS: Final = 10_000
"""A client whose cursor is older, or lies further behind, gets another one, though nothing has changed."""
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")
_MICROSECOND = timedelta(microseconds=1)

WaitSeconds = Annotated[
    int,
    QueryParameter(
        description="Seconds to hold the request until something changed; without it, none",
        schema_extra={"minimum": 0, "maximum": MOST_SECONDS},
    ),
]


@get(
    "/sync",
    tags=["sync"],
    operation_id="sync",
    operation_class=documented(unchanged=True),
    summary="Pull what changed",
    response_headers=[
        ResponseHeader(
            name=VALID_UNTIL, description="Until when what was answered is valid", documentation_only=True
        ),
        ResponseHeader(name="ETag", description="Send it as `If-None-Match`", documentation_only=True),
    ],
)
async def sync(
    request: Request[str, ApiKey, Any],
    since: Annotated[
        str | None, QueryParameter(description="A cursor, or an RFC 3339 instant; without it, everything")
    ] = None,
    limit: PageLimit = None,
    wait: WaitSeconds = 0,
    persona_id: Annotated[
        list[str] | None,
        QueryParameter(name="personaId", description="Only these personas, and all mappers; may be repeated"),
    ] = None,
) -> Response[wire.SyncAnswer]:
    """Mappers and personas that changed since `since`: a cursor from `next`, an RFC 3339 instant, or
    nothing for all there is. Ask again with `next` until `upToDate`. A cursor that cannot be continued is
    gone (410): then begin again without one."""
    service, seconds = service_of(request), _seconds(wait)
    pull = Pull(service, scope_of(request.auth, persona_id), since, page_size(limit), datetime.now(UTC))
    page = await _settled(partial(asyncio.to_thread, pull.read))
    if seconds and not page.changed and page.up_to_date:
        async with request.app.state["gate"].aside():
            page = await _awaited(request.app.state["waiting"], request.auth.prefix, pull, seconds)
        await authenticated(request.app.state["keys"], request.scope)  # it may be revoked meanwhile
    return _answer(service, page, tags_in(request.headers.get("if-none-match")))


class Pull:
    """What one request asks for, to be read as often as it takes."""

    def __init__(self, service: Service, scope: Scope, since: str | None, size: int, now: datetime) -> None:
        self._service = service
        self.scope = scope
        self._given = since
        self._size = size
        self._now = now

    def known(self) -> list[str] | None:
        """The personas asked for, as the read model knows them; None, for any, while one may come."""
        asked, found = self.scope.personas, self.scope.asked(self._service)
        return found if asked and found and len(found) == len(asked) else None

    def read(self) -> Page:
        """The page as it is now. Raises InvalidInput and SinceAhead for a bad `since`, and CursorExpired,
        EpochChanged or ScopeChanged for a cursor that cannot be continued."""
        asked_for = self.scope.asked(self._service)
        with self._service.reader.snapshot(self.scope.tenant) as snapshot:
            shown = self.scope.shown(snapshot, asked_for)
            asked = Asked(self.scope, shown, self._since(snapshot), self._size, self._now)
            return read_page(snapshot, asked)

    def _since(self, snapshot: Snapshot) -> Cursor:
        """Where the client stands."""
        if self._given is None:
            return self._at(reached(snapshot), "pages")
        if _TIMESTAMP.match(self._given):
            return self._at(self._position_before(snapshot, self._given), "changes")
        cursor = decode_cursor(self._given, self._service, self.scope, self._now)
        require_same_log(snapshot, cursor)
        return cursor

    def _at(self, position: int, mode: Mode) -> Cursor:
        return Cursor(
            epoch=self._service.epoch,
            tenant=self.scope.tenant,
            scope=self.scope.hash,
            mode=mode,
            position=position,
            append_id=None,
            issued=0,
        )

    def _position_before(self, snapshot: Snapshot, since: str) -> int:
        """The last position before an instant: what was recorded at that very instant is told again."""
        try:
            instant = msgspec.convert(since, wire.Instant)
        except msgspec.ValidationError as error:
            raise InvalidInput(
                f"`since` must be a cursor or an instant with an offset, as in 2026-03-02T09:00Z: {error}.",
                (Fault("since", str(error)),),
            ) from None
        # The log may be ahead of a clock that was set back, and what it says of itself is no future.
        standing = snapshot.row("changes.standing", position=reached(snapshot))
        now = max(self._now, standing["recorded_at"]) if standing else self._now
        if instant > now + AHEAD:
            raise SinceAhead(
                f"`since` is {since}, which lies in the future; check your clock.",
                (Fault("since", "in the future"),),
            )
        return self._service.recorder.position_at(min(instant, now) - _MICROSECOND)


def _seconds(wait: int) -> int:
    if not 0 <= wait <= MOST_SECONDS:
        raise InvalidInput(
            f"wait is {wait}; it must be from 0 to {MOST_SECONDS} seconds.", (Fault("wait", "out of range"),)
        )
    return wait


async def _settled(read: Callable[[], Any]) -> Page:
    """The page, looked at again for a while where it cannot end a full pull yet."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_SECONDS
    page: Page = await read()
    while not page.settled and loop.time() < deadline:
        await asyncio.sleep(SETTLE_PAUSE)
        page = await read()
    return page


async def _awaited(waiting: Waiting, key: str, pull: Pull, seconds: float) -> Page:
    """The page as soon as there is something on it, or as it is after `seconds`. Raises TooManyWaiting."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    with waiting.enter(pull.scope.tenant, key, await waiting.look(pull.known)) as waiter:
        while True:
            waiter.begin_look()
            page = await waiting.look(pull.read)
            left = deadline - loop.time()
            if page.changed or left <= 0:
                return page
            await waiter.stirred(left)


def _answer(service: Service, page: Page, seen: frozenset[str] | None) -> Response[Any]:
    now = datetime.now(UTC)
    valid_until = now + VALID
    headers = {"Cache-Control": "no-store", VALID_UNTIL: valid_until.isoformat()}
    if seen is not None and (tag := _tag_kept(page, now)) is not None and {tag, "*"} & seen:
        headers |= {"ETag": quoted(tag), POSITION: str(page.position)}
        return Response(b"", status_code=304, headers=headers)
    if page.up_to_date:
        headers["ETag"] = quoted(_tag(page.next))
    full = page.digest is not None or page.next.mode != "changes"
    found = wire.SyncAnswer(
        epoch=service.epoch,
        intent="full" if full else "changes" if page.items else "none",
        items=page.items,
        next=encode_cursor(page.next, service.secret),
        has_more=not page.up_to_date,
        up_to_date=page.up_to_date,
        as_of=page.as_of,
        position=page.position,
        valid_until=valid_until,
        digest=page.digest,
        rule_language=RULE_LANGUAGE,
        time_zone_data=time_zone_data(),
    )
    return answer(found, page.position, headers=headers)


def _tag_kept(page: Page, now: datetime) -> str | None:
    """The tag of what a client has that asked with a cursor, if nothing has changed since and the cursor may
    be kept."""
    since = page.since
    young = since.issued > (now - RENEWED).timestamp()
    near = page.position - since.position < RENEWED_POSITIONS
    kept = since.mode == "changes" and not page.changed and page.up_to_date and young and near
    return _tag(since) if kept else None


def _tag(cursor: Cursor) -> str:
    """Names a state of the log as far as the client is shown it."""
    return f"{cursor.position}-{cursor.scope}"
