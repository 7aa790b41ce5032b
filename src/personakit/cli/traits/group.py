"""The group `personakit traits`: its table of commands."""

from __future__ import annotations

import click

from personakit.cli.lazy_group import LazyCommand, LazyGroup

_HERE = "personakit.cli.traits"
COMMANDS = {
    "list": LazyCommand(f"{_HERE}.shown:list_", "The computed traits that the service has."),
    "push": LazyCommand(f"{_HERE}.push:push", "Upload documents of computed traits."),
    "test": LazyCommand(f"{_HERE}.check:test", "Run the tests inside documents of computed traits."),
    "validate": LazyCommand(f"{_HERE}.check:validate", "Check documents as an upload would."),
}


@click.group(cls=LazyGroup, commands_at=COMMANDS)
def traits() -> None:
    """Work on documents of computed traits, in YAML or (a name that ends in .json) JSON, and on those of the
    service."""
