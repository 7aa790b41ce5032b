"""What `personakit mindscapes rederive` says of what would change, and about whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from personakit.agents.differences import Example, PathChange
from personakit.agents.rederive import Rederived
from personakit.cli.noted import noted
from personakit.cli.values import shown
from personakit.eventlog.everybody import Known, everybody, somebody
from personakit.eventlog.recorder import LogRecorder
from personakit_sdk.errors import InvalidInput

COMMAND: Final = "mindscapes rederive"
EXAMPLES_SHOWN: Final = 10


def whose_mindscapes(recorder: LogRecorder, tenant: str, person: str | None) -> Iterable[Known]:
    """The one with that id, or everybody, noted in the audit. Raises InvalidInput for an unknown one."""
    people = everybody(recorder, tenant) if person is None else [_known(recorder, tenant, person)]
    # A created persona has no mindscape of its own.
    return noted(recorder, tenant, COMMAND, (each for each in people if not each.id.startswith("~")))


def _known(recorder: LogRecorder, tenant: str, person: str) -> Known:
    found = somebody(recorder, tenant, person)
    if found is None:
        raise InvalidInput(f"Nothing is known of {person!r} in the tenant {tenant!r}.")
    return found


def told(found: Rederived) -> list[str]:
    """What was found, a line for each path and for some examples."""
    read = f"{found.people} people, {found.observations} observations"
    head = f"{read}: {found.differing} mindscapes would differ. {_cost(found)}"
    if not found.paths:
        return [head]
    examples = [_example(example) for example in found.examples[:EXAMPLES_SHOWN]]
    more = len(found.examples) - EXAMPLES_SHOWN
    rest = [f"… {more} more examples with --json"] if more > 0 else []
    return [head, *map(_path, found.paths), *examples, *rest]


def _cost(found: Rederived) -> str:
    if not found.calls:
        return "It cost nothing."
    tokens = f"{found.input_tokens:,} tokens in and {found.output_tokens:,} out"
    return f"It cost {found.usd:.4f} USD: {found.calls} calls, {tokens}."


def _path(change: PathChange) -> str:
    counts = [
        f"{word} for {count}"
        for word, count in (("comes", change.came), ("changes", change.changed), ("goes", change.went))
        if count
    ]
    material = f", materially for {change.material}" if change.material else ""
    return f"  {change.path}: {', '.join(counts)}{material}"


def _example(example: Example) -> str:
    return f"    {example.path} of {example.person_id}: {_value(example.before)} -> {_value(example.after)}"


def _value(value: Any) -> str:
    return "nothing" if value is None else shown(value)
