"""`personakit tenants`: customers of one service, each of whom sees only their own."""

from __future__ import annotations

from contextlib import closing

import click

from personakit.agents.service import Service
from personakit.cli.database import database
from personakit.cli.options import with_settings
from personakit.config import Settings
from personakit.eventlog.access import create_tenant
from personakit.master_key import master_key


@click.group()
def tenants() -> None:
    """Create tenants."""


@tenants.command()
@with_settings
@click.argument("tenant")
@click.option("--name", help="What people call it; the id unless given.")
def create(settings: Settings, tenant: str, name: str | None) -> None:
    """Create a tenant, with the shipped mappers. Its first key: personakit keys create --tenant TENANT."""
    with database(settings) as conninfo, closing(Service(conninfo, master_key(settings))) as service:
        made = create_tenant(service.recorder, tenant, name or tenant)
        service.mappers.publish_shipped(tenant)
    click.echo(f"Tenant {tenant} {'created' if made else 'exists already'}.")
