"""The SDK: an observation kept, a persona mapped, an import, an outbox that drains into a real service."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.catalogue import Key
from bench.fifty_rules import MAPPER_ID
from bench.figures import Figure, ratio
from bench.grown import fill, follow
from bench.history import Observation, history, people
from bench.ingest import register
from bench.on_device import (
    DEPENDENCIES,
    SDK,
    Bare,
    bare_sqlite,
    import_seconds,
    in_turn,
    item_bytes,
    observe,
    offline_kit,
)
from bench.processor import microseconds
from bench.serving import ALONE, Served
from bench.workbench import Workbench
from personakit_sdk import OutboxFull, PersonaKit
from personakit_sdk.store_file import journal_mode

OBSERVED: Final = 200
OBSERVE_ROUNDS: Final = 9
MAP_ROUNDS: Final = 7
IMPORT_ROUNDS: Final = 15
DRAIN_ROUNDS: Final = 3
SECONDS: Final = 40.0
DRAIN_SECONDS: Final = 90.0
SUGGESTIONS: Final = 5
FULL: Final = 5_000
PEOPLE: Final = 100


def sdk(bench: Workbench, keys: Sequence[Key]) -> list[Figure]:
    """The figures of the keys."""
    return [MEASURES[key.name](bench) for key in keys]


def _observes(bench: Workbench) -> Figure:
    """Two files in one folder take turns."""
    folder = bench.folder()
    observations = history(people(PEOPLE), (OBSERVE_ROUNDS + 1) * OBSERVED // PEOPLE)
    ours, bare = list[float](), list[float]()
    with offline_kit(folder / "store.db") as kit, bare_sqlite(folder / "bare.db") as insert:
        for number in bench.rounds("observe", OBSERVE_ROUNDS + 1, SECONDS):
            given = observations[number * OBSERVED : (number + 1) * OBSERVED]
            items = [item_bytes(each) for each in given]
            rates = in_turn((lambda each: observe(kit, each), given), (insert, items))
            ours.append(rates[0])
            bare.append(rates[1])
    note = (
        f"observe()/s by the median time of {OBSERVED}; inserts/s of as many bytes into a bare table; "
        f"both journal_mode {journal_mode()}, synchronous FULL, a transaction each, in turn"
    )
    return ratio("observe_vs_sqlite", ours[1:], bare[1:], note)  # the first round warms up


def _maps(bench: Workbench) -> Figure:
    """What a service has is pulled into a store; then it goes on without the service."""
    store = bench.folder() / "store.db"
    database = bench.database()
    bench.say("map offline: making a history of 20,000 events")
    fill(database, [0], mapper=True)
    follow(database)
    with bench.serving(database) as served, _kit(served, store) as kit:
        kit.sync()
    bare = Bare(store, MAPPER_ID, SUGGESTIONS)
    ours, engine = list[float](), list[float]()
    with offline_kit(store) as kit:
        everyone, at = kit.personas.ids(), datetime.now(UTC)
        _require_agreement(kit, bare, everyone, at)
        for _ in bench.rounds("map offline", MAP_ROUNDS, SECONDS):
            ours.append(microseconds(lambda each: kit.map_persona(MAPPER_ID, each), everyone))
            engine.append(microseconds(lambda each: bare.suggest(each, at), everyone))
    note = (
        f"µs of processor time a map_persona() from the cache, 50 rules, {len(everyone)} personas in turn, "
        f"{SUGGESTIONS} suggestions; an evaluate() of the same"
    )
    return ratio("map_offline_vs_engine", ours, engine, note)


def _require_agreement(kit: PersonaKit, bare: Bare, persona_ids: Sequence[str], at: datetime) -> None:
    """Both suggest the same, and something."""
    made = {each: kit.map_persona(MAPPER_ID, each, at=at).suggestions for each in persona_ids}
    if made != {each: bare.suggest(each, at) for each in persona_ids} or not any(made.values()):
        raise AssertionError("The cache and the engine do not suggest the same.")


def _imports(bench: Workbench) -> Figure:
    """The first round compiles."""
    folder = bench.folder()
    ours, theirs = list[float](), list[float]()
    for _ in bench.rounds("import", IMPORT_ROUNDS + 1, SECONDS):
        ours.append(1000 * import_seconds(SDK, folder))
        theirs.append(1000 * import_seconds(DEPENDENCIES, folder))
    note = f"ms of processor time of `{SDK}` in a fresh interpreter, compiled before; of `{DEPENDENCIES}`"
    return ratio("import_vs_deps", ours[1:], theirs[1:], note)


def _drains(bench: Workbench) -> Figure:
    """The service knows everybody already; each round is of new items."""
    known = people(PEOPLE)
    observations = history(known, FULL // PEOPLE)
    with bench.serving(bench.database()) as served:
        register(bench, served, known)
        rates = [
            _drain(served, bench.folder() / "store.db", observations)
            for _ in bench.rounds("drain", DRAIN_ROUNDS, DRAIN_SECONDS)
        ]
    note = f"items/s of a full outbox of {FULL:,} by flush() into {ALONE}, {PEOPLE} people known before"
    return Figure("drain_per_s", tuple(rates), note)


def _drain(served: Served, store: Path, observations: Sequence[Observation]) -> float:
    """Items a second, from the first request until the outbox is empty."""
    with _kit(served, store, max_items=FULL) as kit:
        for each in observations:
            observe(kit, each)
        try:
            observe(kit, observations[0])
        except OutboxFull:
            pass
        else:
            raise AssertionError("The outbox was not full.")
        began = time.perf_counter()
        delivered = kit.flush(timeout=DRAIN_SECONDS)
        seconds = time.perf_counter() - began
        outbox = kit.status().outbox
    if not delivered or outbox.confirmed != len(observations):
        raise AssertionError(f"{outbox.confirmed:,} of {len(observations):,} items were delivered.")
    return len(observations) / seconds


def _kit(served: Served, store: Path, **options: int) -> PersonaKit:
    return PersonaKit(f"http://127.0.0.1:{served.port}", served.key, store=store, background=False, **options)


MEASURES: Final[Mapping[str, Callable[[Workbench], Figure]]] = {
    "observe_vs_sqlite": _observes,
    "map_offline_vs_engine": _maps,
    "import_vs_deps": _imports,
    "drain_per_s": _drains,
}
