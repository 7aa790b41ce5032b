"""`personakit mappers backtest`: what another version of a mapper would have suggested in the past."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import click
import msgspec

from personakit.agents.backtest import Backtester, Question, instants_between
from personakit.cli.database import FIRST_TENANT
from personakit.cli.mappers.backtested import Compared, show
from personakit.cli.mappers.files import compiled
from personakit.cli.mappers.options import context_of, context_option
from personakit.cli.noted import noted
from personakit.cli.opened_log import opened_log
from personakit.cli.options import FILE, InstantType, json_option, with_settings
from personakit.cli.progress import progress
from personakit.config import Settings
from personakit.eventlog.everybody import everybody
from personakit.eventlog.recorder import LogRecorder
from personakit.eventlog.stored import LogNotification
from personakit.projections.read import Reader
from personakit_sdk.errors import InvalidInput
from personakit_sdk.rules import Plan, compile_mapper


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
@click.option("--people", type=click.IntRange(1), help="Of at most so many personas.  [default: all]")
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
    has it. Each person's own persona is mapped, from when they were registered, and each persona that was
    created, while it is there. Instants lie in equal spans between --since and --until. People who were
    erased are left out; where consent was required then, or is now, a version maps only those who had given
    it and have not withdrawn it. The command reads the database, like `projections`, beside a running service
    or without one, and writes nothing but that to the audit. Exit 0, whatever changed.
    """
    after = compiled(file)
    question = Question(context=context_of(context), limit=limit)
    with opened_log(settings) as log, progress(sys.stderr) as report:
        version, before, learned = _published(log.reader, tenant, against)
        end = until or datetime.now(UTC)
        begin = since or _first_recorded(log.recorder) or end
        if begin > end:
            raise InvalidInput(f"--since {begin.isoformat()} lies after --until {end.isoformat()}.")
        found = Backtester(before, after, question, learned).run(
            log.past,
            tenant,
            noted(log.recorder, tenant, "mappers backtest", islice(everybody(log.recorder, tenant), people)),
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


def _first_recorded(recorder: LogRecorder) -> datetime | None:
    first = recorder.select_notifications(1, 1)
    return first[0].recorded_at if first and isinstance(first[0], LogNotification) else None


def _published(reader: Reader, tenant: str, against: str) -> tuple[int, Plan, dict[str, float]]:
    """The version of a mapper that `ID` or `ID@VERSION` names, and what it had learned. Raises InvalidInput
    where there is none."""
    mapper_id, at, version = against.partition("@")
    if at and not (version.isascii() and version.isdigit()):
        raise InvalidInput(f"{against!r} is no ID@VERSION, such as daily_focus@3.")
    with reader.snapshot(tenant) as snapshot:
        row = (
            snapshot.row("mapper_versions.one", tenant=tenant, mapper_id=mapper_id, version=int(version))
            if at
            else snapshot.row("mappers.by_id", tenant=tenant, mapper_id=mapper_id)
        )
    if row is None:
        raise InvalidInput(
            f"The tenant {tenant!r} has no mapper {against!r}; `personakit mappers list` has all."
        )
    return int(row["version"]), compile_mapper(row["document"]), row["learned"]
