"""The pages of a pull, each read from one snapshot.

A full pull pages through what had not changed since its beginning, by kind and entity, and then replays all
changes since. Everything else is a replay from where the client stands.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from personakit.api.sync.cursor import Cursor, Mode
from personakit.api.sync.items import READ, items_of
from personakit.api.sync.scope import Scope, Shown
from personakit.projections.read import Snapshot
from personakit_sdk import wire

BEFORE_ALL: Final = ("", "")
NOTHING_RECORDED: Final = datetime(1970, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer bears, from where the client stood, and where it leaves them.

    `changed` says that something did, shown or not; `settled` is false at the end of a full pull that cannot
    be ended in this snapshot.
    """

    since: Cursor
    items: list[wire.SyncItem]
    next: Cursor
    changed: bool
    up_to_date: bool
    settled: bool
    position: int
    as_of: datetime
    digest: str | None


class Asked(msgspec.Struct, frozen=True):
    """Who asks from where, and when: `shown` are the scope's personas; `size` is of a page."""

    scope: Scope
    shown: Shown
    since: Cursor
    size: int
    now: datetime


def read_page(snapshot: Snapshot, asked: Asked) -> Page:
    """The next page after `asked.since`.

    What changed beyond the position that all read models have reached is left for later, so that an item
    never bears an older body than its version.
    """
    through = reached(snapshot)
    rows, after = _unchanged(snapshot, asked) if asked.since.mode == "pages" else ([], None)
    full = asked.since.mode != "changes"
    mode: Mode
    if after is not None:
        at, mode = asked.since.position, asked.since.mode
    else:
        changed, at, after = _changed(snapshot, asked, through, asked.size - len(rows))
        rows += changed
        mode = "replay" if full else "changes"
    done = after is None and at >= through
    settled = not (done and full) or _level(snapshot)
    ended = done and settled
    standing = snapshot.row("changes.standing", position=through)
    return Page(
        since=asked.since,
        items=items_of(snapshot, asked.scope.tenant, [_seen(asked, row) for row in rows]),
        next=_moved(snapshot, asked, mode="changes" if ended else mode, position=at, after=after),
        changed=bool(rows),
        up_to_date=ended,
        settled=settled,
        position=through,
        as_of=standing["recorded_at"] if standing else NOTHING_RECORDED,
        digest=_digest(snapshot, asked, through) if ended and full else None,
    )


def reached(snapshot: Snapshot) -> int:
    """The position that all read models reflect from which items are made."""
    return min(snapshot.positions[name] for name in READ)


def _level(snapshot: Snapshot) -> bool:
    """Whether they reflect the very same state: else some entity may be gone from one and not from another,
    and what is there could not be told."""
    return len({snapshot.positions[name] for name in READ}) == 1


def _unchanged(snapshot: Snapshot, asked: Asked) -> tuple[list[Row], tuple[str, str] | None]:
    """A page of what has not changed since a full pull began, and its last entity if there may be more."""
    kind, entity = asked.since.after or BEFORE_ALL
    rows = snapshot.rows(
        "changes.there",
        **_scope(asked),
        head=asked.since.position,
        after_kind=kind,
        after_entity=entity,
        limit=asked.size + 1,
    )
    return rows[: asked.size], _last(rows, asked.size)


def _changed(
    snapshot: Snapshot, asked: Asked, through: int, size: int
) -> tuple[list[Row], int, tuple[str, str] | None]:
    """What changed after the client's position, at most `size`; the position that this comes to, and the last
    entity if there may be more."""
    since = asked.since
    resumed = since.after if since.mode != "pages" else None
    kind, entity = resumed or BEFORE_ALL
    rows = snapshot.rows(
        "changes.since",
        tenant=asked.scope.tenant,
        personas=_listed(asked.shown.personas, asked.shown.left),
        after=since.position if resumed else since.position + 1,
        after_kind=kind,
        after_entity=entity,
        through=through,
        limit=size + 1,
    )
    if len(rows) <= size:
        return rows, max(since.position, through), None
    if size == 0:
        return [], since.position, resumed
    return rows[:size], rows[size - 1]["position"], _last(rows, size)


def _last(rows: list[Row], size: int) -> tuple[str, str] | None:
    return (rows[size - 1]["kind"], rows[size - 1]["entity"]) if len(rows) > size else None


def _moved(snapshot: Snapshot, asked: Asked, **to: Any) -> Cursor:
    standing = snapshot.row("changes.standing", position=to["position"])
    append_id = standing["append_id"] if standing else None
    return msgspec.structs.replace(asked.since, append_id=append_id, issued=int(asked.now.timestamp()), **to)


def _digest(snapshot: Snapshot, asked: Asked, through: int) -> str:
    rows = snapshot.rows("changes.versions", **_scope(asked), through=through)
    return wire.sync_digest((row["kind"], row["id"], row["version"]) for row in rows)


def _scope(asked: Asked) -> dict[str, Any]:
    """What is there for the client: without what has left the scope."""
    return {"tenant": asked.scope.tenant, "personas": _listed(asked.shown.personas)}


def _listed(personas: frozenset[str] | None, left: frozenset[str] = frozenset()) -> list[str] | None:
    return None if personas is None else list(personas | left)


def _seen(asked: Asked, row: Row) -> Row:
    """A change as the client is told of it: of a persona that has left the scope, that it is gone."""
    gone = row["kind"] == "persona" and row["entity"] in asked.shown.left
    return row | {"op": "delete"} if gone else row
