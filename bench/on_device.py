"""What the SDK does without a service, beside what it is made of: SQLite, rule engine, dependencies."""

from __future__ import annotations

import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from bench.history import Observation
from personakit_sdk import PersonaKit, wire
from personakit_sdk.cache import Cache
from personakit_sdk.rules import Facts, Suggestion, compile_mapper, evaluate
from personakit_sdk.store import Store
from personakit_sdk.store_file import journal_mode

NOWHERE: Final = "http://127.0.0.1:9"
"""Where no service is; nobody asks there."""
DEPENDENCIES: Final = "import msgspec, urllib3"
SDK: Final = "from personakit_sdk import PersonaKit"
"""What an application writes; `import personakit_sdk` alone imports nothing yet."""
_TIMED: Final = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def offline_kit(store: Path, **options: Any) -> PersonaKit:
    """A client that works only when it is called."""
    return PersonaKit(NOWHERE, "pk_bench", store=store, background=False, **options)


def observe(kit: PersonaKit, observation: Observation) -> None:
    """One durable `observe()`, as an application calls it."""
    kit.observe(
        observation["personId"],
        observation["type"],
        observation["content"],
        occurred_at=datetime.fromisoformat(observation["occurredAt"]),
        source=observation["source"],
    )


def item_bytes(observation: Observation) -> bytes:
    """As many bytes as the outbox keeps of it."""
    return msgspec.json.encode(
        {
            "id": UUID(int=0),
            "kind": "observation",
            "key": observation["personId"],
            "occurredAt": observation["occurredAt"],
            "body": {name: observation[name] for name in ("type", "content", "source")},
            "schema": 1,
        }
    )


@contextmanager
def bare_sqlite(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Inserts bytes into a table that has nothing else: as durably as a store, a transaction each."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal_mode()}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE items (seq INTEGER PRIMARY KEY, item BLOB NOT NULL)")

        def insert(item: bytes) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO items (item) VALUES (?)", (item,))
            connection.execute("COMMIT")

        yield insert


def in_turn(*takes: tuple[Callable[[Any], object], Sequence[Any]]) -> list[float]:
    """How many a second each of them takes, by the median time of one. They take turns, one thing each: what
    else waits for the disk holds up all alike."""
    seconds: list[list[float]] = [[] for _ in takes]
    for turn in zip(*(given for _, given in takes), strict=True):
        for (take, _), each, spent in zip(takes, turn, seconds, strict=True):
            began = time.perf_counter()
            take(each)
            spent.append(time.perf_counter() - began)
    return [1 / statistics.median(spent) for spent in seconds]


class Bare:
    """The engine alone, over what a store has cached: plan and facts are made beforehand."""

    def __init__(self, store: Path, mapper_id: str, limit: int) -> None:
        opened = Store(store)
        with closing(opened):
            cache = Cache(opened)
            mapper = self._body(cache, "mapper", mapper_id, wire.SyncedMapper)
            personas = [self._body(cache, "persona", id_, wire.SyncedPersona) for id_ in cache.ids("persona")]
        self._plan, self._version, self._limit = compile_mapper(mapper.document), mapper.version, limit
        self._traits = {each.id: {**each.core.traits, **each.overlay} for each in personas}

    def suggest(self, persona_id: str, at: datetime) -> list[Suggestion]:
        """What the engine suggests."""
        return evaluate(
            self._plan,
            Facts(traits=self._traits[persona_id], context={}, at=at),
            persona_id=persona_id,
            mapper_version=self._version,
            limit=self._limit,
        ).suggestions

    @staticmethod
    def _body(cache: Cache, kind: Any, id_: str, shape: type[Any]) -> Any:
        _, (body,) = cache.find((kind, id_))
        if body is None:
            raise AssertionError(f"There is no {kind} {id_!r} in the cache.")
        return msgspec.json.decode(body, type=shape)


def import_seconds(statement: str, compiled: Path) -> float:
    """The processor time of a statement in a fresh interpreter. What is compiled is kept in the folder
    `compiled`, as an installation keeps it, and found there the next time, whatever the environment says."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(statement)],
        env={**environ, "PYTHONPYCACHEPREFIX": str(compiled)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
