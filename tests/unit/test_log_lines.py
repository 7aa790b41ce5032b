"""Log lines: one that concerns a tenant names it, and none names a person by the id that callers use."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import personakit

FOLDER = Path(personakit.__file__).parent
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
OF_THE_SERVICE = {
    "A wake-up could not be sent, work goes on without Redis: %s",
    "Conflicts cannot be counted now: %s",
    "An answer broke off while it was sent.",
    "Dropped %s: nobody reads it any more.",
    "Nothing is heard of revoked keys; each is looked up: %s",
    "Nothing is heard of the projections; reads go to the database: %s",
    "PostgreSQL does not come back yet: %s",
    "Redis answers again.",
    "Some requests did not end within %d seconds and were cut.",
    "The audit cannot be pruned now: %s",
    "The audit cannot be written now: %s",
    "The database cannot be reached, trying again: %s",
    "The database cannot be told which projections are read here: %s",
    "The log cannot be listened to, trying again: %s",
    "The process that started this one is gone; this one ends too.",
    "The projections of another release cannot be followed: %s",
    "Wake-ups could not be given back, the sweep will make up for them: %s",
    "What changed cannot be asked for; all who wait look: %s",
    "What nobody reads any more cannot be dropped: %s",
    "What was under way did not end in time; the process is ended.",
}
"""What is said of the whole service, whoever's work it does."""


def constants(tree: ast.AST) -> dict[str, str]:
    """The texts that a module has names for."""
    return {
        node.target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def lines_in(source: str) -> Iterator[str]:
    """What the calls of `logger` in a module say; a call that says no fixed text is told as it stands."""
    tree = ast.parse(source)
    known = constants(tree)
    for call in ast.walk(tree):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id == "logger"
            and call.func.attr in LEVELS
        ):
            said = call.args[0]
            named = known.get(said.id) if isinstance(said, ast.Name) else None
            yield str(said.value) if isinstance(said, ast.Constant) else named or ast.unparse(said)


def lines() -> set[str]:
    return {line for path in FOLDER.rglob("*.py") for line in lines_in(path.read_text(encoding="utf-8"))}


def test_a_log_line_is_of_the_service_or_names_its_tenant() -> None:
    found = lines()
    assert {line for line in found - OF_THE_SERVICE if "(tenant %s)" not in line} == set()
    assert found >= OF_THE_SERVICE, "a line that nothing says any more"


@pytest.mark.parametrize(
    "source",
    ['logger.warning("Somebody waits.")', 'logger.info(f"{x} waits")', "logger.error(TEXT)"],
)
def test_a_line_that_names_none_is_found(source: str) -> None:
    assert [line for line in lines_in(source) if "(tenant %s)" not in line]
