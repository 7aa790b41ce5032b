"""`personakit traits validate` and `test`: checks documents of computed traits without a service."""

from __future__ import annotations

from pathlib import Path

import click

from personakit.cli.mappers.check import Checked, tell_tests, tell_validity
from personakit.cli.mappers.files import FILES, MarkedDocument, placed, read
from personakit.cli.options import json_option
from personakit.domain.computed_trait_documents import WHAT, read_document
from personakit.domain.inline_tests import faults_of_tests
from personakit.domain.trait_lint import lint_traits
from personakit.domain.trait_tests import run_trait_tests
from personakit_sdk.errors import DocumentInvalid


@click.command()
@FILES
@json_option
def validate(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check FILES as an upload would, their own tests included. Exit 1 when one would be refused.

    Each fault has a line `file:line:column: /pointer: what is wrong`. Whether another document of the service
    defines a trait already, only the service can tell.
    """
    tell_validity([check(path) for path in files], as_json=as_json)


@click.command()
@FILES
@json_option
def test(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Run the tests inside FILES, and show each. Exit 1 when one fails."""
    tell_tests([check(path) for path in files], as_json=as_json)


def check(path: Path) -> Checked:
    """What a service would find in the document at `path`. Raises InvalidInput for an unreadable file."""
    marked = None
    try:
        marked = read(path, WHAT)
        return _checked(path, marked)
    except DocumentInvalid as error:
        return Checked(file=str(path), faults=placed(error.faults, marked.marks if marked else {}))


def _checked(path: Path, marked: MarkedDocument) -> Checked:
    document = read_document(marked.document)
    tests = tuple(run_trait_tests(document))
    return Checked(
        file=str(path),
        document=document.id,
        version=document.version,
        faults=placed(faults_of_tests(tests), marked.marks),
        warnings=placed(lint_traits(document), marked.marks),
        tests=tests,
    )
