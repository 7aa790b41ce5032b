"""Whether a document may become a version of a mapper: it runs, and its own tests pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from personakit_sdk.errors import DocumentInvalid, Fault
from personakit_sdk.rules import TestResult, compile_mapper, run_tests
from personakit_sdk.rules.plan import Plan


def accept(document: Mapping[str, Any]) -> Plan:
    """The plan of a document. Raises DocumentInvalid for one that would not run, or whose own tests fail."""
    plan = compile_mapper(document)
    failed = faults_of_tests(run_tests(plan))
    if failed:
        raise DocumentInvalid("mapper", failed)
    return plan


def faults_of_tests(results: Iterable[TestResult]) -> tuple[Fault, ...]:
    """A fault for each test that failed, at its place in the document."""
    return tuple(
        Fault(f"/tests/{index}", f"its test {test.name!r} fails: {test.detail}")
        for index, test in enumerate(results)
        if not test.passed
    )
