"""`personakit worker`: the agents in a process of their own."""

from __future__ import annotations

import signal
import threading

import click

from personakit.agents.service import Service
from personakit.cli.database import await_logins
from personakit.cli.ending import end_within
from personakit.cli.options import with_settings
from personakit.config import Settings, production
from personakit.eventlog.roles import logins_in
from personakit.log_lines import begin_logging
from personakit.master_key import master_key


@click.command()
@with_settings
def worker(settings: Settings) -> None:
    """Do the work behind `personakit api` until SIGTERM: follow the log, derive mindscapes, make cores.

    Any number of workers share it. Needs PERSONAKIT_DATABASE_URL and PERSONAKIT_REDIS_URL. On SIGTERM
    what is under way is ended first, within 10 seconds.
    """
    begin_logging()
    database_url, redis_url = production(settings)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    await_logins(settings, database_url)
    with Service(
        logins_in(settings, database_url),
        master_key(settings),
        redis_url,
        settings.model,
        settings.journal,
        settings.audit_days,
    ):
        click.echo("The worker is at work. Stop with Ctrl-C.")
        stopping.wait()
        end_within()
