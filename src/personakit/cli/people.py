"""`personakit people`: what they may say of what is held about them."""

from __future__ import annotations

import click

from personakit.cli.consent import consent, consent_policy


@click.group()
def people() -> None:
    """Look after the people that the service knows."""


people.add_command(consent)
people.add_command(consent_policy)
