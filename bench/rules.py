"""The rule engine beside a plain interpreter of the same language, and beside a rule engine in Rust."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any, Final

from bench import zen_peer
from bench.catalogue import Key
from bench.figures import Figure, ratio
from bench.many_rules import UNBOUNDED, facts, instant, many_rules, nested, paths, people
from bench.processor import microseconds
from bench.workbench import Workbench
from personakit_sdk.rules import Facts, Plan, compile_mapper, evaluate
from personakit_sdk.rules.clock import period_of
from tests.unit.rules import plain_interpreter

PATHS: Final = 200
PEOPLE: Final = 200
SIZES: Final = (100, 1_000, 10_000)
_SECONDS: Final = 40.0
_SUGGESTIONS: Final = 5
_SETTING: Final = f"1,000 rules, {PATHS} paths, {PEOPLE} people"


def rules(bench: Workbench, keys: Sequence[Key]) -> list[Figure]:
    """The figures of the keys. Raises AssertionError where the three do not say the same rules."""
    asked = {key.name for key in keys}
    figures: list[Figure] = []
    if asked & {"rules_vs_interpreter", "rules_vs_zen"}:
        figures += [each for each in _beside(bench) if each.key in asked]
    for size in SIZES:
        if any(name.startswith(f"rules_{size}_") for name in asked):
            bench.say(f"{size:,} rules")
            figures += [each for each in _costs(size) if each.key in asked]
    return figures


def _beside(bench: Workbench) -> list[Figure]:
    """The engine, the interpreter and the peer in turn, over the same people."""
    over = paths(PATHS)
    document = many_rules(1_000, over)
    plan = compile_mapper(document)
    everyone = people(PEOPLE, over)
    given = [facts(values, instant(number)) for number, values in enumerate(everyone)]
    inputs = [
        {**nested(values), "clock": {"period": period_of(instant(number).hour)}}
        for number, values in enumerate(everyone)
    ]
    peer = zen_peer.expression(document)
    fired = _agreed(plan, given, inputs, peer, zen_peer.table(document))
    ours, plain, theirs = list[float](), list[float](), list[float]()
    for _ in bench.rounds("rules", 7, _SECONDS):
        ours.append(microseconds(lambda each: _decide(plan, each), given))
        theirs.append(microseconds(peer, inputs))
        plain.append(microseconds(lambda each: _interpret(plan, each), given))
    said = f"{_SETTING}, {100 * fired / 1_000 / PEOPLE:.1f} % of the rules fire"
    whole = f"the engine's whole evaluate with the texts of {_SUGGESTIONS} suggestions"
    return [
        ratio(
            "rules_vs_interpreter",
            plain,
            ours,
            f"µs an evaluation: the interpreter's conditions of all rules beside {whole}; {said}",
        ),
        ratio(
            "rules_vs_zen",
            theirs,
            ours,
            f"µs an evaluation: zen's compiled expression, true or false for a rule, beside {whole}; {said}",
        ),
    ]


def _agreed(
    plan: Plan,
    given: Sequence[Facts],
    inputs: Sequence[dict[str, Any]],
    expression: Callable[[dict[str, Any]], list[bool]],
    table: zen_peer.Fires,
) -> int:
    """How many rules fired in all; engine, interpreter and both forms of the peer name the same ones."""
    total = 0
    for one, same in zip(given, inputs, strict=True):
        ours = set(_decide(plan, one))
        held = expression(same)
        assert ours == {rule.id for rule, holds in zip(plan.rules, held, strict=True) if holds}
        assert ours == set(table(same))
        assert ours == set(plain_interpreter.fired(plan.document, one, {}))
        total += len(ours)
    return total


def _costs(size: int) -> list[Figure]:
    """What a mapper of so many rules costs: an evaluation, compiling it, keeping it."""
    over = paths(PATHS)
    document = many_rules(size, over)
    began = time.process_time()
    plan = compile_mapper(document, UNBOUNDED)
    compiled = time.process_time() - began
    given = [facts(values, instant(number)) for number, values in enumerate(people(PEOPLE, over))]
    rounds = tuple(microseconds(lambda each: _decide(plan, each), given) for _ in range(5))
    fired = statistics.mean(len(_decide(plan, each)) for each in given)
    return [
        Figure(
            f"rules_{size}_us", rounds, f"{PATHS} paths, {fired:.0f} rules fire, {_SUGGESTIONS} suggestions"
        ),
        Figure(f"rules_{size}_compile_ms", (1000 * compiled,), "from a document in memory to a plan"),
        Figure(f"rules_{size}_mib", (_kept(document),), "memory of a plan, its document included"),
    ]


def _kept(document: dict[str, Any]) -> float:
    tracemalloc.start()
    try:
        plan = compile_mapper(document, UNBOUNDED)
        size, _ = tracemalloc.get_traced_memory()
        assert plan.rules
    finally:
        tracemalloc.stop()
    return size / 2**20


def _decide(plan: Plan, given: Facts) -> list[str]:
    decision = evaluate(plan, given, persona_id="persona", mapper_version=1, limit=_SUGGESTIONS)
    return decision.fired


def _interpret(plan: Plan, given: Facts) -> None:
    for rule in plan.document["rules"]:
        plain_interpreter.holds(rule["conditions"], given)
