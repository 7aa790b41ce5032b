"""Whether a document may become a version of a mapper: it runs, and its own tests pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personakit.domain.inline_tests import faults_of_tests
from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules import compile_mapper, run_tests
from personakit_sdk.rules.plan import Plan


def accept(document: Mapping[str, Any]) -> Plan:
    """The plan of a document. Raises DocumentInvalid for one that would not run, or whose own tests fail."""
    plan = compile_mapper(document)
    failed = faults_of_tests(run_tests(plan))
    if failed:
        raise DocumentInvalid("mapper", failed)
    return plan
