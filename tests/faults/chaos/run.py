"""One run: a production, load on it, strikes, and then everything held against what was acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.faults.chaos import change_checks, log_checks, service_checks
from tests.faults.chaos.changer import Changer
from tests.faults.chaos.client import Client
from tests.faults.chaos.ledger import Ledger
from tests.faults.chaos.plan import Strike, strikes
from tests.faults.chaos.reader import Reader
from tests.faults.chaos.report import Outcome
from tests.faults.chaos.settled import open_models, unsettled
from tests.faults.chaos.site import Site, site
from tests.faults.chaos.writer import Writer

WRITERS, READERS, CHANGERS = 5, 2, 1
MAKERS = (*[Writer] * WRITERS, *[Reader] * READERS, *[Changer] * CHANGERS)
WARM_UP_SECONDS = 1.0
Loop = Callable[[], None]


def run(kills: int, seed: int, logs: Path | None = None) -> Outcome:
    """Kills that often, and checks. The seed decides what is killed and when, and what is sent. What the
    processes printed is left in `logs`."""
    ledger = Ledger()
    with site(ledger) as made:
        began = time.monotonic()
        try:
            with _load(made, seed, ledger):
                made.tend(WARM_UP_SECONDS)
                for strike in strikes(seed, kills):
                    _strike(made, strike)
                made.until_ready(list(made.processes))
                made.tend(WARM_UP_SECONDS)
            loaded = time.monotonic()
            found = list(_checks(made, ledger))
            made.stop()
        finally:
            _leave_logs(made, logs)
    return Outcome(
        seed=seed,
        counts=ledger.counts,
        findings=[*ledger.findings, *found],
        load_seconds=loaded - began,
        check_seconds=time.monotonic() - loaded,
    )


@contextmanager
def _load(made: Site, seed: int, ledger: Ledger) -> Iterator[None]:
    """Writers, readers and changers at work for as long as the block lasts. What one raises is raised."""
    stopping = threading.Event()
    with ThreadPoolExecutor(len(MAKERS)) as pool:
        loops = [pool.submit(loop) for loop in _loops(made, seed, stopping, ledger)]
        try:
            yield
        finally:
            stopping.set()
        _raise_any(loops)


def _loops(made: Site, seed: int, stopping: threading.Event, ledger: Ledger) -> Iterator[Loop]:
    for number, maker in enumerate(MAKERS):
        chance = Random(f"{seed} {number}")
        client = Client(made.transports(), chance, stopping, ledger)
        yield maker(f"{maker.__name__.lower()}-{number}", chance, client, ledger).run


def _raise_any(loops: Iterable[Future[None]]) -> None:
    for loop in loops:
        loop.result()


def _strike(made: Site, strike: Strike) -> None:
    made.tend(strike.pause)
    if strike.flush:
        made.flush()
    made.kill(strike.victims)
    made.tend(strike.down)
    made.restart(strike.victims)
    if strike.patient:
        made.until_ready(strike.victims)


def _checks(made: Site, ledger: Ledger) -> Iterator[str]:
    conninfo = made.postgres.conninfo
    yield from unsettled(conninfo)
    entries = ledger.entries
    with open_models(conninfo) as connection:
        yield from log_checks.in_the_log(connection, entries)
        yield from log_checks.in_order(connection)
        yield from log_checks.feedback(connection, entries)
        yield from log_checks.mappers(connection, ledger.uploads)
        yield from log_checks.claims(connection, ledger.claims)
        yield from change_checks.in_the_log(connection, ledger.changes)
        transport = made.transports()[0]
        yield from change_checks.shown(transport, ledger.changes)
        yield from service_checks.people(transport, connection, entries, ledger.marks, ledger.changes)
    yield from service_checks.projections(made.production)


def _leave_logs(made: Site, logs: Path | None) -> None:
    if logs is not None:
        logs.mkdir(parents=True, exist_ok=True)
        for name, process in made.processes.items():
            (logs / f"{name.replace(' ', '-')}.log").write_text(process.output())
