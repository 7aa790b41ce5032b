"""Importing observations from a file of lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.cli.jsonl import identified, import_jsonl
from personakit_sdk.errors import InvalidInput
from personakit_sdk.wire import Observation


def quiet(what: str, done: int, total: int | None) -> None:
    """A report that nobody reads."""


def line(**changes: Any) -> bytes:
    said = {
        "personId": "ann",
        "type": "check_in",
        "occurredAt": "2026-01-05T10:00:00+01:00",
        "content": {"energy": 3},
    }
    return msgspec.json.encode({name: value for name, value in (said | changes).items() if value is not None})


@pytest.fixture
def file(tmp_path: Path):
    def write(*lines: bytes) -> Path:
        path = tmp_path / "history.jsonl"
        path.write_bytes(b"\n".join(lines))
        return path

    return write


def test_importing_a_file_twice_stores_it_once(file, service, transport) -> None:
    path = file(line(), line(content={"energy": 4}), line(id="00000000-0000-0000-0000-000000000007"))
    assert import_jsonl(transport, path, None, quiet).stored == 3
    again = import_jsonl(transport, path, None, quiet)
    assert (again.stored, again.duplicates, again.complete) == (0, 3, True)
    assert "00000000-0000-0000-0000-000000000007" in service.observations


def test_bad_lines_are_told_by_number_and_good_ones_are_sent(file, service, transport) -> None:
    path = file(
        line(),
        b"{not json",
        b"",
        line(occurredAt="yesterday"),
        line(wrong=1),
        b"\xff",
        b"[]",
        line(personId=None),
    )
    summary = import_jsonl(transport, path, None, quiet)
    assert (summary.stored, summary.invalid, summary.complete) == (1, 6, False)
    assert [problem.split(":")[0] for problem in summary.problems] == [
        f"line {n}" for n in (2, 4, 5, 6, 7, 8)
    ]
    assert "$.occurredAt" in summary.problems[1]
    assert "wrong" in summary.problems[2]


def test_a_byte_order_mark_and_windows_line_ends_are_taken(file, service, transport) -> None:
    summary = import_jsonl(
        transport, file(b"\xef\xbb\xbf" + line() + b"\r", line(type="note") + b"\r"), None, quiet
    )
    assert (summary.stored, summary.invalid) == (2, 0)


def test_lines_that_say_the_same_of_the_same_instant_are_one_observation(file, service, transport) -> None:
    reordered = msgspec.json.encode(dict(reversed(msgspec.json.decode(line()).items())))
    assert reordered != line()
    summary = import_jsonl(transport, file(line(), line(), reordered), None, quiet)
    assert (summary.stored, summary.duplicates) == (1, 2)


def test_with_a_person_every_line_is_theirs_under_ids_of_its_own(file, service, transport) -> None:
    path = file(line(id="00000000-0000-0000-0000-000000000007"), line(), line(personId=None))
    import_jsonl(transport, path, None, quiet)
    summary = import_jsonl(transport, path, "bob", quiet)
    assert (summary.stored, summary.duplicates, summary.changed, summary.invalid) == (2, 1, 0, 0)
    assert [item["personId"] for item in service.observations.values()] == ["ann", "ann", "bob", "bob"]


def test_a_file_that_is_not_there_is_said_so(transport, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        import_jsonl(transport, tmp_path / "none.jsonl", None, quiet)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
contents = st.dictionaries(st.text(max_size=5), values, max_size=4)


@given(contents, contents)
def test_two_lines_have_the_same_id_exactly_when_they_say_the_same(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    first, second = (
        identified(msgspec.json.decode(line(content=content), type=Observation)) for content in (one, two)
    )
    assert (first.id == second.id) == (
        msgspec.json.encode(one, order="sorted") == msgspec.json.encode(two, order="sorted")
    )
    assert isinstance(first.id, UUID)
