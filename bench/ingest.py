"""Batches in: alone, and with everything on. The limit is COPY of the same rows."""

from __future__ import annotations

from collections.abc import Sequence

from bench.catalogue import Key
from bench.copy_limit import OBSERVATIONS, beside, copy_limit, rates
from bench.database import Database
from bench.exchange import request
from bench.figures import Figure, ratio
from bench.history import Observation, batches, history, people, with_ids
from bench.serving import ALONE, Served
from bench.workbench import Workbench

ROUNDS = 3
INGEST_SECONDS = 60
SUSTAINED_SECONDS = 90
PEOPLE = 1000
EACH = 100
INGESTED = 40_000
CONNECTIONS = 4


def batch_requests(served: Served, observations: Sequence[Observation]) -> list[bytes]:
    """The requests that bring the observations in, 500 at a time."""
    bodies = batches(observations)
    return [request("POST", "/observations/batch", key=served.key, body=body) for body in bodies]


def register(bench: Workbench, served: Served, person_ids: Sequence[str]) -> None:
    """Makes people known, by one observation each, so that what is measured afterwards is observations."""
    first = with_ids(history(person_ids, 1, seed=2), seed=900)
    bench.generator.send(served.port, batch_requests(served, first), 1)


def ingest(bench: Workbench, _: Sequence[Key]) -> list[Figure]:
    """`ingest_batch_vs_copy`."""
    observations = history(people(PEOPLE), INGESTED // PEOPLE)
    measured, limits = [], []
    for number in bench.rounds("ingest", ROUNDS, INGEST_SECONDS):
        database = bench.database()
        with bench.serving(database, "api") as served:
            register(bench, served, people(PEOPLE))
            after = database.head()
            requests = batch_requests(served, with_ids(observations, number))
            database.checkpoint()
            load = bench.generator.send(served.port, requests, CONNECTIONS)
        _require(database, after, len(observations))
        measured.append(len(observations) / load.seconds)
        limits.append(copy_limit(database, OBSERVATIONS, after))
    note = (
        f"observations/s of {INGESTED:,} by POST /observations/batch, 500 a request over {CONNECTIONS} "
        f"connections, {PEOPLE:,} people known before, ids like UUIDv7, {ALONE}; "
        f"rows/s by COPY ({beside(limits)})"
    )
    return [ratio("ingest_batch_vs_copy", measured, rates(limits), note)]


def sustained(bench: Workbench) -> tuple[list[Figure], Database]:
    """`sustained_vs_copy`, and the database of the last round."""
    observations = history(people(PEOPLE), EACH)
    measured, limits = [], []
    for number in bench.rounds("sustained", ROUNDS, SUSTAINED_SECONDS):
        database = bench.database()
        measured.append(sustain(bench, database, with_ids(observations, number)))
        limits.append(copy_limit(database, OBSERVATIONS))
        bench.say(f"sustained: {measured[-1]:,.0f} observations/s, {database.head():,} events")
    note = (
        f"observations/s of {PEOPLE:,} people, {EACH} each, interleaved, 500 a request over {CONNECTIONS} "
        f"connections, from the first request until all read models are at the head of the log and no "
        f"derivation is due, topology {bench.topology!r}; rows/s by COPY of the observations alone "
        f"({beside(limits)})"
    )
    return [ratio("sustained_vs_copy", measured, rates(limits), note)], database


def sustain(bench: Workbench, database: Database, observations: Sequence[Observation]) -> float:
    """Observations a second until all that follows from them is visible."""
    with bench.serving(database, bench.topology) as served:
        requests = batch_requests(served, observations)
        database.checkpoint()
        load = bench.generator.send(served.port, requests, CONNECTIONS)
        seconds = database.wait_until_caught_up() - load.began
    _require(database, 0, len(observations))
    return len(observations) / seconds


def _require(database: Database, after: int, count: int) -> None:
    """Every observation that was sent stands in the log."""
    with database.connect() as connection:
        query = "SELECT count(*) FROM personakit.events WHERE topic LIKE 'Observation%%' AND position > %s"
        found = connection.execute(query, [after]).fetchone()
    if found != (count,):
        raise AssertionError(f"{found} of {count} observations stand in the log.")
