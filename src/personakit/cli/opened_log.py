"""The log and its read models, opened for a command that reads them beside a running service or alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple
from uuid import UUID

from personakit import shipped
from personakit.agents.backtest import Person
from personakit.agents.past import Past
from personakit.cli.up import database
from personakit.config import Settings
from personakit.eventlog.appender import Appender
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.person_keys import PersonKeys
from personakit.eventlog.recorder import LogRecorder, open_datastore
from personakit.eventlog.streams import Streams
from personakit.master_key import master_key
from personakit.projections.builds import open_pool
from personakit.projections.read import Reader
from personakit.projections.sql import load_projections

PEOPLE_PAGE = 500


class OpenedLog(NamedTuple):
    """What of a database is read here."""

    recorder: LogRecorder
    reader: Reader
    past: Past


@contextmanager
def opened_log(settings: Settings) -> Iterator[OpenedLog]:
    """Opens the database for as long as the block lasts; no agents."""
    with database(settings) as conninfo:
        recorder = LogRecorder(open_datastore(conninfo, pool_size=2))
        try:
            recorder.create_table()
            keys = PersonKeys(recorder.datastore.get_connection, master_key(settings))
            with open_pool(conninfo, 1) as pool, closing(Appender(recorder)) as appender:
                reader = Reader(pool, load_projections(shipped.projections_dir()))
                yield OpenedLog(recorder, reader, Past(recorder, Streams(recorder, appender, keys), reader))
        finally:
            recorder.datastore.close()


def everybody(recorder: LogRecorder, tenant: str) -> Callable[[UUID], list[Person]]:
    """What gives a page of a tenant's people, and of its created personas, after a surrogate."""

    def page(after: UUID) -> list[Person]:
        values = {"tenant": tenant, "after": after, "limit": PEOPLE_PAGE}
        with recorder.datastore.get_connection() as connection:
            rows = connection.execute(SQL["people_of_tenant"], values).fetchall()
        return [Person(row["person_id"], row["person"]) for row in rows]

    return page
