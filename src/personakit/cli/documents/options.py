"""Options of commands that make a version of a document."""

from __future__ import annotations

import click

from personakit.cli.options import Command


def reason_option(command: Command) -> Command:
    """`--reason`: kept with the version that is made."""
    return click.option("--reason", default="", help="Why; kept with the version that is made.")(command)


def if_match_option(command: Command) -> Command:
    """`--if-match`: only where nobody changed the document in between."""
    return click.option(
        "--if-match",
        metavar="HASH",
        help="Only if the document's hash (its ETag) is still this one; else exit 1.",
    )(command)


def if_match_header(given: str | None) -> dict[str, str]:
    """The header that says so, the hash quoted as an ETag is."""
    return {} if given is None else {"If-Match": '"' + given.strip('"') + '"'}
