"""The group `personakit mappers`: its table of commands."""

from __future__ import annotations

import click

from personakit.cli.lazy_group import LazyCommand, LazyGroup

_HERE = "personakit.cli.mappers"
COMMANDS = {
    "approve": LazyCommand(f"{_HERE}.learned:approve", "Publish what feedback proposes."),
    "backtest": LazyCommand(f"{_HERE}.backtest:backtest", "Say what another version would have suggested."),
    "diff": LazyCommand(f"{_HERE}.diff:diff", "Compare two versions of a mapper, rule by rule."),
    "evaluate": LazyCommand(f"{_HERE}.evaluate:evaluate", "Say how good another version would have been."),
    "explain": LazyCommand(f"{_HERE}.explain:explain", "Say why each rule fired or not."),
    "freeze": LazyCommand(f"{_HERE}.learned:freeze", "Let rules stay as they are, whatever is said of them."),
    "import": LazyCommand(
        "personakit.cli.mapper_import.command:import_", "Turn rules of another engine into a mapper."
    ),
    "list": LazyCommand(f"{_HERE}.shown:list_", "The mappers that the service has."),
    "publish": LazyCommand(f"{_HERE}.changed:publish", "Publish an older version anew, or a draft."),
    "push": LazyCommand(f"{_HERE}.push:push", "Upload mapper documents."),
    "roll-back": LazyCommand(f"{_HERE}.learned:roll_back", "Bring back what was learned at a version."),
    "schema": LazyCommand(f"{_HERE}.schema:schema", "Print the JSON Schema of mapper documents."),
    "test": LazyCommand(f"{_HERE}.check:test", "Run the tests inside mapper documents."),
    "thaw": LazyCommand(f"{_HERE}.learned:thaw", "Let frozen rules learn again."),
    "validate": LazyCommand(f"{_HERE}.check:validate", "Check mapper documents as an upload would."),
    "versions": LazyCommand(f"{_HERE}.shown:versions", "Who or what made each version of a mapper."),
    "weight": LazyCommand(f"{_HERE}.changed:weight", "Change the weight of a rule."),
    "weights": LazyCommand(f"{_HERE}.learned:weights", "What feedback taught of each rule."),
    "withdraw": LazyCommand(f"{_HERE}.changed:withdraw", "Take a mapper out of use."),
}


@click.group(cls=LazyGroup, commands_at=COMMANDS)
def mappers() -> None:
    """Work on mapper documents, in YAML or (a name that ends in .json) JSON, and on those of the service."""
