"""Which tables go into a backup, and in which order they are restored."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final, NamedTuple

from psycopg import Connection, sql
from psycopg.rows import DictRow

from personakit.named_sql import queries

SQL: Final = queries(Path(__file__).with_name("backup.sql"))
KEYS: Final = "person_keys"
"""Backed up apart from the rest."""
IDENTITY: Final = "log_identity"
LEFT_OUT: Final = frozenset({"active", "builds", "definitions_used", "leases", "quarantine"})
"""What is true of running processes and of read models, which are made anew from the log."""


class Table(NamedTuple):
    """A table of the schema `personakit`, and the columns that can be copied."""

    name: str
    columns: list[str]

    def copy(self, direction: str) -> sql.Composed:
        """The COPY statement of its rows; `direction` is `TO STDOUT` or `FROM STDIN`."""
        return copy_statement(("personakit", self.name), self.columns, direction)


def tables(connection: Connection[DictRow]) -> list[Table]:
    """All tables of the schema, each after those that its rows refer to."""
    found = {row["name"]: row for row in connection.execute(SQL["tables"]).fetchall()}
    order = TopologicalSorter({name: row["refers_to"] for name, row in found.items()}).static_order()
    return [Table(name, found[name]["columns"]) for name in order]


def backed_up(connection: Connection[DictRow]) -> tuple[list[Table], list[Table]]:
    """The tables of the log's folder and of the keys' folder."""
    there = [table for table in tables(connection) if table.name not in LEFT_OUT]
    return [each for each in there if each.name != KEYS], [each for each in there if each.name == KEYS]


def copy_statement(table: tuple[str, ...], columns: list[str], direction: str) -> sql.Composed:
    """COPY of these columns, in PostgreSQL's text format."""
    return sql.SQL("COPY {} ({}) {}").format(
        sql.Identifier(*table), sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(direction)
    )
