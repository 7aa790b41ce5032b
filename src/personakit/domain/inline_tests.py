"""The tests that a document brings along, of whichever kind it is: one that fails refuses it."""

from __future__ import annotations

from collections.abc import Iterable

from personakit_sdk.errors import Fault
from personakit_sdk.rules import TestResult


def faults_of_tests(results: Iterable[TestResult]) -> tuple[Fault, ...]:
    """A fault for each test that failed, at its place in the document."""
    return tuple(
        Fault(f"/tests/{index}", f"its test {test.name!r} fails: {test.detail}")
        for index, test in enumerate(results)
        if not test.passed
    )
