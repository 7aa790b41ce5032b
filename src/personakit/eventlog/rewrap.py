"""Another master key in the place of the one there is: what that wrapped is wrapped anew, all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec
import psycopg
from cryptography.exceptions import InvalidTag
from psycopg import Connection
from psycopg.rows import DictRow, dict_row

from personakit.eventlog.log_sql import SQL
from personakit.eventlog.person_keys import MasterKeyWrong
from personakit.eventlog.wrapping import TOMBSTONES, MasterKey, owner

BATCH = 2000
Report = Callable[[str, int, int | None], None]


class Rewrapped(msgspec.Struct, frozen=True):
    """How many people's keys are wrapped by the new master key, and how many did not open with the old one:
    those were damaged before, and are left as they were."""

    people: int
    damaged: int


def rotate(
    conninfo: str, old: bytes, coming: Callable[[], bytes], report: Report = lambda *_: None
) -> Rewrapped:
    """Wraps everything anew. Until it commits `old` opens the database, from then on the key that `coming`
    gives: it is asked once nobody else can rotate, so that it may write the key down.

    Raises MasterKeyWrong where `old` does not open the database.
    """
    with (
        psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as connection,
        connection.transaction(),
    ):
        connection.execute(SQL["rotation_lock"])
        if not opens_with(connection, old):
            raise MasterKeyWrong
        return rewrap(connection, old, coming(), report)


def rewrap(connection: Connection[DictRow], old: bytes, new: bytes, report: Report) -> Rewrapped:
    """As `rotate`, in the transaction of the connection, which nobody else adds people beside."""
    before, after = MasterKey(old), MasterKey(new)
    done = _rewrap_people(connection, before, after, report)
    connection.execute(
        SQL["change_master"],
        {"word": after.word, "tombstone_key": _tombstone_key(connection, before, after)},
    )
    return done


def opens_database(conninfo: str, master_key: bytes) -> bool:
    """As `opens_with`, over a connection of its own."""
    with psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as connection:
        return opens_with(connection, master_key)


def opens_with(connection: Connection[DictRow], master_key: bytes) -> bool:
    """Whether this is the master key of the database; any is, of one that knows none yet."""
    row = connection.execute(SQL["master_now"]).fetchone()
    return row is not None and row["master_check"] in {None, MasterKey(master_key).word}


def _tombstone_key(connection: Connection[DictRow], before: MasterKey, after: MasterKey) -> bytes | None:
    row = connection.execute(SQL["master_now"]).fetchone()
    if row is None or row["tombstone_key"] is None:
        return None
    return after.wrap(before.unwrap(bytes(row["tombstone_key"]), TOMBSTONES), TOMBSTONES)


def _rewrap_people(
    connection: Connection[DictRow], before: MasterKey, after: MasterKey, report: Report
) -> Rewrapped:
    counted = connection.execute(SQL["count_people"]).fetchone()
    total = counted["people"] if counted else 0
    done = damaged = 0
    with connection.cursor(name="wrapped_keys") as rows:
        rows.itersize = BATCH
        for batch in _batches(rows.execute(SQL["wrapped_keys"])):
            wrapped = {row["person"]: _rewrapped(row, before, after) for row in batch}
            opened = {person: key for person, key in wrapped.items() if key is not None}
            values: dict[str, list[Any]] = {"people": list(opened), "keys": list(opened.values())}
            connection.execute(SQL["rewrap_keys"], values)
            done += len(opened)
            damaged += len(wrapped) - len(opened)
            report("keys", done + damaged, total)
    return Rewrapped(done, damaged)


def _rewrapped(row: DictRow, before: MasterKey, after: MasterKey) -> bytes | None:
    whose = owner(row["tenant"], row["person"])
    try:
        return after.wrap(before.unwrap(bytes(row["key"]), whose), whose)
    except (InvalidTag, ValueError):
        return None


def _batches(rows: Iterable[DictRow]) -> Iterator[list[DictRow]]:
    left = iter(rows)
    while batch := list(islice(left, BATCH)):
        yield batch
