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
from personakit.cli.listening import CONNECTIONS, refuse_taken_port
from personakit.cli.options import with_settings
from personakit.config import Settings, production
from personakit.eventlog.recorder import make_log
from personakit.eventlog.roles import logins_in
from personakit.log_lines import begin_logging
from personakit.master_key import master_key


@click.command()
@with_settings
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="How many processes."
)
def api(settings: Settings, workers: int) -> None:
    """Serve the HTTP API until SIGTERM, in processes that record and answer.

    The work is done by `personakit worker`. Needs PERSONAKIT_DATABASE_URL and PERSONAKIT_REDIS_URL. On
    SIGTERM what is under way is answered first, within 40 seconds.
    """
    begin_logging()
    database_url, _ = production(settings)
    refuse_taken_port(settings)
    # Refused here, in one sentence, rather than in each process.
    master_key(settings)
    await_logins(settings, database_url)
    make_log(logins_in(settings, database_url))
    with _counting_together(workers):
        Server(
            "personakit.api.production:create",
            factory=True,
            address=settings.host,
            port=settings.port,
            workers=workers,
            backpressure=CONNECTIONS,
            interface=Interfaces.ASGI,
            websockets=False,
            log_enabled=False,
            respawn_failed_workers=True,
            workers_kill_timeout=DRAIN_SECONDS,
        ).serve()


@contextmanager
def _counting_together(workers: int) -> Iterator[None]:
    """Gives several processes a folder to count their metrics in: one port answers for all of them."""
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="personakit-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder
        yield
