"""A command group that imports a command only when it is called, so that `--help` answers at once."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click

from personakit_sdk.errors import PersonaKitError


class LazyCommand(NamedTuple):
    """Where a command is found, as `module:attribute`, and the line that `--help` has for it."""

    target: str
    help: str


class LazyGroup(click.Group):
    """A click group over a table of LazyCommands; an error of ours ends a command with one sentence."""

    def __init__(self, *args: Any, commands_at: Mapping[str, LazyCommand], **given: Any) -> None:
        super().__init__(*args, **given)
        self._commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, sorted."""
        return sorted({*super().list_commands(ctx), *self._commands_at})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None when there is none."""
        if cmd_name not in self._commands_at:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._commands_at[cmd_name].target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, written from the table without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._commands_at[name].help) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of ours becomes a sentence and an exit code, never a traceback."""
        try:
            return super().invoke(ctx)
        except PersonaKitError as error:
            from personakit.cli.exit_codes import exit_code, say  # noqa: PLC0415 - needed only when it ends so

            say(error)
            ctx.exit(exit_code(error))
