"""Our own SDK does what every SDK must: each case by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sync.case import read_all
from tests.contract.sync.driven import Driven
from tests.contract.sync.play import play

CASES = read_all()


@pytest.fixture(scope="module")
def driven() -> Iterator[Driven]:
    with Driven((sys.executable, "-m", "tests.contract.sync.python_sdk")) as driven:
        yield driven


@pytest.mark.parametrize("name", CASES)
def test_the_python_sdk_conforms(driven: Driven, name: str, tmp_path: Path) -> None:
    play(CASES[name], driven, tmp_path)
