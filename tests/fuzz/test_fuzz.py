"""Untrusted input, in short: no crash, no hang, no memory out of proportion. `make fuzz` goes on longer."""

from __future__ import annotations

import pytest

from tests.fuzz import __main__ as fuzz
from tests.fuzz import bodies, documents, imports, kept_files
from tests.fuzz.target import TARGETS

INPUTS = 30
WEIGHED = 8
ELSEWHERE = {"a_text_of_yaml", "a_file_of_yaml"}
"""Of these `test_hostile_documents.py` counts the memory, for larger inputs: counting takes them long."""
assert bodies, (documents, imports, kept_files)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_crashes_or_hangs(name: str) -> None:
    TARGETS[name].check(TARGETS[name].hold, INPUTS)


@pytest.mark.parametrize("name", sorted(TARGETS.keys() - ELSEWHERE))
def test_no_input_takes_memory_out_of_proportion(name: str) -> None:
    TARGETS[name].check(TARGETS[name].weigh, WEIGHED)


def test_every_body_that_is_read_is_sent() -> None:
    assert set(bodies.KINDS) == bodies.SENT.keys()


def test_where_one_target_fails_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def holds(name: str, _: int) -> bool:
        asked.append(name)
        return name == "tags" and len(asked) < 6

    monkeypatch.setattr(fuzz, "_holds", holds)
    monkeypatch.setattr("sys.argv", ["fuzz", "--only", "as_of,tags"])
    assert fuzz.main() == 1
    assert asked == ["as_of", *["tags"] * 5]
