"""`personakit mappers validate` and `test`: checks mapper documents without a service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from personakit.cli.documents.checked import Checked, Findings, check_file, tell_tests, tell_validity
from personakit.cli.documents.files import FILES
from personakit.cli.mappers.files import WHAT
from personakit.cli.options import json_option
from personakit_sdk.rules import compile_mapper, lint, run_tests


@click.command()
@FILES
@json_option
def validate(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check FILES as an upload would, their own tests included. Exit 1 when one would be refused.

    Each fault has a line `file:line:column: /pointer: what is wrong`.
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
    plan = compile_mapper(document)
    return Findings(plan.author_version, lint(plan), run_tests(plan), mapper=plan.mapper_id)
