"""Options that commands on mappers share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from personakit.cli.observe import pair
from personakit.cli.options import Command
from personakit_sdk.errors import InvalidInput
from personakit_sdk.rules.rule import ID

_OF_FILES = (".yaml", ".yml", ".json")


class NameType(click.ParamType[str]):
    """The id of a mapper or a rule, checked before it stands in an address."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """`value` if it is an id."""
        if not ID.fullmatch(str(value)):
            self.fail(
                f"{value!r} is no id of a mapper or rule: 1 to 128 of A-Z a-z 0-9 . _ : @ -", param, ctx
            )
        return str(value)


def context_option(command: Command) -> Command:
    """`--context`, which may be given several times."""
    return click.option(
        "--context",
        multiple=True,
        metavar="JSON|KEY=VALUE",
        help="What the rules may know of the moment; may be repeated.",
    )(command)


def context_of(given: tuple[str, ...]) -> dict[str, Any]:
    """The context that the options give together: JSON objects and KEY=VALUE. Raises InvalidInput."""
    context: dict[str, Any] = {}
    for text in given:
        context |= _object(text) if text.lstrip().startswith("{") else dict([pair(text)])
    return context


def is_file(target: str) -> bool:
    """Whether FILE|ID is a file: one that is there, or that has the name of one."""
    return Path(target).is_file() or target.endswith(_OF_FILES)


def _object(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidInput(f"--context is no JSON object: {error}.") from error
