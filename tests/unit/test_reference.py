"""The reference page of the bodies says what the code says."""

from __future__ import annotations

import doctest
import re
import runpy
from pathlib import Path

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_the_page_of_the_bodies_is_the_one_that_the_code_makes() -> None:
    made = runpy.run_path(str(REFERENCE / "make_bodies.py"))["page"]()
    assert (REFERENCE / "bodies.md").read_text(encoding="utf-8") == made
    assert "## Observation (sent)" in made
    assert "## MapAnswer (answered)" in made
    headings = re.findall(r"^## (\w+) \((\w+)\)$", made, re.MULTILINE)
    assert set(re.findall(r"\]\(#([\w-]+)\)", made)) <= {f"{name.lower()}-{side}" for name, side in headings}


def test_the_page_of_the_commands_is_the_one_that_their_help_makes() -> None:
    made = runpy.run_path(str(REFERENCE / "make_cli.py"))["page"]()
    assert (REFERENCE / "cli.md").read_text(encoding="utf-8") == made
    assert "## personakit import git" in made


def test_the_digest_on_the_page_of_the_sync_protocol_is_the_one_that_the_code_makes() -> None:
    tried = doctest.testfile(str(REFERENCE / "sync.md"), module_relative=False, encoding="utf-8")
    assert tried == (0, 2)
