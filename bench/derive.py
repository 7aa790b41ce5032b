"""What it costs to make traits of observations: of one person, of many, and of one who has many already."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Final

import msgspec

from bench.catalogue import Key
from bench.figures import Figure, ratio
from bench.grown import quiet
from bench.history import history, people, with_ids
from bench.workbench import Workbench
from personakit.agents.service import Service
from personakit.cli.database import FIRST_TENANT
from personakit.projections.follow import Followers
from personakit_sdk.wire import Observation

OBSERVATIONS: Final = 20_000
MANY: Final = 1000
ROUNDS: Final = 3
BUDGET_SECONDS: Final = 90
LONG, SHORT = 100_000, 100
ONES: Final = 30
"""How many times one more observation is derived in a round, of each of the two people."""
CHUNK: Final = 500


def derivations(bench: Workbench, keys: Sequence[Key]) -> list[Figure]:
    """`derive_per_s`, `derive_per_s_one` and `derive_growth`, those that are asked for."""
    measures: dict[str, Callable[[], Figure]] = {
        "derive_per_s": partial(_rate, bench, "derive_per_s", MANY),
        "derive_per_s_one": partial(_rate, bench, "derive_per_s_one", 1),
        "derive_growth": partial(_growth, bench),
    }
    return [measures[key.name]() for key in keys]


def _rate(bench: Workbench, key: str, count: int) -> Figure:
    rates = []
    for number in bench.rounds(key, ROUNDS, BUDGET_SECONDS):
        with quiet(bench.database()) as service:
            _record(service, people(count), OBSERVATIONS // count, 8000 + number)
            began = time.perf_counter()
            _derive_all(service)
            rates.append(OBSERVATIONS / (time.perf_counter() - began))
    whose = "one person" if count == 1 else f"{count:,} people"
    note = (
        f"observations/s made traits of, {OBSERVATIONS:,} of {whose} in the read model, until what was "
        "derived is in every read model and nobody is due, in one process"
    )
    return Figure(key, tuple(rates), note)


def _growth(bench: Workbench) -> Figure:
    """Both people in one database, by turns; a round is ONES of each, and its value that of the medians."""
    with quiet(bench.database()) as service:
        bench.say(f"derive_growth: one person with {LONG:,} observations and one with {SHORT}")
        (long,), (short,) = people(1, "long"), people(1, "short")
        _record(service, [long], LONG, 8100)
        _record(service, [short], SHORT, 8101)
        _derive_all(service)
        longs, shorts = [], []
        for number in bench.rounds("derive_growth", ROUNDS + 1, BUDGET_SECONDS):
            more = history([long, short], ONES, 8200 + number)
            taken = {long: list[float](), short: list[float]()}
            for sent in with_ids(more, 8300 + number):
                taken[sent["personId"]].append(_one_more(service, sent))
            longs.append(1000 * median(taken[long]))
            shorts.append(1000 * median(taken[short]))
    note = (
        "median ms from one observation in the read model to read models that have what was derived of it, "
        f"of somebody with {LONG:,}; with {SHORT}"
    )
    return ratio("derive_growth", longs[1:], shorts[1:], note)  # the first round warms up


def _one_more(service: Service, sent: dict[str, object]) -> float:
    """The seconds from an observation that the read model has to traits that are read."""
    observation = msgspec.convert(sent, Observation)
    service.intake.record(FIRST_TENANT, [observation])
    _follow(service)
    person = service.people.find(FIRST_TENANT, observation.person_id)
    if person is None:
        raise LookupError(f"{observation.person_id} is not there.")
    began = time.perf_counter()
    service.mindscaper.derive(FIRST_TENANT, person.surrogate)
    _follow(service)
    return time.perf_counter() - began


def _record(service: Service, person_ids: Sequence[str], each: int, seed: int) -> None:
    """Records a history, and lets the read models take it."""
    observations = msgspec.convert(with_ids(history(person_ids, each, seed), seed), list[Observation])
    for start in range(0, len(observations), CHUNK):
        service.intake.record(FIRST_TENANT, observations[start : start + CHUNK])
    _follow(service)


def _derive_all(service: Service) -> None:
    """As the agents do it, until nobody is due."""
    while buckets := _due(service):
        for bucket in buckets:
            service.mindscaper.derive_due(bucket)
        _follow(service)


def _due(service: Service) -> list[int]:
    with service.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("derivation_due.due_buckets", **service.rules.asked(snapshot))
    return [row["bucket"] for row in rows]


def _follow(service: Service) -> None:
    Followers(service.pool, service.projections.values(), service.keys).catch_up()
