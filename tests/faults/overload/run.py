"""One run: what the service can do, then several times that for a while, with bad clients among others."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from uuid import UUID

import psycopg

from personakit.eventlog.access import create_key, create_tenant
from personakit.eventlog.recorder import LogRecorder, open_datastore
from tests.faults.overload.nuisances import Nuisance, annoy
from tests.faults.overload.outcome import RECOVERY_SECONDS, Outcome
from tests.faults.overload.traffic import Load, send
from tests.faults.overload.watching import NORMAL_SECONDS, Health, Memory, Writes, watched
from tests.postgres import data_dir, url_of
from tests.production import PostgresServer, production

CONNECTIONS = 1000
"""More than are let in at a time, and fewer than there may be: the others are for whoever else comes."""
MOST_RECOVERY_SECONDS = 20.0


def run(seconds: float, seed: int, times: float = 4.0, capacity_seconds: float = 8.0) -> Outcome:
    """Load of `times` the capacity for `seconds`. The seed decides what is sent."""
    with (
        data_dir() as folder,
        PostgresServer(folder) as postgres,
        production(url_of(postgres.conninfo)) as made,
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool,
    ):
        key = _key(postgres.conninfo)
        made.start(apis=(1,), workers=1)
        (api,) = made.apis
        health, memory = Health(api.port), Memory(api.popen.pid)
        writes = Writes(api.transport(key, patience=0.0, timeout=NORMAL_SECONDS))
        capacity = pool.submit(send, Load(api.port, key, f"{seed} capacity", capacity_seconds)).result()
        memory.look()
        usual = memory.samples[0]
        rate = times * capacity.good / capacity.seconds
        with watched(health, writes, memory):
            annoying = pool.submit(annoy, Nuisance(api.port, key, f"{seed}", seconds + RECOVERY_SECONDS))
            load = pool.submit(send, Load(api.port, key, f"{seed} load", seconds, rate, CONNECTIONS)).result()
            recovery = writes.normal_after(load.ended, MOST_RECOVERY_SECONDS)
            nuisances = annoying.result()
        lost = _lost(postgres.conninfo, [*capacity.accepted, *load.accepted])
        code = api.stop()
    return Outcome(
        seed=seed,
        times=times,
        capacity=capacity,
        load=load,
        nuisances=nuisances,
        health=health,
        memory=memory,
        usual_memory=usual,
        lost=lost,
        recovery=recovery,
        exit_code=code,
    )


def _key(conninfo: str) -> str:
    recorder = LogRecorder(open_datastore(conninfo, pool_size=1))
    with closing(recorder.datastore):
        recorder.create_table()
        create_tenant(recorder, "default", "Default")
        return create_key(recorder, "default", "overload")


def _lost(conninfo: str, accepted: Iterable[UUID]) -> int:
    """How many of them the log does not have."""
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT stream FROM personakit.events WHERE kind = 'observation'")
        return len(set(accepted) - {stream for (stream,) in rows})
