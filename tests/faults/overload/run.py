"""One run: what the service can do, then several times that for a while, with bad clients among others."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, suppress
from multiprocessing import get_context
from uuid import UUID

import psycopg

from personakit.domain.grant import Grant
from personakit.domain.rate import Rate
from personakit.eventlog.access import create_tenant, grant_key
from personakit.eventlog.recorder import LogRecorder, open_datastore
from personakit_sdk.errors import PersonaKitError
from personakit_sdk.transport import Transport
from tests.faults.overload.nuisances import Nuisance, annoy
from tests.faults.overload.outcome import RECOVERY_SECONDS, Outcome
from tests.faults.overload.traffic import Load, send
from tests.faults.overload.watching import Health, Memory, watched
from tests.postgres import data_dir, url_of
from tests.production import ApiProcess, PostgresServer, production

CONNECTIONS = 1000
"""More than are let in at a time, and fewer than there may be: the others are for whoever else comes."""
NORMAL_SECONDS = 0.5
"""An answer in so long is a normal one."""
OBSERVATION = {"personId": "p0", "type": "note", "content": {}, "occurredAt": "2026-03-02T09:00:00Z"}


def run(
    seconds: float,
    seed: int,
    times: float = 4.0,
    capacity_seconds: float = 8.0,
    key_rate: Rate | None = None,
) -> Outcome:
    """Load of `times` the capacity for `seconds`, with a key of the usual rate or of `key_rate`. The seed
    decides what is sent."""
    with (
        data_dir() as folder,
        PostgresServer(folder) as postgres,
        production(url_of(postgres.conninfo)) as made,
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool,
    ):
        key, callers = _keys(postgres.conninfo, key_rate)
        made.start(apis=(1,), workers=1)
        (api,) = made.apis
        health, memory = Health(api.port), Memory(api.popen.pid)
        capacity = pool.submit(send, Load(api.port, key, f"{seed} capacity", capacity_seconds)).result()
        memory.look()
        usual = memory.samples[0]
        rate = times * capacity.good / capacity.seconds
        with watched(health, memory):
            annoying = pool.submit(annoy, Nuisance(api.port, key, f"{seed}", seconds))
            load = pool.submit(
                send, Load(api.port, callers, f"{seed} load", seconds, rate, CONNECTIONS)
            ).result()
            nuisances = annoying.result()
        recovery = _recovery(api, key)
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


def _keys(conninfo: str, rate: Rate | None) -> tuple[str, str]:
    """A key of the usual rate, and one of `rate` for the callers."""
    recorder = LogRecorder(open_datastore(conninfo, pool_size=1))
    with closing(recorder.datastore):
        recorder.create_table()
        create_tenant(recorder, "default", "Default")
        made = [grant_key(recorder, "default", "overload", Grant(), rate=each) for each in (None, rate)]
    return made[0].secret, made[1].secret


def _recovery(api: ApiProcess, key: str) -> float:
    """Seconds until a write is stored in NORMAL_SECONDS."""
    transport: Transport = api.transport(key, patience=0.0, timeout=5.0)
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < 10 * RECOVERY_SECONDS:
        with suppress(PersonaKitError, OSError):
            asked = time.monotonic()
            transport.request("POST", "/observations", body=OBSERVATION)
            if time.monotonic() - asked < NORMAL_SECONDS:
                return time.monotonic() - began
        time.sleep(0.02)
    return elapsed


def _lost(conninfo: str, accepted: Iterable[UUID]) -> int:
    """How many of them the log does not have."""
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT stream FROM personakit.events WHERE kind = 'observation'")
        return len(set(accepted) - {stream for (stream,) in rows})
