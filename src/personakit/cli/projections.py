"""`personakit projections`: how far the read models have come."""

from __future__ import annotations

from contextlib import closing

import click
import msgspec
from rich.console import Console
from rich.table import Table

from personakit.agents.service import Service
from personakit.cli.options import json_option, with_settings
from personakit.cli.up import database
from personakit.config import Settings
from personakit.projections.read import ProjectionState


@click.group()
def projections() -> None:
    """Watch the read models."""


@projections.command("list")
@with_settings
@json_option
def list_(settings: Settings, as_json: bool) -> None:
    """Each projection: its position, the log's head, and how far it lags behind."""
    with database(settings) as conninfo, closing(Service(conninfo, settings.redis_url)) as service:
        states = service.reader.states()
        ours = {projection.schema for projection in service.projections.values()}
    if as_json:
        click.echo(msgspec.json.encode(states))
    else:
        Console().print(_table(states, ours))


def _table(states: list[ProjectionState], ours: set[str]) -> Table:
    table = Table("projection", "state", "position", "head", "lag", "lag (s)", "quarantined", box=None)
    for state in states:
        lag = (str(state.head), str(state.lag_events), f"{state.lag_seconds:.1f}", str(state.quarantined))
        table.add_row(state.name, _condition(state, ours), str(state.position), *lag)
    return table


def _condition(state: ProjectionState, ours: set[str]) -> str:
    if state.active:
        return "active"
    return "building" if state.schema in ours else "retired"
