"""`personakit mappers backtest`: what another version of a mapper would have suggested in the past."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import click
import msgspec

from personakit import shipped
from personakit.agents.backtest import Backtester, Person, Question, instants_between, people_of
from personakit.agents.past import Past
from personakit.cli.mappers.backtested import Compared, show
from personakit.cli.mappers.files import FILE, compiled
from personakit.cli.mappers.options import context_of, context_option
from personakit.cli.options import InstantType, json_option, with_settings
from personakit.cli.progress import progress
from personakit.cli.up import FIRST_TENANT, database
from personakit.config import Settings
from personakit.eventlog.appender import Appender
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.person_keys import PersonKeys
from personakit.eventlog.recorder import LogRecorder, open_datastore
from personakit.eventlog.stored import LogNotification
from personakit.eventlog.streams import Streams
from personakit.master_key import master_key
from personakit.projections.builds import open_pool
from personakit.projections.read import Reader
from personakit.projections.sql import load_projections
from personakit_sdk.errors import InvalidInput
from personakit_sdk.rules import Plan, compile_mapper

PEOPLE_PAGE = 500


class _Log(NamedTuple):
    """What of a database is read here."""

    recorder: LogRecorder
    reader: Reader
    past: Past


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--against", required=True, metavar="ID[@VERSION]", help="The mapper to compare with, active or as named."
)
@click.option("--since", type=InstantType(), help="From when on.  [default: the first event of the log]")
@click.option("--until", type=InstantType(), help="Up to when.  [default: now]")
@click.option(
    "--samples", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many instants."
)
@click.option("--people", type=click.IntRange(1), help="Of at most so many people.  [default: all]")
@click.option(
    "--limit",
    type=click.IntRange(1, 100),
    default=5,
    show_default=True,
    help="How many suggestions a mapping has.",
)
@context_option
@click.option("--tenant", default=FIRST_TENANT, show_default=True, help="Whose people.")
@json_option
@with_settings
def backtest(
    settings: Settings,
    *,
    file: Path,
    against: str,
    since: datetime | None,
    until: datetime | None,
    samples: int,
    people: int | None,
    limit: int,
    context: tuple[str, ...],
    tenant: str,
    as_json: bool,
) -> None:
    """Map everybody at instants of the past, with a mapper of the service and with FILE, and say what would
    have changed.

    What was known of a person at an instant is what the log had recorded by then, as GET /personas/{id}?asOf=
    has it; each person's own persona is mapped, from when they were registered. Instants lie in equal spans
    between --since and --until. People who were erased are left out. The command reads the database, like
    `projections`, beside a running service or without one, and writes nothing. Exit 0, whatever changed.
    """
    after = compiled(file)
    question = Question(context=context_of(context), limit=limit)
    with _log(settings) as log, progress(sys.stderr) as report:
        version, before = _published(log.reader, tenant, against)
        end = until or datetime.now(UTC)
        begin = since or _first_recorded(log.recorder) or end
        if begin > end:
            raise InvalidInput(f"--since {begin.isoformat()} lies after --until {end.isoformat()}.")
        everybody = _people(log.recorder, tenant)
        found = Backtester(before, after, question).run(
            log.past,
            tenant,
            people_of(everybody, people),
            instants_between(begin, end, samples),
            report,
            people,
        )
    compared = Compared(
        mapper=before.mapper_id,
        version=version,
        file=str(file),
        author_version=after.author_version,
        found=found,
    )
    if as_json:
        click.echo(msgspec.json.encode(compared))
    else:
        show(compared)


@contextmanager
def _log(settings: Settings) -> Iterator[_Log]:
    """Opens the database for as long as the block lasts; no agents."""
    with database(settings) as conninfo:
        recorder = LogRecorder(open_datastore(conninfo, pool_size=2))
        try:
            recorder.create_table()
            keys = PersonKeys(recorder.datastore.get_connection, master_key(settings))
            with open_pool(conninfo, 1) as pool, closing(Appender(recorder)) as appender:
                reader = Reader(pool, load_projections(shipped.projections_dir()))
                yield _Log(recorder, reader, Past(recorder, Streams(recorder, appender, keys), reader))
        finally:
            recorder.datastore.close()


def _first_recorded(recorder: LogRecorder) -> datetime | None:
    first = recorder.select_notifications(1, 1)
    return first[0].recorded_at if first and isinstance(first[0], LogNotification) else None


def _published(reader: Reader, tenant: str, against: str) -> tuple[int, Plan]:
    """The version of a mapper that `ID` or `ID@VERSION` names. Raises InvalidInput where there is none."""
    mapper_id, at, version = against.partition("@")
    if at and not (version.isascii() and version.isdigit()):
        raise InvalidInput(f"{against!r} is no ID@VERSION, such as daily_focus@3.")
    with reader.snapshot() as snapshot:
        row = (
            snapshot.row("mapper_versions.one", tenant=tenant, mapper_id=mapper_id, version=int(version))
            if at
            else snapshot.row("mappers.by_id", tenant=tenant, mapper_id=mapper_id)
        )
    if row is None:
        raise InvalidInput(
            f"The tenant {tenant!r} has no mapper {against!r}; `personakit mappers list` has all."
        )
    return int(row["version"]), compile_mapper(row["document"])


def _people(recorder: LogRecorder, tenant: str) -> Callable[[UUID], list[Person]]:
    def page(after: UUID) -> list[Person]:
        values = {"tenant": tenant, "after": after, "limit": PEOPLE_PAGE}
        with recorder.datastore.get_connection() as connection:
            rows = connection.execute(SQL["people_of_tenant"], values).fetchall()
        return [Person(row["person_id"], row["person"]) for row in rows]

    return page
