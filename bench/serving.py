"""The service under test as real processes, in the topologies that are measured, each with an API key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Final, Literal

import msgspec

from bench.database import Database
from personakit.cli.database import FIRST_TENANT
from personakit.eventlog.access import create_key, create_tenant
from personakit.eventlog.recorder import LogRecorder, open_datastore
from tests.processes import COMMAND, Installation, installation

PROCESSES: Final = os.cpu_count() or 1
"""As many of the API as there are cores, which is how it is meant to be run; of the empty handler and of the
peer as many."""
ALONE: Final = f"`personakit api --workers {PROCESSES}` without a worker"
"""Says so in a note."""
WORKERS: Final = 1
Topology = Literal["api", "one", "split"]
"""`api`: `personakit api` in PROCESSES processes without a worker, so that agents and followers rest; `one`:
`personakit up`, all in one process; `split`: `personakit api` and WORKERS of
`personakit worker` over Redis."""


class Served(msgspec.Struct, frozen=True):
    """Where the service answers, and the key that opens it."""

    port: int
    key: str


@contextmanager
def serve(data_dir: Path, database: Database, topology: Topology, redis_url: str | None) -> Iterator[Served]:
    """Runs the service over `database` until the block ends."""
    key = _write_key(data_dir, database)
    redis = {"PERSONAKIT_REDIS_URL": redis_url} if redis_url else {}
    with installation(data_dir, **database.environ, **redis) as installed:
        api = ("api", "--workers", str(PROCESSES if topology == "api" else 1))
        installed.start((*COMMAND, *(("up",) if topology == "one" else api)))
        with _workers(installed) if topology == "split" else nullcontext():
            yield Served(installed.port, key)


@contextmanager
def _workers(installed: Installation) -> Iterator[None]:
    processes = [installed.begin("worker") for _ in range(WORKERS)]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=30)


def _write_key(data_dir: Path, database: Database) -> str:
    """Makes the tenant and a key, and leaves the key where the service keeps its first one."""
    recorder = LogRecorder(open_datastore(database.conninfo, pool_size=1))
    with closing(recorder.datastore):
        recorder.create_table()
        create_tenant(recorder, FIRST_TENANT, "The first tenant")
        key = create_key(recorder, FIRST_TENANT, "for the bench")
    (data_dir / "api-key").write_text(f"{key}\n", encoding="ascii")
    return key
