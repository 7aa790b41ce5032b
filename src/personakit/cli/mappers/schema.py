"""`personakit mappers schema`: the JSON Schema of mapper documents."""

from __future__ import annotations

import click
import msgspec

from personakit_sdk.rules.schema import mapper_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema (2020-12) of mapper documents, for an editor.

    A service has the same at /schemas/mapper.json, without a key.
    """
    click.echo(msgspec.json.format(msgspec.json.encode(mapper_schema())))
