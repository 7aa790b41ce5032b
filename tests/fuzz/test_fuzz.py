"""Untrusted input, in short: no crash, no hang, no memory out of proportion. `make fuzz` goes on longer."""

from __future__ import annotations

import pytest

from tests.fuzz import bodies, documents, imports
from tests.fuzz.target import TARGETS

INPUTS = 30
WEIGHED = 8
ELSEWHERE = {"a_text_of_yaml", "a_file_of_yaml"}
"""Of these `test_hostile_documents.py` counts the memory, for larger inputs: counting takes them long."""
assert bodies, (documents, imports)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_crashes_or_hangs(name: str) -> None:
    TARGETS[name].check(TARGETS[name].hold, INPUTS)


@pytest.mark.parametrize("name", sorted(TARGETS.keys() - ELSEWHERE))
def test_no_input_takes_memory_out_of_proportion(name: str) -> None:
    TARGETS[name].check(TARGETS[name].weigh, WEIGHED)
