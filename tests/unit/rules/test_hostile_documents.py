"""Documents that were made to do harm: each is refused with a clear problem before it costs much memory.

What stops them is a count or a size and never a clock, so that nothing here is timed; a document that was
taken at its word would run into the limit that every test has.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules import Plan, compile_mapper, lint
from personakit_sdk.rules.limits import Limits
from personakit_sdk.rules.yaml import load_json, load_yaml, load_yaml_marked
from tests.unit.rules.mapper_cases import decide, facts, mapper, rule

MEBIBYTE = 2**20
HUGE = 50_000_000


def alias_bomb(levels: int) -> str:
    lines = ["l0: &l0 [x, x]"]
    lines += [f"l{n}: &l{n} [*l{n - 1}, *l{n - 1}]" for n in range(1, levels)]
    return "\n".join(lines)


def chain(length: int) -> dict[str, Any]:
    """Named conditions of which each refers to the next twice."""
    links = {f"c{n}": {"all": [{"condition": f"c{n + 1}"}] * 2} for n in range(length)}
    return links | {f"c{length}": {"time_check": {"period": "night"}}}


def ring(length: int) -> dict[str, Any]:
    return {f"c{n}": {"not": {"condition": f"c{(n + 1) % length}"}} for n in range(length)}


def nested(depth: int) -> Any:
    inner: Any = {"trait_check": {"path": "a", "operator": "exists"}}
    for _ in range(depth):
        inner = {"not": inner}
    return inner


def shared_lists() -> Any:
    shared: Any = "x"
    for _ in range(25):
        shared = [shared, shared]
    return shared


def endless() -> Any:
    itself: dict[str, Any] = {}
    itself["all"] = [itself]
    return itself


def saying(text: str) -> dict[str, Any]:
    says = {"type": "n", "title": "t", "description": text, "parameters": {"x": "a"}}
    return mapper(rule(actions=[{"generate_suggestion": says}]))


def checking(path: str) -> dict[str, Any]:
    return mapper(rule(conditions={"trait_check": {"path": path, "operator": "exists"}}))


def cost(run: Callable[[], object], problem: str) -> float:
    """The memory at its most, in bytes, that it takes to refuse with this problem."""
    tracemalloc.start()
    try:
        with pytest.raises(DocumentInvalid) as refused:
            run()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert problem in "; ".join(f"{fault.pointer} {fault.message}" for fault in refused.value.faults)
    assert max(len(fault.message) for fault in refused.value.faults) < 1000
    return most


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("[" * 250_000, "nested more than 32 levels deep", id="nested without end"),
        pytest.param("[[]," * 60_000, "nested more than 32 levels deep", id="nested and wide"),
        pytest.param("{a: " * 60_000, "nested more than 32 levels deep", id="mappings without end"),
        pytest.param("{not: " * 1000 + "1" + "}" * 1000, "nested more than 32", id="1,000 levels deep"),
        pytest.param("? " * 100_000, "a key must be a plain text", id="keys without end"),
        pytest.param("- " * 100_000, "nested more than 32 levels deep", id="lists without end"),
        pytest.param(alias_bomb(30), "it is larger than", id="aliases of aliases"),
        pytest.param("a: &a 1\nb: [" + "*a," * 70 + "]", "more than 64 aliases", id="many aliases"),
        pytest.param("a: &a [*a]", "names nothing that stands before it", id="an alias of itself"),
        pytest.param("rules:\n" + "- {}\n" * 10_000, "has more than 4096 entries", id="10,000 rules"),
        pytest.param(
            "{" + "".join(f"k{n}: 1," for n in range(20_000)), "more than 4096 entries", id="20,000 keys"
        ),
        pytest.param("x" * 300_000, "larger than 262144 bytes", id="too large"),
        pytest.param('"' + "\\" * 200_001, "line 1, column", id="backslashes"),
        pytest.param("a: 1\n" * 2, "the key 'a' stands twice", id="a key twice"),
        pytest.param("!!python/object/apply:os.system [ls]", "is not taken", id="a tag"),
        pytest.param("a: .nan", "nan is not a number", id="NaN"),
        pytest.param('a: "\\ud800"', "half of a surrogate pair", id="half a surrogate pair"),
    ],
)
def test_a_hostile_text_is_refused(text: str, problem: str) -> None:
    for load in (load_yaml, load_yaml_marked):
        assert cost(lambda load=load: load(text), problem) < 32 * MEBIBYTE


def test_a_text_of_many_keys_and_values_is_refused_at_the_first_beyond() -> None:
    limits = Limits(values=5)  # a list of four numbers has five values
    assert load_yaml("[1, 2, 3, 4]", limits) == [1, 2, 3, 4]
    for text in ("[1, 2, 3, 4, 5]", "{a: 1, b: 2, c: 3}", "[" + "1," * 100_000):
        assert cost(lambda text=text: load_yaml(text, limits), "more than 5 keys and values") < MEBIBYTE * 4


@pytest.mark.parametrize("load", [load_yaml, load_json])
def test_a_text_of_50_mb_is_refused_before_it_is_read(load: Callable[[str | bytes], Any]) -> None:
    for text in ("x" * HUGE, b"x" * HUGE):
        assert cost(lambda text=text: load(text), "larger than 262144 bytes") < MEBIBYTE


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        pytest.param(mapper(rule(conditions=nested(1000))), "nested more than 32 levels", id="1,000 deep"),
        pytest.param(mapper(rule(conditions=nested(12))), "13 levels deep; at most 8", id="13 levels deep"),
        pytest.param(mapper(rule(conditions=endless())), "nested more than 32 levels", id="without end"),
        pytest.param(mapper(rule(), conditions=chain(3000)), "levels deep; at most 8", id="a long chain"),
        pytest.param(mapper(rule(), conditions=ring(3000)), "it refers to itself", id="a large ring"),
        pytest.param(mapper(rule(), surplus=shared_lists()), "it is larger than", id="2^25 shared texts"),
        pytest.param({f"k{n}": n for n in range(20_000)}, "is not known", id="20,000 unknown keys"),
        pytest.param(mapper(*[{"id": "x" * 50}] * 2000), "is missing", id="2,000 faulty rules"),
        pytest.param(
            mapper(*[{"id": f"r{n}", "conditions": 1, "actions": 1} for n in range(10_000)]),
            "it has 10000 entries; at most 2000 are taken",
            id="10,000 rules",
        ),
        pytest.param(mapper(rule(**{"k" * 100_000: 1})), "is not known", id="a very long unknown key"),
        pytest.param(checking("." * 200_000), "it is longer than 1024 bytes", id="a path of 200,000 dots"),
        pytest.param(
            mapper(rule(), tests=[{"name": "t", "given": {"traits": {"." * 200_000: 1}}, "expect": {}}]),
            "empty",
            id="a path of 200,000 dots in a test",
        ),
        pytest.param(mapper(rule(description=float("nan"))), "nan is not a number", id="NaN"),
        pytest.param(mapper(rule(description="\ud800")), "half of a surrogate pair", id="half a pair"),
        pytest.param(mapper(rule(description={1: 2})), "the key 1 is not a text", id="a number as a key"),
        pytest.param(mapper(rule(description={1, 2})), "a set is not a JSON value", id="a set"),
        pytest.param(mapper(rule(priority=10**30)), "-2^63 and 2^63 - 1", id="a very large number"),
        pytest.param(saying("{x.__class__.__mro__}"), "is no {name}", id="an attribute in a template"),
        pytest.param(saying("{x[0]}"), "is no {name}", id="an index in a template"),
        pytest.param(saying("{x!r:>999999999}"), "is no {name}", id="a format in a template"),
        pytest.param(saying("{{{x}}"), "is no {name}", id="a brace too many"),
    ],
)
def test_a_hostile_document_is_refused(document: Any, problem: str) -> None:
    assert cost(lambda: compile_mapper(document), problem) < 64 * MEBIBYTE


@pytest.mark.parametrize("key", ["description", "x" * 10])
def test_a_document_with_a_text_of_50_mb_is_refused_before_it_is_copied(key: str) -> None:
    document = mapper(rule(**{key: "x" * HUGE}))
    assert cost(lambda: compile_mapper(document), "it is larger than") < MEBIBYTE


def largest() -> list[Plan]:
    """The largest mappers that are taken: many rules, many constants at one path, many references."""
    words = iter(range(1_000_000))
    lists = [
        {"trait_check": {"path": "a", "operator": "in", "value": [f"{next(words):x}" for _ in range(250)]}}
        for _ in range(100)
    ]
    shared = {
        f"c{n}": {"all": [{"trait_check": {"path": f"a{n}", "operator": "exists"}}] * 60} for n in range(60)
    }
    every = {"all": [{"condition": name} for name in shared]}
    return [
        compile_mapper(mapper(*[rule(f"r{n}", description="x" * 20) for n in range(2000)])),
        compile_mapper(mapper(*[rule(f"r{n}", conditions=each) for n, each in enumerate(lists)])),
        compile_mapper(mapper(*[rule(f"r{n}", conditions=every) for n in range(100)], conditions=shared)),
    ]


def test_the_largest_mappers_that_are_taken_cost_little_memory() -> None:
    tracemalloc.start()
    try:
        plans = largest()
        for plan in plans:
            decide(plan, facts({"a": "1f", "go": 1}))
            lint(plan)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 64 * MEBIBYTE


def test_what_a_value_brings_along_steers_no_terminal_and_disguises_nothing() -> None:
    plan = compile_mapper(
        mapper(
            rule(
                actions=[
                    {
                        "generate_suggestion": {
                            "type": "n",
                            "title": "t",
                            "description": "Hello {x}.",
                            "parameters": {"x": {"from_trait": "a"}},
                        }
                    }
                ]
            )
        )
    )
    (made,) = decide(plan, facts({"go": 1, "a": "\x1b[31mred\u202eder\x00\u2066"})).suggestions
    assert made.description == "Hello [31mredder."
