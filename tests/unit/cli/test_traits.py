"""Checking documents of computed traits without a service, and what cannot be pushed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from personakit.cli.main import personakit

GOOD = """metadata: {id: reading, version: 1.2.0, description: What a person reads}
observes: reading_session
traits:
  - {path: reading.n, aggregate: count, volatility: low}
tests:
  - {name: twice, given: {observations: [{content: {}}, {content: {}}]}, expect: {traits: {reading.n: 2}}}
"""
FAILING = GOOD.replace("reading.n: 2", "reading.n: 3")
BROKEN = GOOD.replace("aggregate: count", "aggregate: county")
ODD = GOOD.replace("count, volatility: low", "count, volatility: high, precision: 2")
Write = Callable[..., str]


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(personakit, ["traits", *arguments], prog_name="personakit")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def file(tmp_path: Path) -> Write:
    def write(text: str, name: str = "t.yaml") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_a_valid_document_is_said_to_be_valid_in_yaml_and_in_json(file: Write) -> None:
    path = file(GOOD)
    result = run("validate", path)
    assert (result.exit_code, result.stdout) == (0, f"{path}: reading 1.2.0 is valid, 1 test pass\n")
    (told,) = msgspec.json.decode(run("validate", "--json", path).stdout)
    assert (told["document"], "mapper" in told) == ("reading", False)


def test_each_fault_has_its_line_and_is_exit_1(file: Write) -> None:
    path = file(BROKEN)
    result = run("validate", path)
    assert result.exit_code == 1
    assert f"{path}:4:34: /traits/0/aggregate: the aggregate 'county' is not known" in result.stdout
    assert "did you mean 'count'" in result.stdout


def test_a_test_that_fails_is_shown_with_what_came(file: Write) -> None:
    path = file(FAILING)
    result = run("test", path)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == f"FAIL  {path}: twice"
    assert f"{path}:6:5: /tests/0: its test 'twice' fails: expected reading.n 3, got 2" in result.stdout


def test_a_warning_refuses_nothing(file: Write) -> None:
    path = file(ODD)
    result = run("validate", path)
    assert result.exit_code == 0
    assert f"{path}:4:70: warning: /traits/0/precision: it has no effect" in result.stdout


def test_a_text_that_is_no_document_says_where_and_what(file: Write) -> None:
    assert "it must be an object" in run("validate", file("- a\n")).stdout
    assert run("push", "--if-match", "x", file(GOOD), file(GOOD, "u.yaml")).exit_code == 2
