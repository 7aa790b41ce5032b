"""Options that many commands share, each taken before or after the command's name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from personakit.config import Settings, load_settings
from personakit_sdk.wire import PersonaId, PersonId

Command = Callable[..., None]
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class PersonIdType(click.ParamType[str]):
    """A person's id, checked before anything is sent."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """`value` if it is an id."""
        try:
            return msgspec.convert(value, PersonId)
        except msgspec.ValidationError:
            self.fail(f"{value!r} is no person's id: 1 to 128 of A-Z a-z 0-9 . _ : @ -", param, ctx)


class PersonaIdType(click.ParamType[str]):
    """A persona's id, checked before anything is done with it."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """`value` if it is an id."""
        try:
            return msgspec.convert(value, PersonaId)
        except msgspec.ValidationError:
            self.fail(f"{value!r} is no persona's id: a person's, or ~ and a UUID.", param, ctx)


class InstantType(click.ParamType[datetime]):
    """An instant as RFC 3339 writes it, with an offset."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """`value` as an instant; a time without an offset is refused."""
        try:
            instant = msgspec.convert(value, datetime)
        except msgspec.ValidationError:
            self.fail(f"{value!r} is no instant; write one as 2026-03-02T09:00:00+01:00.", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value!r} has no offset; write 2026-03-02T09:00:00+01:00, or Z for UTC.", param, ctx)
        return instant


def data_dir_option(command: Command) -> Command:
    """`--data-dir`: where the service keeps its data and the first API key."""
    return click.option(
        "--data-dir",
        metavar="PATH",
        help="Where the service keeps its data.  [env: PERSONAKIT_DATA_DIR; default: .personakit]",
    )(command)


def port_option(command: Command) -> Command:
    """`--port`: where the service listens on this machine."""
    return click.option(
        "--port", metavar="PORT", help="Where the service listens.  [env: PERSONAKIT_PORT; default: 8042]"
    )(command)


def json_option(command: Command) -> Command:
    """`--json`, before or after the command's name: passed on as `as_json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Answer in JSON, for programs.",
        callback=lambda context, _, given: given or bool(context.find_root().params.get("as_json")),
    )(command)


def allow_remote_option(command: Command) -> Command:
    """`--allow-remote`: passed on as `allow_remote`, for `allowing_remote`."""
    return click.option(
        "--allow-remote",
        is_flag=True,
        help="Listen where other machines reach it, if PERSONAKIT_HOST says so.  "
        "[env: PERSONAKIT_ALLOW_REMOTE]",
    )(command)


def allowing_remote(settings: Settings, asked: bool) -> Settings:
    """The settings, with what the option says."""
    return msgspec.structs.replace(settings, allow_remote=settings.allow_remote or asked)


def with_settings(command: Command) -> Command:
    """Give `command` the Settings as its first argument, and `--data-dir` and `--port` to change them."""

    @wraps(command)
    def with_both(data_dir: str | None, port: str | None, **given: Any) -> None:
        before = click.get_current_context().find_root().params
        asked = _changed(os.environ, data_dir or before.get("data_dir"), port or before.get("port"))
        command(load_settings(asked), **given)

    return data_dir_option(port_option(with_both))


def _changed(environ: Mapping[str, str], data_dir: str | None, port: str | None) -> dict[str, str]:
    """The environment as the options change it; a port that is asked for is one on this machine."""
    changed = dict(environ)
    if data_dir:
        changed["PERSONAKIT_DATA_DIR"] = data_dir
    if port:
        changed["PERSONAKIT_PORT"] = port
        changed.pop("PERSONAKIT_URL", None)
    return changed
