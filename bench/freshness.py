"""How soon what was accepted shows: from the 201 of an observation to `isStale` of the persona's core."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bench.catalogue import Key
from bench.database import Database
from bench.exchange import Connection, request
from bench.figures import Figure, percentile
from bench.history import history, people, uuid7s, with_ids
from bench.ingest import batch_requests
from bench.requests import post_requests
from bench.serving import Served
from bench.workbench import Workbench

T = TypeVar("T")
Timed = list[tuple[float, T]]
"""What is to be done at which instant of `time.monotonic()`."""

ROUNDS = 3
BUDGET_SECONDS = 60
SECONDS = 10
RATE = 200
PROBES_A_SECOND = 10
SENDERS = 4
POLL_SECONDS = 0.02
"""How often a probe is asked for at first; later at each tenth of the time that it has taken so far, so that
asking is never what keeps the service busy."""
PATIENCE_SECONDS = 30.0
OTHERS = 190
PROBED = SECONDS * PROBES_A_SECOND


class NeverSeen(Exception):
    """A state that should come has not come."""


def freshness(bench: Workbench, keys: Sequence[Key]) -> list[Figure]:
    """`freshness_p99_ms` and `freshness_redis_p99_ms`, those that are asked for."""
    return [_measure(bench, key.name, over_redis="redis" in key.name) for key in keys]


def _measure(bench: Workbench, key: str, *, over_redis: bool) -> Figure:
    where = "Redis" if over_redis else "the in-process broker"
    redis_url = bench.redis_url if over_redis else None
    rounds: list[list[float]] = []
    for number in bench.rounds(f"freshness over {where}", ROUNDS, BUDGET_SECONDS):
        database = bench.database()
        with bench.serving(database, "one", redis_url) as served:
            rounds.append(_round(bench, served, database, number))
    usual = percentile([percentile(seen, 50) for seen in rounds], 50)
    note = (
        f"median {usual:.0f} ms: from the 201 to isStale in GET /personas/{{id}}, of"
        f" {PROBED} personas with a fresh core, each once a round, at "
        f"{RATE} observations/s over {where}, personakit up"
    )
    return Figure(key, tuple(percentile(seen, 99) for seen in rounds), note)


def _round(bench: Workbench, served: Served, database: Database, number: int) -> list[float]:
    """The milliseconds until each probe showed."""
    probed = people(PROBED, "probe")
    seeds = with_ids(history([*probed, *people(OTHERS)], 4), 7000 + number)
    bench.generator.send(served.port, batch_requests(served, seeds), 1)
    database.wait_until_caught_up()
    _freshen(served, probed)
    sent_a_second = RATE - PROBES_A_SECOND
    others = with_ids(history(people(OTHERS), SECONDS * sent_a_second // OTHERS), 7100 + number)
    probes = _timed(_probes(served, probed, 7200 + number), PROBES_A_SECOND)
    sent = _timed(post_requests(served.key, others), sent_a_second)
    with ThreadPoolExecutor(SENDERS + PROBED) as threads:
        sending = [threads.submit(_send, served.port, sent[lane::SENDERS]) for lane in range(SENDERS)]
        probing = [threads.submit(_probe, served, *probe) for probe in probes]  # none waits for another
        for lane in sending:
            lane.result()
        return [probe.result() for probe in probing]


def _timed(items: Iterable[T], rate: float) -> Timed[T]:
    """`rate` items a second, from a moment from now on."""
    began = time.monotonic() + 0.2
    return [(began + number / rate, item) for number, item in enumerate(items)]


def _freshen(served: Served, person_ids: Sequence[str]) -> None:
    """Gives each persona a core that is not stale."""
    connection = Connection(served.port)
    for person in person_ids:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (persona := connection.ask(_persona(served, person)))["coreVersion"] == 0:
            _wait(deadline, f"The persona of {person} has no core.")
        if persona["isStale"]:
            connection.ask(request("POST", f"/personas/{person}/regenerate", key=served.key, body=b""))
    connection.close()


def _probes(served: Served, person_ids: Sequence[str], seed: int) -> list[tuple[str, bytes]]:
    """For each person an observation that changes their mindscape materially: one large commit."""
    ids = uuid7s(seed)
    content = {"sha": "0" * 40, "merge": False, "lines_changed": 4000, "languages": ["Haskell"]}
    commit = {"type": "code_commit", "occurredAt": "2026-03-10T10:00:00+01:00", "content": content}
    observations = [{"id": str(next(ids)), "personId": person, **commit} for person in person_ids]
    return list(zip(person_ids, post_requests(served.key, observations), strict=True))


def _send(port: int, timed: Timed[bytes]) -> None:
    connection = Connection(port)
    for at, sent in timed:
        _sleep_until(at)
        connection.ask(sent)
    connection.close()


def _probe(served: Served, at: float, probe: tuple[str, bytes]) -> float:
    """Records, then asks until it shows; the milliseconds between the two answers."""
    person, sent = probe
    connection = Connection(served.port)
    _sleep_until(at)
    connection.ask(sent)
    accepted = time.monotonic()
    while not connection.ask(_persona(served, person))["isStale"]:
        _wait(accepted + PATIENCE_SECONDS, f"What was recorded of {person} does not show.")
        time.sleep((time.monotonic() - accepted) / 10)
    connection.close()
    return (time.monotonic() - accepted) * 1000


def _persona(served: Served, person: str) -> bytes:
    return request("GET", f"/personas/{person}", key=served.key)


def _sleep_until(at: float) -> None:
    time.sleep(max(0.0, at - time.monotonic()))


def _wait(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise NeverSeen(f"{what} {PATIENCE_SECONDS:g} seconds have gone by.")
    time.sleep(POLL_SECONDS)
