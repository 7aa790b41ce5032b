"""The application of one process of `personakit api`: made there from the environment, closed with it."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from multiprocessing import connection, parent_process

from litestar import Litestar

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.api.slow_readers import bound_unread_answers
from personakit.config import load_settings, production
from personakit.eventlog.roles import logins_in
from personakit.log_lines import begin_logging
from personakit.master_key import master_key

logger = logging.getLogger(__name__)


def create() -> Litestar:
    """The HTTP API over a service that records and answers; the agents are in the `worker` processes."""
    begin_logging()
    settings = load_settings(os.environ)
    database_url, redis_url = production(settings)
    service = Service(
        logins_in(settings, database_url),
        master_key(settings),
        model=settings.model,
        erasure_journal=settings.journal,
        audit_days=settings.audit_days,
    )
    service.wake_workers(redis_url)
    app = create_app(service, settings.web)
    bound_unread_answers(settings.port)
    app.on_shutdown.insert(0, service.close)  # hooks run from the last to the first: the app's own before
    # What is there now stays: a full collection need not look through all of it again under load.
    gc.collect()
    gc.freeze()
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    return app


def _end_with_parent() -> None:
    """Ends this process when the one that started it was killed, so that none is left to hold the port."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        logger.warning("The process that started this one is gone; this one ends too.")
        os.kill(os.getpid(), signal.SIGTERM)
