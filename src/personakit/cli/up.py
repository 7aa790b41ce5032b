"""`personakit up`: PostgreSQL, API and agents in one command, on this machine."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
from granian.constants import Interfaces
from granian.server.embed import Server

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.api.slow_readers import bound_unread_answers
from personakit.cli.database import FIRST_TENANT, database
from personakit.cli.demo import run_demo
from personakit.cli.ending import DRAIN_SECONDS, end_within
from personakit.cli.listening import (
    listening,
    refuse_exposure_without_keys,
    refuse_taken_port,
    refuse_unasked_exposure,
)
from personakit.cli.options import allow_remote_option, allowing_remote, with_settings
from personakit.config import Settings
from personakit.eventlog.access import create_key, create_tenant, key_of
from personakit.log_lines import begin_logging
from personakit.master_key import master_key
from personakit_sdk.errors import PersonaKitError
from personakit_sdk.transport import Transport

logger = logging.getLogger(__name__)


@click.command()
@with_settings
@click.option(
    "--demo",
    "repository",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Import the git history of this folder (or a sample) and show what to ask.",
)
@allow_remote_option
def up(settings: Settings, repository: Path | None, allow_remote: bool) -> None:
    """Run the whole service on this machine, until Ctrl-C.

    Data, PostgreSQL's files and the first API key live in the data directory. The address and the key
    are printed; a key that was made before is not shown again.
    """
    # The service itself is neither the one that PERSONAKIT_URL names nor opened by PERSONAKIT_API_KEY.
    settings = msgspec.structs.replace(settings, service_url=None, api_key=None)
    begin_logging()
    settings = allowing_remote(settings, allow_remote)
    refuse_unasked_exposure(settings)
    refuse_taken_port(settings)
    with (
        database(settings) as conninfo,
        Service(
            conninfo,
            master_key(settings),
            settings.redis_url,
            settings.model,
            settings.journal,
            settings.audit_days,
        ) as service,
    ):
        made = prepare(service, settings)
        refuse_exposure_without_keys(settings, service.recorder)
        service.mappers.publish_shipped(FIRST_TENANT)
        asyncio.run(_serve(service, settings, lambda: _ready(settings, made, repository)))


def prepare(service: Service, settings: Settings) -> bool:
    """Makes the first tenant and key where there are none; whether a key was made."""
    create_tenant(service.recorder, FIRST_TENANT, "The first tenant")
    if _key_opens(service, settings.key_file):
        return False
    key = create_key(service.recorder, FIRST_TENANT, "made by personakit up")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    written = settings.key_file.with_suffix(".new")
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{key}\n")
    written.rename(settings.key_file)
    return True


def _key_opens(service: Service, key_file: Path) -> bool:
    """Whether the key that was kept opens this database: it may be another's, or be restored."""
    return key_file.exists() and key_of(service.recorder, key_file.read_text().strip()) is not None


async def _serve(service: Service, settings: Settings, ready: Callable[[], None]) -> None:
    """Serves until a signal; requests under way are answered first, within DRAIN_SECONDS."""
    server = Server(create_app(service, settings.web), interface=Interfaces.ASGI, **listening(settings))
    bound_unread_answers(settings.port)
    server.workers_kill_timeout = DRAIN_SECONDS  # the embedded server takes it, only not as an argument

    def stop() -> None:
        end_within()
        server.stop()  # type: ignore[no-untyped-call]  # the library's

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    threading.Thread(target=ready, name="ready", daemon=True).start()
    try:
        await server.serve()
    except TimeoutError:
        logger.warning("Some requests did not end within %d seconds and were cut.", DRAIN_SECONDS)


def _ready(settings: Settings, made: bool, repository: Path | None) -> None:
    """Says where the service is, once it answers."""
    key = settings.key_file.read_text(encoding="ascii").strip()
    Transport(settings.url, key, patience=30.0).request("GET", "/health/ready")
    click.echo(f"PersonaKit serves at {settings.url} (its API: {settings.url}/docs)")
    click.echo(f"API key: {key if made or repository else f'in {settings.key_file}'}")
    if repository is not None:
        try:
            run_demo(settings, repository)
        except PersonaKitError as error:
            click.echo(f"The demo could not be loaded: {error}", err=True)
    click.echo("Stop with Ctrl-C.")
