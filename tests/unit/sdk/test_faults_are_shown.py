"""The reference names a test for each fault that the protocol survives, and those tests are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
REFERENCE = (ROOT / "docs/reference/sync.md").read_text("utf-8")
NAMED = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", REFERENCE, re.MULTILINE)
FOLDERS = ("tests/unit/sdk", "tests/faults", "tests/integration")
WRITTEN = "\n".join(
    path.read_text("utf-8") for folder in FOLDERS for path in (ROOT / folder).glob("test_*.py")
)


def test_all_fifteen_are_listed() -> None:
    assert [number for number, _ in NAMED] == [str(number) for number in range(1, 16)]


@pytest.mark.parametrize(("number", "names"), NAMED)
def test_each_has_a_test(number: str, names: str) -> None:
    found = re.findall(r"`(test_\w+)`", names)
    assert found, number
    assert not [name for name in found if f"def {name}(" not in WRITTEN]
