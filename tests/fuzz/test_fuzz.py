"""Untrusted input, in short: no crash, no hang, no memory out of proportion. `make fuzz` goes on longer."""

from __future__ import annotations

import pytest

from tests.fuzz import bodies, documents, imports
from tests.fuzz.target import TARGETS

INPUTS = 40
WEIGHED = 12
assert bodies, (documents, imports)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_crashes_or_hangs(name: str) -> None:
    TARGETS[name].check(TARGETS[name].hold, INPUTS)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_takes_memory_out_of_proportion(name: str) -> None:
    TARGETS[name].check(TARGETS[name].weigh, WEIGHED)
