"""Imports a file with one observation a line, in the form that `POST /observations` takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from personakit.cli.delivery import PROBLEMS_KEPT, Report, Summary, deliver
from personakit.cli.observation_ids import observation_id
from personakit_sdk.errors import InvalidInput
from personakit_sdk.transport import Transport
from personakit_sdk.wire import Observation


class BadLine(msgspec.Struct, frozen=True):
    """A line that is no observation; `number` counts from 1."""

    number: int
    reason: str


def import_jsonl(transport: Transport, path: Path, person: str | None, report: Report) -> Summary:
    """Send every line of the file at `path`; what cannot be read is counted as `invalid`, the rest is sent.

    With `person`, every line is sent as theirs, whoever it names. Raises InvalidInput when there is no
    such file.
    """
    bad: list[BadLine] = []
    summary = deliver(transport, _good_lines(path, person, bad), report)
    reasons = tuple(f"line {line.number}: {line.reason}" for line in bad)
    return msgspec.structs.replace(
        summary, invalid=len(bad), problems=(reasons + summary.problems)[:PROBLEMS_KEPT]
    )


def read_lines(path: Path, person: str | None) -> Iterator[Observation | BadLine]:
    """What each line of the file says, in order; empty lines are passed over."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if text.strip():
                    yield _observation(number, text, person)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error


def identified(observation: Observation) -> Observation:
    """The observation with an id: its own, or one made from all that it says.

    So the same line gives the same id in any file and at any place, and two lines that say exactly the
    same of the same instant are one observation.
    """
    if observation.id is not None:
        return observation
    said = msgspec.json.encode(observation, order="sorted").decode()
    return msgspec.structs.replace(observation, id=observation_id("jsonl", observation.person_id, said))


def _good_lines(path: Path, person: str | None, bad: list[BadLine]) -> Iterator[Observation]:
    for line in read_lines(path, person):
        if isinstance(line, BadLine):
            bad.append(line)
        else:
            yield line


def _observation(number: int, line: bytes, person: str | None) -> Observation | BadLine:
    try:
        said: Any = msgspec.json.decode(line)
        return identified(msgspec.convert(_as_of(said, person), Observation))
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return BadLine(number, str(error))


def _as_of(said: Any, person: str | None) -> Any:
    """What a line says, as `person`'s. An id given to somebody else's observation makes another one here."""
    if person is None or not isinstance(said, dict) or said.get("personId") == person:
        return said
    own = {"id": str(observation_id("jsonl", person, str(said["id"])))} if "id" in said else {}
    return {**said, "personId": person, **own}
