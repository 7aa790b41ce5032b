"""`personakit api`: the HTTP API in processes of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import click
from granian.constants import Interfaces
from granian.server import Server

from personakit.api.shared_counts import SHARED_FOLDER
from personakit.cli.database import await_logins
from personakit.cli.ending import DRAIN_SECONDS
from personakit.cli.listening import (
    is_remote,
    listening,
    refuse_exposure_without_keys,
    refuse_taken_port,
    refuse_unasked_exposure,
)
from personakit.cli.options import allow_remote_option, allowing_remote, with_settings
from personakit.config import Settings, production
from personakit.eventlog.recorder import LogRecorder, make_log, open_datastore
from personakit.eventlog.roles import logins_in
from personakit.log_lines import begin_logging
from personakit.master_key import master_key


@click.command()
@with_settings
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="How many processes."
)
@allow_remote_option
def api(settings: Settings, workers: int, allow_remote: bool) -> None:
    """Serve the HTTP API until SIGTERM, in processes that record and answer.

    The work is done by `personakit worker`. Needs PERSONAKIT_DATABASE_URL and PERSONAKIT_REDIS_URL. On
    SIGTERM what is under way is answered first, within 40 seconds.
    """
    begin_logging()
    settings = allowing_remote(settings, allow_remote)
    database_url, _ = production(settings)
    refuse_unasked_exposure(settings)
    refuse_taken_port(settings)
    # Refused here, in one sentence, rather than in each process.
    master_key(settings)
    await_logins(settings, database_url)
    make_log(logins_in(settings, database_url))
    _refuse_open_door(settings, database_url)
    with _counting_together(workers):
        Server(
            "personakit.api.production:create",
            factory=True,
            workers=workers,
            interface=Interfaces.ASGI,
            respawn_failed_workers=True,
            workers_kill_timeout=DRAIN_SECONDS,
            **listening(settings),
        ).serve()


def _refuse_open_door(settings: Settings, database_url: str) -> None:
    """Raises SettingInvalid where others reach the service and no key opens it."""
    if not is_remote(settings.host):
        return
    recorder = LogRecorder(open_datastore(database_url, pool_size=1))
    try:
        refuse_exposure_without_keys(settings, recorder)
    finally:
        recorder.datastore.close()


@contextmanager
def _counting_together(workers: int) -> Iterator[None]:
    """Gives several processes a folder to count their metrics in: one port answers for all of them."""
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="personakit-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder
        yield
