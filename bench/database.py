"""A database of the server under test, as the bench looks into it from outside the service."""

from __future__ import annotations

import base64
import time
from typing import Any, Final, LiteralString
from urllib.parse import urlencode

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict

POLL_SECONDS: Final = 0.05
_LAG: Final = """
SELECT (SELECT coalesce(max(position), 0) FROM personakit.events), min(position),
       max(schema) FILTER (WHERE b.name = 'derivation_due')
FROM personakit.builds AS b JOIN personakit.active AS a USING (schema)
"""


class Database:
    """Where it is, and how far the service has come in it. `master_key` is what its services are given."""

    def __init__(self, conninfo: str, master_key: bytes) -> None:
        self.conninfo = conninfo
        self.master_key = master_key

    @property
    def environ(self) -> dict[str, str]:
        """What a `personakit` process needs to work on it."""
        key = base64.b64encode(self.master_key).decode()
        return {"PERSONAKIT_DATABASE_URL": self.url, "PERSONAKIT_MASTER_KEY": key}

    @property
    def url(self) -> str:
        """As PERSONAKIT_DATABASE_URL takes it."""
        parts = conninfo_to_dict(self.conninfo)
        return self._url("postgresql", parts)

    @property
    def sqlalchemy_url(self) -> str:
        """As SQLAlchemy takes it, with the driver named."""
        return self._url("postgresql+psycopg", conninfo_to_dict(self.conninfo))

    def connect(self) -> Connection[tuple[Any, ...]]:
        """A connection in autocommit mode."""
        return psycopg.connect(self.conninfo, autocommit=True)

    def one(self, query: LiteralString) -> Any:
        """The one value that a query gives."""
        with self.connect() as connection:
            row = connection.execute(query).fetchone()
        return row[0] if row else None

    def head(self) -> int:
        """The position of the newest event."""
        return int(self.one("SELECT coalesce(max(position), 0) FROM personakit.events"))

    def checkpoint(self) -> None:
        """Writes out what was written before, so that the next measurement does not pay for it."""
        with self.connect() as connection:
            connection.execute("CHECKPOINT")

    def wait_until_caught_up(self, seconds: float = 300.0) -> float:
        """The instant (`time.monotonic`) at which every read model was at the head of the log and nobody
        awaited a derivation. Raises TimeoutError after `seconds`."""
        give_up = time.monotonic() + seconds
        with self.connect() as connection:
            while not _caught_up(connection):
                if time.monotonic() > give_up:
                    raise TimeoutError(f"The read models have not caught up in {seconds:g} seconds.")
                time.sleep(POLL_SECONDS)
        return time.monotonic()

    @staticmethod
    def _url(scheme: str, parts: dict[str, Any]) -> str:
        place = urlencode({"host": parts["host"], "port": parts["port"]})
        return f"{scheme}://{parts['user']}@/{parts['dbname']}?{place}"


def _caught_up(connection: Connection[tuple[Any, ...]]) -> bool:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        head, lowest, schema = connection.execute(_LAG).fetchone() or (0, 0, None)
        if lowest is None or lowest < head:
            return False
        due = sql.SQL("SELECT count(*) FROM {} WHERE due > read_through")
        row = connection.execute(due.format(sql.Identifier(schema, "derivation_due"))).fetchone()
    return row is not None and row[0] == 0
