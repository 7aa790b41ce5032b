"""`personakit traits list`: the documents of computed traits that the service has."""

from __future__ import annotations

import click

from personakit.cli.connection import connect
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit_sdk.wire import ComputedTraitsList, ComputedTraitsSummary


@click.command(name="list")
@json_option
@with_settings
def list_(settings: Settings, *, as_json: bool) -> None:
    """The documents that traits are computed by, by id: your own, and those of the release."""
    reply = connect(settings).request("GET", "/computed-traits")
    if as_json:
        click.echo(reply.body)
        return
    for document in reply.decode(ComputedTraitsList).items:
        click.echo(_line(document))


def _line(document: ComputedTraitsSummary) -> str:
    whose = f"version {document.version} by {document.origin}" if document.version else "of the release"
    traits = "1 trait" if len(document.paths) == 1 else f"{len(document.paths)} traits"
    return (
        f"{document.id} {document.author_version}, {whose}: {traits} of {document.observes}. "
        f"{document.description}"
    )
