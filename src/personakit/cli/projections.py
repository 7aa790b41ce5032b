"""`personakit projections`: how far the read models have come."""

from __future__ import annotations

import click
import msgspec
from rich.console import Console
from rich.table import Table

from personakit import shipped
from personakit.cli.options import json_option, with_settings
from personakit.cli.up import database
from personakit.config import Settings
from personakit.projections.follow import open_pool
from personakit.projections.read import ProjectionState, Reader
from personakit.projections.sql import load_projections


@click.group()
def projections() -> None:
    """Watch the read models."""


@projections.command("list")
@with_settings
@json_option
def list_(settings: Settings, as_json: bool) -> None:
    """Each projection: its position, the log's head, and how far it lags behind."""
    with database(settings) as conninfo, open_pool(conninfo, size=1) as pool:
        states = Reader(pool, load_projections(shipped.projections_dir())).states()
    if as_json:
        click.echo(msgspec.json.encode(states))
    else:
        Console().print(_table(states))


def _table(states: list[ProjectionState]) -> Table:
    table = Table("projection", "state", "position", "head", "lag (events)", "lag (seconds)", box=None)
    for state in states:
        lag = (str(state.head), str(state.lag_events), f"{state.lag_seconds:.1f}")
        table.add_row(state.name, "active" if state.active else "building", str(state.position), *lag)
    return table
