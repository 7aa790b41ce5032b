"""`personakit keys`: what opens a tenant."""

from __future__ import annotations

import click

from personakit.cli.options import with_settings
from personakit.cli.up import FIRST_TENANT, database
from personakit.config import Settings
from personakit.eventlog.access import create_key
from personakit.eventlog.recorder import LogRecorder, open_datastore


@click.group()
def keys() -> None:
    """Create API keys."""


@keys.command()
@with_settings
@click.option("--tenant", default=FIRST_TENANT, show_default=True, help="Whose data the key opens.")
@click.option("--name", default="made by personakit keys create", help="What the key is for.")
def create(settings: Settings, tenant: str, name: str) -> None:
    """Create an API key and show it, once: only a hash of it is kept."""
    with database(settings) as conninfo:
        recorder = LogRecorder(open_datastore(conninfo, pool_size=1))
        try:
            recorder.create_table()
            click.echo(create_key(recorder, tenant, name))
        finally:
            recorder.datastore.close()
