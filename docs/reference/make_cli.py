"""Writes `cli.md` from the commands' own help; a test holds the two together.

Run it after a change: `.venv/bin/python docs/reference/make_cli.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from personakit.cli.main import personakit

PAGE = Path(__file__).with_name("cli.md")
HEAD = """# The command line

Every command, as its `--help` has it. Made from the commands themselves; do not edit.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | the answer is no: something was rejected, is not valid, or a test fails |
| 2 | the command or a setting cannot be used as given, or the key is not accepted |
| 3 | no service can be reached, or it failed |

`--json` answers for programs. Long work shows a progress bar on a terminal, a line now and then elsewhere.
"""


def page() -> str:
    """The whole page, a section a command."""
    root = click.Context(
        personakit,
        info_name="personakit",
        terminal_width=100,
        max_content_width=100,
        **personakit.context_settings,
    )
    return "\n".join([HEAD, *_sections(personakit, root)])


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _sections(
                    below, click.Context(below, info_name=name, parent=context, terminal_width=100)
                )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
