"""`personakit people`: what is done about people as a whole."""

from __future__ import annotations

import click

from personakit.cli.erasing import check_receipt, erase


@click.group()
def people() -> None:
    """Erase people, and check receipts of it."""


people.add_command(erase)
people.add_command(check_receipt)
