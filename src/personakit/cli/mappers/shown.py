"""`personakit mappers list`: what the service has."""

from __future__ import annotations

import click

from personakit.cli.connection import connect
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit_sdk.wire import MapperList


@click.command(name="list")
@json_option
@with_settings
def list_(settings: Settings, *, as_json: bool) -> None:
    """The mappers that the service has, by id."""
    reply = connect(settings).request("GET", "/mappers", query={"limit": "500"})
    if as_json:
        click.echo(reply.body)
        return
    for mapper in reply.decode(MapperList).items:
        click.echo(f"{mapper.id}, version {mapper.version} ({mapper.status}): {mapper.description}")
