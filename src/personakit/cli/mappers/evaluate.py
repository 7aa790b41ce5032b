"""`personakit mappers evaluate`: how good another version would have been, by what chance showed of it."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from personakit.agents.evaluation import Evaluator, Version
from personakit.cli.database import FIRST_TENANT
from personakit.cli.mappers.evaluated import Evaluated, show
from personakit.cli.mappers.files import compiled
from personakit.cli.mappers.options import NameType, context_of, context_option
from personakit.cli.opened_log import opened_log
from personakit.cli.options import FILE, InstantType, json_option, with_settings
from personakit.cli.progress import progress
from personakit.config import Settings
from personakit.domain.exploration import beliefs_of
from personakit.domain.off_policy import NotRandomised, Row, TooFew, estimate
from personakit.eventlog.everybody import everybody
from personakit.projections.read import Snapshot
from personakit_sdk.errors import InvalidInput
from personakit_sdk.rules import Plan, compile_mapper


@click.command()
@click.argument("mapper", metavar="ID", type=NameType())
@click.option("--version", type=click.IntRange(1), help="The version of it to evaluate.")
@click.option("--file", type=FILE, help="A document to evaluate, in the place of a version.")
@click.option("--since", type=InstantType(), help="From which answers on.  [default: all]")
@context_option
@click.option("--tenant", default=FIRST_TENANT, show_default=True, help="Whose feedback.")
@json_option
@with_settings
def evaluate(
    settings: Settings,
    *,
    mapper: str,
    version: int | None,
    file: Path | None,
    since: datetime | None,
    context: tuple[str, ...],
    tenant: str,
    as_json: bool,
) -> None:
    """Say how good the suggestions of another version of the mapper ID would have been found, by the feedback
    on what chance put in its place.

    Only a mapper that explores tells something of what it does not prefer, and only feedback that brought
    back the `exposure` of its suggestion. The version is taken with what is learned of its rules by now, for
    each persona by then, and without exploring. The command reads the database, beside a running service or
    without one, and writes nothing. Exit 1 where nothing can be said: nothing was left to chance, or too
    little of it is what the version would have done.
    """
    if (version is None) == (file is None):
        raise click.UsageError("Say what to evaluate: either --version or --file.")
    document = None if file is None else _of(mapper, file)
    told = context_of(context)
    with opened_log(settings) as log, progress(sys.stderr) as report:
        with log.reader.snapshot(tenant) as snapshot:
            in_use = _in_use(snapshot, tenant, mapper)
            votes = snapshot.rows("feedback.explored", tenant=tenant, mapper_id=mapper, since=since)
            wanted = {vote["mapper_version"] for vote in votes} | ({version} if version else set())
            plans = {number: _plan(snapshot, tenant, mapper, number) for number in sorted(wanted)}
        plan = document or plans[version or 0]
        evaluated = Version(plan, in_use["learned"], beliefs_of(in_use["evidence"]))
        evaluator = Evaluator(log.past, tenant, plans, evaluated, told)
        rows, left_out = evaluator.compare(votes, everybody(log.recorder, tenant), report)
    found = Evaluated(
        mapper=mapper,
        version=version,
        file=None if file is None else str(file),
        author_version=plan.author_version,
        votes=len(votes),
        left_out=left_out,
    )
    _tell(found, rows, as_json=as_json)


def _of(mapper: str, file: Path) -> Plan:
    plan = compiled(file)
    if plan.mapper_id != mapper:
        raise InvalidInput(f"{file} is a version of {plan.mapper_id!r}, not of {mapper!r}.")
    return plan


def _tell(found: Evaluated, rows: list[Row], *, as_json: bool) -> None:
    """Prints what can be said of the rows; raises NotRandomised or TooFew where nothing can."""
    refused: NotRandomised | TooFew | None = None
    try:
        found = msgspec.structs.replace(found, estimates=estimate(rows))
    except (NotRandomised, TooFew) as error:
        refused = error
        found = msgspec.structs.replace(found, refused=str(error))
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        show(found)
    if refused is not None:
        raise refused


def _in_use(snapshot: Snapshot, tenant: str, mapper: str) -> dict[str, Any]:
    row = snapshot.row("mappers.by_id", tenant=tenant, mapper_id=mapper)
    if row is None:
        raise InvalidInput(
            f"The tenant {tenant!r} has no mapper {mapper!r}; `personakit mappers list` has all."
        )
    return row


def _plan(snapshot: Snapshot, tenant: str, mapper: str, version: int) -> Plan:
    row = snapshot.row("mapper_versions.one", tenant=tenant, mapper_id=mapper, version=version)
    if row is None:
        raise InvalidInput(
            f"The tenant {tenant!r} has no version {version} of a mapper {mapper!r}; "
            f"`personakit mappers versions {mapper}` has all."
        )
    return compile_mapper(row["document"])
