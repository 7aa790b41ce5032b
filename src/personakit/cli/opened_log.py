"""The log and its read models, opened for a command that reads them beside a running service or alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from personakit import shipped
from personakit.agents.past import Past
from personakit.cli.database import database
from personakit.config import Settings
from personakit.eventlog.appender import Appender
from personakit.eventlog.person_keys import PersonKeys
from personakit.eventlog.recorder import LogRecorder, open_datastore
from personakit.eventlog.roles import READER, acting_as
from personakit.eventlog.streams import Streams
from personakit.master_key import master_key
from personakit.projections.builds import open_pool
from personakit.projections.read import Reader
from personakit.projections.sql import load_projections


class OpenedLog(NamedTuple):
    """What of a database is read here."""

    recorder: LogRecorder
    reader: Reader
    past: Past


class Opened(NamedTuple):
    """A database, by what it is connected to with, its log, and the keys of its people."""

    conninfo: str
    recorder: LogRecorder
    keys: PersonKeys


@contextmanager
def opened(settings: Settings, connections: int) -> Iterator[Opened]:
    """Opens the database for as long as the block lasts, with so many connections for the log."""
    with database(settings) as conninfo:
        recorder = LogRecorder(open_datastore(conninfo, pool_size=connections))
        try:
            recorder.create_table()
            keys = PersonKeys(recorder.datastore.get_connection, master_key(settings))
            yield Opened(conninfo, recorder, keys)
        finally:
            recorder.datastore.close()


@contextmanager
def opened_log(settings: Settings) -> Iterator[OpenedLog]:
    """Opens the log and its read models for as long as the block lasts; no agents."""
    with (
        opened(settings, 2) as (conninfo, recorder, keys),
        open_pool(conninfo, 1) as pool,
        open_pool(acting_as(READER, conninfo), 1) as reading,
        closing(Appender(recorder)) as appender,
    ):
        reader = Reader(pool, load_projections(shipped.projections_dir()), reading=reading)
        yield OpenedLog(recorder, reader, Past(recorder, Streams(recorder, appender, keys), reader))
