"""`personakit mappers list` and `versions`: what the service has, and how it came to be."""

from __future__ import annotations

import click

from personakit.cli.connection import connect
from personakit.cli.mappers.options import NameType
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit_sdk.wire import MapperList, MapperVersion, MapperVersionList


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


@click.command()
@click.argument("mapper_id", type=NameType(), metavar="ID")
@click.option(
    "--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="The newest so many."
)
@json_option
@with_settings
def versions(settings: Settings, *, mapper_id: str, limit: int, as_json: bool) -> None:
    """The versions of the mapper ID, newest first: who or what made each, how and why."""
    reply = connect(settings).request("GET", f"/mappers/{mapper_id}/versions", query={"limit": limit})
    if as_json:
        click.echo(reply.body)
        return
    for item in reply.decode(MapperVersionList).items:
        click.echo(_line(item))


def _line(item: MapperVersion) -> str:
    change = item.cause.replace("_", " ") if item.cause is not None else item.change
    how = change if item.restores is None else f"{change} from {item.restores}"
    made = f"{item.created_at:%Y-%m-%d %H:%M}  {how} by {item.origin}"
    why = f": {item.reason}" if item.reason else ""
    return f"{item.version:>4}  {item.status:<10}  {item.author_version:<8}  {made}{why}"
