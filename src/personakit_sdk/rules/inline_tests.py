"""Runs the tests that a mapper brings along."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import msgspec

from personakit_sdk.rules.evaluate import Decision, Suggestion, evaluate
from personakit_sdk.rules.facts import Facts, TraitFact
from personakit_sdk.rules.operators import instant, same
from personakit_sdk.rules.plain import is_object
from personakit_sdk.rules.plan import Plan

DEFAULT_AT: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""The instant of a test that gives none, in `at` or `context.current_time`: a Monday, noon in UTC."""


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one test gave; `detail` says what was expected and what came, and is empty when it passed."""

    __test__: ClassVar[bool] = False  # pytest would take the class for a test by its name

    name: str
    passed: bool
    detail: str


def run_tests(plan: Plan) -> list[TestResult]:
    """Every test of the mapper, in the author's order."""
    return [_run(plan, case) for case in plan.document["tests"]]


def decide_case(plan: Plan, given: dict[str, Any]) -> Decision:
    """What the mapper decides on what a test gives; its traits are certain, and nothing is cut."""
    traits = {path: TraitFact(value=value) for path, value in given.get("traits", {}).items()}
    context: dict[str, Any] = dict(given.get("context", {}))
    if "timezone" in given:
        context["timezone"] = given["timezone"]
    at = instant(given.get("at", context.get("current_time"))) or DEFAULT_AT
    return evaluate(
        plan,
        Facts(traits=traits, context=context, at=at),
        persona_id="test",
        mapper_version=1,
        limit=sum(len(rule.suggestions) for rule in plan.rules),
        learned=given.get("learned", {}),
    )


def _run(plan: Plan, case: dict[str, Any]) -> TestResult:
    decision = decide_case(plan, case["given"])
    detail = "; ".join(_differences(case["expect"], decision))
    return TestResult(name=case["name"], passed=not detail, detail=detail)


def _differences(expect: dict[str, Any], decision: Decision) -> Iterator[str]:
    if decision.fired != expect["rules"]:
        yield f"expected the rules {_list(expect['rules'])}, got {_list(decision.fired)}"
    if "suggestions" not in expect:
        return
    wanted = expect["suggestions"]
    if len(wanted) != len(decision.suggestions):
        yield f"expected {len(wanted)} suggestions, got {len(decision.suggestions)}"
    for number, (keys, made) in enumerate(zip(wanted, decision.suggestions, strict=False), start=1):
        for difference in _suggestion_differences(keys, made):
            yield f"suggestion {number}: {difference}"


def _suggestion_differences(wanted: dict[str, Any], made: Suggestion) -> Iterator[str]:
    """Only the keys that are given count, in `parameters` and `metadata` too."""
    got: dict[str, Any] = {name: getattr(made, name) for name in wanted}
    for key, value in wanted.items():
        if not matches(value, got[key]):
            yield f"expected {key} {value!r}, got {got[key]!r}"


def matches(wanted: Any, got: Any) -> bool:
    """Whether a value is the one that is wanted; of an object only the keys that are given count."""
    if is_object(wanted) and is_object(got):
        return all(key in got and matches(value, got[key]) for key, value in wanted.items())
    return same(wanted, got)


def _list(rules: list[str]) -> str:
    return f"[{', '.join(rules)}]"
