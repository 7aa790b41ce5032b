"""`SECURITY.md` tells of tests that are there, and of threats that have one; its picture is drawn anew."""

from __future__ import annotations

import re
from pathlib import Path

from docs.explanation.draw_boundaries import PICTURE, picture

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
THREATS, _, REST = PAGE.partition("## Threats")[2].partition("## What is not defended")


def rows(text: str) -> list[list[str]]:
    """The cells of each row of the first table in a text, without its head."""
    table = re.findall(r"^\|(.+)\|$", text, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in table[2:]]


def test_every_file_that_it_names_is_there() -> None:
    named = re.findall(r"`((?:tests|docs|src)/[^`]+)`", PAGE) + re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_threat_has_a_control_and_a_test() -> None:
    threats = rows(THREATS)
    assert len(threats) > 20
    for row in threats:
        assert len(row) == 4, row
        assert all(row), row
        assert re.fullmatch(r"`tests/[^`]+`(, `tests/[^`]+`)*", row[3]), row


def test_every_target_that_it_names_is_one_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", PAGE)) <= targets


def test_the_picture_is_drawn_as_the_program_draws_it() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture()
