"""The tables of a store file, and what brings an older file to them: one entry a version, never changed."""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x504B6974
"""`PKit`: tells a store from another program's database."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # Single values: who this client is, where the pull stands, when to push again.
        "CREATE TABLE notes (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
        # The outbox. `item` are the bytes that are sent, frozen when the item came. What is confirmed stays
        # for a while, in case the service loses it; what was rejected stays for somebody to decide on.
        """CREATE TABLE items (
             seq INTEGER PRIMARY KEY,
             id TEXT NOT NULL UNIQUE,
             kind TEXT NOT NULL,
             key TEXT NOT NULL,
             state TEXT NOT NULL CHECK (state IN ('waiting', 'confirmed', 'dead')),
             size INTEGER NOT NULL,
             queued_at REAL NOT NULL,
             settled_at REAL,
             problem BLOB,
             item BLOB NOT NULL)""",
        "CREATE INDEX items_in_order ON items (state, seq, key, size)",
        # How many items, and bytes, are in each state: asked at every call, so counted as they come and go.
        "CREATE TABLE tallies (state TEXT PRIMARY KEY, items INTEGER NOT NULL, bytes INTEGER NOT NULL)",
        "INSERT INTO tallies VALUES ('waiting', 0, 0), ('confirmed', 0, 0), ('dead', 0, 0)",
        """CREATE TRIGGER items_come AFTER INSERT ON items BEGIN
             UPDATE tallies SET items = items + 1, bytes = bytes + NEW.size WHERE state = NEW.state; END""",
        """CREATE TRIGGER items_go AFTER DELETE ON items BEGIN
             UPDATE tallies SET items = items - 1, bytes = bytes - OLD.size WHERE state = OLD.state; END""",
        """CREATE TRIGGER items_move AFTER UPDATE OF state ON items WHEN OLD.state != NEW.state BEGIN
             UPDATE tallies SET items = items - 1, bytes = bytes - OLD.size WHERE state = OLD.state;
             UPDATE tallies SET items = items + 1, bytes = bytes + NEW.size WHERE state = NEW.state; END""",
        # The cache: what is served. An entity without a body was deleted at that version.
        """CREATE TABLE entities (kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, body BLOB,
             PRIMARY KEY (kind, id)) WITHOUT ROWID""",
        # Pages of a pull under way, until all of them are there.
        """CREATE TABLE staged (kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, body BLOB,
             PRIMARY KEY (kind, id)) WITHOUT ROWID""",
    ),
    (
        # What the service calls a persona in all its items, also when nobody knows its id any more. What was
        # pulled before has none, so all is pulled anew.
        "ALTER TABLE entities ADD COLUMN ref TEXT",
        "CREATE INDEX entities_by_ref ON entities (ref) WHERE ref IS NOT NULL",
        "ALTER TABLE staged ADD COLUMN ref TEXT",
        "ALTER TABLE staged ADD COLUMN erased INTEGER NOT NULL DEFAULT 0",
        "DELETE FROM staged",
        "DELETE FROM notes WHERE name = 'staging'",
        "INSERT INTO notes SELECT 'pull anew', 1 WHERE EXISTS (SELECT 1 FROM entities)",
    ),
)
