"""What a pull takes out of the store: who is gone is gone from every table, and then from every page of it.

All of it works inside of the pull's transaction, on what is staged; only the file is rewritten after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Final

from personakit_sdk.store_file import write_note

SCRUB: Final = "scrub"
"""The note that something was erased, and may lie in a page of the file still."""


def settle_staged(connection: sqlite3.Connection) -> None:
    """Of what was deleted after it was staged, under whichever id, nothing is served. A page may have brought
    a person by name, and a later one that they are gone, by `ref`."""
    connection.execute(
        """DELETE FROM staged AS s WHERE s.body IS NOT NULL AND EXISTS
           (SELECT 1 FROM staged AS d WHERE d.body IS NULL AND d.ref = s.ref AND d.version > s.version)"""
    )


def forget_replaced(connection: sqlite3.Connection) -> None:
    """Before a full pull replaces what is served: a persona that is not in it under the same ref may be
    erased, and so goes with all that is kept of it."""
    gone = connection.execute(
        """SELECT e.id FROM entities AS e WHERE e.kind = 'persona' AND NOT EXISTS
           (SELECT 1 FROM staged AS s
            WHERE s.kind = e.kind AND s.id = e.id AND (e.ref IS NULL OR s.ref IS e.ref))"""
    ).fetchall()
    _forget(connection, (id_ for (id_,) in gone), also_dead=True)


def forget_merged(connection: sqlite3.Connection) -> None:
    """Before what is staged is merged into what is served: who was deleted goes, found by id or by `ref`, and
    with them what was confirmed of theirs; of the erased, and of a persona whose `ref` changes, the dead
    letters too. What is served under another id than the delete has is taken away whole, for that id is
    known to nobody else any more."""
    rows = connection.execute(
        """SELECT e.id, s.erased FROM entities AS e JOIN staged AS s
             ON s.kind = e.kind AND (s.id = e.id OR s.ref = e.ref)
           WHERE e.kind = 'persona' AND s.body IS NULL AND s.version > e.version
           UNION ALL
           SELECT id, erased FROM staged WHERE kind = 'persona' AND body IS NULL
           UNION ALL
           SELECT e.id, 1 FROM entities AS e JOIN staged AS s ON s.kind = e.kind AND s.id = e.id
           WHERE e.kind = 'persona' AND s.body IS NOT NULL AND s.version > e.version AND s.ref <> e.ref"""
    ).fetchall()
    _forget(connection, (id_ for id_, erased in rows if not erased), also_dead=False)
    _forget(connection, (id_ for id_, erased in rows if erased), also_dead=True)
    connection.execute(
        """DELETE FROM entities AS e WHERE e.kind = 'persona' AND EXISTS
           (SELECT 1 FROM staged AS d
            WHERE d.body IS NULL AND d.ref = e.ref AND d.id <> e.id AND d.version > e.version)"""
    )
    connection.execute(
        """DELETE FROM staged AS s WHERE s.body IS NOT NULL AND EXISTS
           (SELECT 1 FROM entities AS d WHERE d.body IS NULL AND d.ref = s.ref AND d.version >= s.version)"""
    )


def forget_items(connection: sqlite3.Connection, ids: Collection[str]) -> None:
    """The service said that these were about somebody who was erased."""
    connection.executemany("DELETE FROM items WHERE id = ?", [(id_,) for id_ in ids])
    if ids:
        write_note(connection, SCRUB, 1)


def forget_keys(connection: sqlite3.Connection, keys: Iterable[str]) -> None:
    """The service said that these are erased: nothing that it has, or will never take, is kept of them."""
    _forget(connection, keys, also_dead=True)


def _forget(connection: sqlite3.Connection, keys: Iterable[str], *, also_dead: bool) -> None:
    those = [(key, also_dead) for key in keys]
    if not those:
        return
    connection.executemany(
        "DELETE FROM items WHERE key = ? AND (state = 'confirmed' OR state = 'dead' AND ?)", those
    )
    if also_dead:
        write_note(connection, SCRUB, 1)
