"""`personakit projections`: watch the read models, build them anew, and hold them against the log."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

import click
import msgspec
from rich.console import Console
from rich.table import Table

from personakit import shipped
from personakit.cli.database import FIRST_TENANT
from personakit.cli.opened_log import opened
from personakit.cli.options import PersonIdType, json_option, with_settings
from personakit.cli.progress import progress
from personakit.config import SettingInvalid, Settings
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.person_keys import PersonKeys
from personakit.projections import builds
from personakit.projections.builds import BuildState, Pool
from personakit.projections.rebuild import Rebuilt, rebuild
from personakit.projections.sql import Projection, load_projections
from personakit.projections.verify import Difference, Verified, verify

Names = Sequence[str]


@click.group()
def projections() -> None:
    """Watch the read models, rebuild and verify them."""


class Models(NamedTuple):
    """This release's projections, over one database."""

    pool: Pool
    projections: dict[str, Projection]
    keys: PersonKeys

    def chosen(self, names: Names, *, everything: bool) -> list[Projection]:
        """Those that were named, or all. Raises SettingInvalid for a name that is none."""
        if bool(names) == everything:
            raise SettingInvalid("Name the projections, or say --all.")
        unknown = [name for name in names if name not in self.projections]
        if unknown:
            raise SettingInvalid(
                f"There is no projection {unknown[0]!r}; there are {', '.join(self.projections)}."
            )
        return [self.projections[name] for name in names] or list(self.projections.values())


@contextmanager
def models(settings: Settings) -> Iterator[Models]:
    """Opens the database for as long as the block lasts; no agents, no appender."""
    with opened(settings, 1) as (conninfo, _, keys), builds.open_pool(conninfo, 2) as pool:
        yield Models(pool, load_projections(shipped.projections_dir()), keys)


@projections.command("list")
@with_settings
@json_option
def list_(settings: Settings, as_json: bool) -> None:
    """Each projection: its position, the log's head, how far it lags behind, and its state.

    A state is `active` (read by this release), `building`, `retired` (replaced, dropped before long), or
    `other release`. Streams in quarantine stand still in that projection; rebuild it with a version that
    can take them.
    """
    with models(settings) as open_models:
        own = [each.definition for each in open_models.projections.values()]
        states = builds.states(open_models.pool, own)
    if as_json:
        click.echo(msgspec.json.encode(states))
    else:
        Console().print(_listed(states))


def _listed(states: Sequence[BuildState]) -> Table:
    table = Table("projection", "state", "position", "head", "lag", "lag (s)", "quarantined", box=None)
    for state in states:
        lag = (str(state.head), str(state.lag_events), f"{state.lag_seconds:.1f}")
        loud = f"[bold red]{state.quarantined}[/]" if state.quarantined else "0"
        table.add_row(state.name, state.state, str(state.position), *lag, loud)
    return table


@projections.command("rebuild")
@with_settings
@json_option
@click.argument("names", nargs=-1, metavar="NAME…")
@click.option("--all", "everything", is_flag=True, help="Every projection.")
def rebuild_(settings: Settings, names: Names, everything: bool, as_json: bool) -> None:
    """Build projections anew from the log, beside the old ones, which serve until the new are there.

    A rebuild that was ended, however hard, goes on where it stopped when it is run again. It may run while
    the service serves; readers wait for nothing.
    """
    done: list[Rebuilt] = []
    with models(settings) as open_models, progress(sys.stderr) as report:
        for projection in open_models.chosen(names, everything=everything):
            made = rebuild(open_models.pool, projection, open_models.keys, report)
            if made is not None:
                done.append(made)
                if not as_json:
                    click.echo(_told(made))
    if as_json:
        click.echo(msgspec.json.encode(done))


def _told(made: Rebuilt) -> str:
    resumed = f", going on from position {made.resumed_at:,}" if made.resumed_at else ""
    rate = made.events / made.seconds if made.seconds else 0.0
    return (
        f"{made.name}: {made.events:,} events in {made.seconds:.1f} s ({rate:,.0f}/s){resumed}; "
        f"read from position {made.position:,} on."
    )


@projections.command("verify")
@with_settings
@json_option
@click.argument("names", nargs=-1, metavar="NAME…")
@click.option("--all", "everything", is_flag=True, help="Every projection.")
@click.option("--person", type=PersonIdType(), help="Only what is about this person.")
@click.option("--tenant", default=FIRST_TENANT, show_default=True, help="Whose person.")
@click.pass_context
def verify_(
    context: click.Context,
    settings: Settings,
    names: Names,
    everything: bool,
    person: str | None,
    tenant: str,
    as_json: bool,
) -> None:
    """Replay projections aside and compare them with the live ones, at one position; exit 1 when they differ.

    Rows that differ are named by table, key and column, never with what stands in them. It may run while
    the service serves.
    """
    done: list[Verified] = []
    with models(settings) as open_models, progress(sys.stderr) as report:
        chosen = open_models.chosen(names, everything=everything)
        surrogate = None if person is None else _surrogate(open_models, tenant, person)
        for projection in chosen:
            found = verify(open_models.pool, projection, open_models.keys, report, surrogate)
            done.append(found)
            if not as_json:
                click.echo(_found(found))
    if as_json:
        click.echo(msgspec.json.encode(done))
    context.exit(0 if all(found.clean for found in done) else 1)


def _surrogate(open_models: Models, tenant: str, person_id: str) -> UUID:
    values = {"tenant": tenant, "person_ids": [person_id]}
    with open_models.pool.connection() as connection:
        row = connection.execute(SQL["people"], values).fetchone()
    if row is None:
        raise SettingInvalid(f"Nothing is known of {person_id!r} in the tenant {tenant!r}.")
    return UUID(str(row["person"]))


def _found(found: Verified) -> str:
    summary = (
        f"{found.name}: {found.rows:,} rows at position {found.position:,}, "
        f"{'all as replayed' if found.clean else f'{found.count:,} that differ'} ({found.seconds:.1f} s)"
    )
    unnamed = found.count - len(found.differences)
    more = [f"  … and {unnamed:,} more"] if unnamed else []
    return "\n".join([summary, *map(_line, found.differences), *more])


def _line(difference: Difference) -> str:
    key = ", ".join(f"{name}={value}" for name, value in difference.key.items())
    columns = f": {', '.join(difference.columns)}" if difference.columns else ""
    return f"  {difference.table} ({key}) is {difference.kind}{columns}"
