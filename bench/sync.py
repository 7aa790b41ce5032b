"""What a diff of ten costs among 100,000 personas beside one among 1,000, both on the one server."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from bench.catalogue import Key
from bench.database import Database
from bench.exchange import Connection, request
from bench.figures import Figure, ratio
from bench.grown import follow, quiet
from bench.history import history, people, with_ids
from bench.serving import ALONE, Served
from bench.workbench import Workbench
from personakit.cli.database import FIRST_TENANT
from personakit_sdk.wire import Observation

FEW, MANY = 1_000, 100_000
CHANGED: Final = 10
ROUNDS: Final = 7
BUDGET_SECONDS: Final = 60
CONNECTIONS: Final = 4
SECONDS: Final = 1.5
CHUNK: Final = 500
EACH: Final = 30
A_LITTLE_AHEAD: Final = timedelta(minutes=2)
"""Counts as now: nothing that is there is told."""


def syncs(bench: Workbench, _: Sequence[Key]) -> list[Figure]:
    """`sync_growth`."""
    sizes = {FEW: bench.database(), MANY: bench.database()}
    for size, database in sizes.items():
        bench.say(f"sync: making {size:,} people")
        _fill(database, size)
    with ExitStack() as stack:
        asked = [_asked(stack.enter_context(bench.serving(each)), each) for each in sizes.values()]
        latencies: list[list[float]] = [[], []]
        for _round in bench.rounds("sync", ROUNDS + 1, BUDGET_SECONDS):
            for (served, diff), found in zip(asked, latencies, strict=True):
                load = bench.generator.repeat(served.port, [diff], CONNECTIONS, SECONDS)
                found.append(load.p50_ms)
    few, many = (found[1:] for found in latencies)  # the first round warms up
    note = (
        f"median latency in ms of a diff of {CHANGED} personas over {CONNECTIONS} kept connections, {ALONE}, "
        f"among {MANY:,} personas; among {FEW:,}"
    )
    return [ratio("sync_growth", many, few, note)]


def _fill(database: Database, size: int) -> None:
    """Everybody is observed once, and those who are to change have a history; all are in every read model."""
    names = people(size)
    observations = history(names, 1) + history(names[:CHANGED], EACH, seed=2)
    sent = msgspec.convert(with_ids(observations, 9000), list[Observation])
    with quiet(database) as service:
        for start in range(0, len(sent), CHUNK):
            service.intake.record(FIRST_TENANT, sent[start : start + CHUNK])
    follow(database)


def _asked(served: Served, database: Database) -> tuple[Served, bytes]:
    """A request for a diff of CHANGED personas: what was there before is passed over."""
    connection = Connection(served.port)
    now = (datetime.now(UTC) + A_LITTLE_AHEAD).strftime("%Y-%m-%dT%H:%M:%SZ")
    cursor = connection.ask(request("GET", f"/sync?since={now}", key=served.key))["next"]
    with quiet(database) as service:
        for person_id in people(CHANGED):
            person = service.people.find(FIRST_TENANT, person_id)
            if person is None:
                raise AssertionError(f"{person_id} was not recorded.")
            service.mindscaper.derive(FIRST_TENANT, person.surrogate)
    follow(database)
    diff = request("GET", f"/sync?since={cursor}", key=served.key)
    found = connection.ask(diff)
    if len(found["items"]) != CHANGED:
        raise AssertionError(f"The diff has {len(found['items'])} items, not {CHANGED}.")
    return served, diff
