"""Single requests against their limit and their peer: `POST /observations` and `GET /map-persona`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import msgspec

from bench.catalogue import Key
from bench.database import Database
from bench.exchange import request
from bench.figures import Figure, ratio
from bench.grown import fill, follow, map_requests
from bench.history import Observation, history, people, with_ids
from bench.ingest import PEOPLE, register
from bench.serving import ALONE, PROCESSES
from bench.workbench import Workbench
from tests.processes import free_port

CONNECTIONS = 64
ROUNDS = 5
SECONDS = 2.0
POSTS = 6000
PEER_POSTS = 800
WARM_UP_POSTS = 1000
BUDGET_SECONDS = 90
HELLO = [request("GET", "/")]
_WHERE = f"{CONNECTIONS} kept connections"


def post_requests(key: str, observations: Sequence[Observation]) -> list[bytes]:
    """A `POST /observations` each."""
    bodies = map(msgspec.json.encode, observations)
    return [request("POST", "/observations", key=key, body=body) for body in bodies]


def posts(bench: Workbench, keys: Sequence[Key]) -> list[Figure]:
    """`post_vs_hello` and `post_vs_orm_peer`, those of the two that are asked for."""
    names = [key.name for key in keys]
    database = bench.database()
    rates: dict[str, list[float]] = {"post": [], "hello": [], "peer": []}
    with bench.serving(database) as served, hello() as hello_port, orm_peer(bench.database()) as peer_port:
        register(bench, served, people(PEOPLE))
        _warm_up(bench, {served.port: served.key, peer_port: "bench"})
        for number in bench.rounds("post", ROUNDS, BUDGET_SECONDS):
            rates["hello"].append(bench.generator.repeat(hello_port, HELLO, CONNECTIONS, SECONDS).rate)
            rates["post"].append(_post_rate(bench, served.port, served.key, POSTS, number))
            if "post_vs_orm_peer" in names:
                rates["peer"].append(_post_rate(bench, peer_port, "bench", PEER_POSTS, number))
    ours = f"durable POST /observations/s over {_WHERE}, {ALONE}"
    figures = [
        ratio("post_vs_hello", rates["post"], rates["hello"], f"{ours}; requests/s of an empty handler")
    ]
    if rates["peer"]:
        figures.append(ratio("post_vs_orm_peer", rates["post"], rates["peer"], f"{ours}; {_PEER}"))
    return [figure for figure in figures if figure.key in names]


_PEER = (
    "the same bodies into FastAPI and SQLAlchemy with their defaults (uvicorn[standard], as many workers, "
    "def handler, sync Session, pool of 5 + 10, one commit and refresh a request, API key looked up, psycopg)"
)


def maps(bench: Workbench, _: Sequence[Key]) -> list[Figure]:
    """`map_vs_hello`."""
    database = bench.database()
    bench.say("map: making a history of 20,000 events")
    fill(database, [0], mapper=True)
    follow(database)
    measured, limits = [], []
    with bench.serving(database) as served, hello() as hello_port:
        requests = map_requests(served)
        bench.generator.repeat(served.port, requests, CONNECTIONS, SECONDS)
        for _ in bench.rounds("map", ROUNDS, BUDGET_SECONDS):
            limits.append(bench.generator.repeat(hello_port, HELLO, CONNECTIONS, SECONDS).rate)
            measured.append(bench.generator.repeat(served.port, requests, CONNECTIONS, SECONDS).rate)
    note = (
        f"GET /map-persona/s over {_WHERE}, 50 rules, {len(requests)} personas in turn, each with a cached "
        f"core, {ALONE}; requests/s of an empty handler"
    )
    return [ratio("map_vs_hello", measured, limits, note)]


@contextmanager
def hello() -> Iterator[int]:
    """The port of an empty handler, in a process of its own on the server that serves the API."""
    port = free_port()
    with _process([sys.executable, "-m", "bench.hello", str(port)], {}, port):
        yield port


@contextmanager
def orm_peer(database: Database) -> Iterator[int]:
    """The port of the peer."""
    port = free_port()
    environ = {"BENCH_PEER_URL": database.sqlalchemy_url}
    prepare = "from bench.orm_peer import prepare; prepare('bench')"
    subprocess.run([sys.executable, "-c", prepare], env={**os.environ, **environ}, check=True)
    command = [sys.executable, "-m", "uvicorn", "bench.orm_peer:app", "--port", str(port)]
    options = ["--workers", str(PROCESSES), "--log-level", "warning"]
    with _process([*command, *options], environ, port):
        yield port


@contextmanager
def _process(command: Sequence[str], environ: Mapping[str, str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, env={**os.environ, **environ})
    try:
        _until_listening(port)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _until_listening(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise TimeoutError(f"Nothing listens on port {port} yet.")


def _post_rate(bench: Workbench, port: int, key: str, count: int, number: int) -> float:
    return bench.generator.send(port, post_requests(key, _observations(count, number)), CONNECTIONS).rate


def _warm_up(bench: Workbench, servers: Mapping[int, str]) -> None:
    for port, key in servers.items():
        _post_rate(bench, port, key, WARM_UP_POSTS, 800)


def _observations(count: int, seed: int) -> list[Observation]:
    each = max(1, count // PEOPLE)
    return with_ids(history(people(count // each), each), seed + 1)
