"""The group `personakit people`: its table of commands."""

from __future__ import annotations

import click

from personakit.cli.lazy_group import LazyCommand, LazyGroup

_HERE = "personakit.cli.people"
COMMANDS = {
    "check-receipt": LazyCommand(f"{_HERE}.erasing:check_receipt", "Say whether a receipt is genuine."),
    "consent": LazyCommand(f"{_HERE}.consent:consent", "What a person consents to; change it."),
    "consent-policy": LazyCommand(f"{_HERE}.consent:consent_policy", "Whether mapping takes consent."),
    "erase": LazyCommand(f"{_HERE}.erasing:erase", "Forget a person, for good."),
    "export": LazyCommand(f"{_HERE}.held:export", "Export everything that is held about a person."),
    "list": LazyCommand(f"{_HERE}.held:list_", "List the people whom the API key may see."),
}


@click.group(cls=LazyGroup, commands_at=COMMANDS)
def people() -> None:
    """Look after people: what is held about them, what they consent to, who is forgotten."""
