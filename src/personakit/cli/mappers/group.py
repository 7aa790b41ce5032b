"""The group `personakit mappers`: its table of commands."""

from __future__ import annotations

import click

from personakit.cli.lazy_group import LazyCommand, LazyGroup

_HERE = "personakit.cli.mappers"
COMMANDS = {
    "backtest": LazyCommand(
        f"{_HERE}.backtest:backtest", "Say what another version would have suggested in the past."
    ),
    "explain": LazyCommand(f"{_HERE}.explain:explain", "Say why each rule fired or not."),
    "import": LazyCommand(
        "personakit.cli.mapper_import.command:import_", "Turn rules of another engine into a mapper."
    ),
    "list": LazyCommand(f"{_HERE}.shown:list_", "The mappers that the service has."),
    "push": LazyCommand(f"{_HERE}.push:push", "Upload mapper documents."),
    "schema": LazyCommand(f"{_HERE}.schema:schema", "Print the JSON Schema of mapper documents."),
    "test": LazyCommand(f"{_HERE}.check:test", "Run the tests inside mapper documents."),
    "validate": LazyCommand(f"{_HERE}.check:validate", "Check mapper documents as an upload would."),
}


@click.group(cls=LazyGroup, commands_at=COMMANDS)
def mappers() -> None:
    """Work on mapper documents, in YAML or (a name that ends in .json) JSON, and on those of the service."""
