"""`personakit traits validate` and `test`: checks documents of computed traits without a service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from personakit.cli.documents.checked import Checked, Findings, check_file, tell_tests, tell_validity
from personakit.cli.documents.files import FILES
from personakit.cli.options import json_option
from personakit.domain.computed_trait_documents import WHAT, read_document
from personakit.domain.trait_lint import lint_traits
from personakit.domain.trait_tests import run_trait_tests


@click.command()
@FILES
@json_option
def validate(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check FILES as an upload would, their own tests included. Exit 1 when one would be refused.

    Each fault has a line `file:line:column: /pointer: what is wrong`. Whether another document of the service
    defines a trait already, only the service can tell.
    """
    tell_validity([_check(path) for path in files], as_json=as_json)


@click.command()
@FILES
@json_option
def test(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Run the tests inside FILES, and show each. Exit 1 when one fails."""
    tell_tests([_check(path) for path in files], as_json=as_json)


def _check(path: Path) -> Checked:
    return check_file(path, WHAT, _findings)


def _findings(document: dict[str, Any]) -> Findings:
    read = read_document(document)
    return Findings(read.version, lint_traits(read), run_trait_tests(read), document=read.id)
