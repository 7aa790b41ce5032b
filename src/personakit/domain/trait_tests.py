"""Whether a computed-trait document may be published: it can run, and its own tests pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec

from personakit.domain.computed_trait_documents import WHAT, TraitDocument, read_document
from personakit.domain.computed_traits import ComputedTraits, Observed
from personakit.domain.inline_tests import faults_of_tests
from personakit.domain.trait_cases import Case
from personakit.domain.traits import Trait
from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules import TestResult
from personakit_sdk.rules.inline_tests import matches


def accept_traits(document: Mapping[str, Any]) -> TraitDocument:
    """The document. Raises DocumentInvalid for one that would not run, or whose own tests fail."""
    read = read_document(document)
    failed = faults_of_tests(run_trait_tests(read))
    if failed:
        raise DocumentInvalid(WHAT, failed)
    return read


def run_trait_tests(document: TraitDocument) -> list[TestResult]:
    """Every test of the document, in the author's order; no other document takes part."""
    computed = ComputedTraits(document.definitions)
    return [_run(computed, case) for case in document.tests]


def _run(computed: ComputedTraits, case: Case) -> TestResult:
    observed = [
        Observed(UUID(int=number), each.type, each.content, each.occurred_at)
        for number, each in enumerate(case.observations, start=1)
    ]
    folded = computed.fold({}, observed)
    shown = {path: trait for path, trait in folded.items() if trait.visible}
    detail = "; ".join(_differences(case, shown))
    return TestResult(name=case.name, passed=not detail, detail=detail)


def _differences(case: Case, traits: Mapping[str, Trait]) -> Iterator[str]:
    """As a reader would see it: values as JSON has them."""
    for path, wanted in case.traits.items():
        trait = traits.get(path)
        if trait is None:
            if wanted is not None:
                yield f"expected {path} {wanted!r}, got no such trait"
            continue
        got = msgspec.to_builtins(trait.value)
        if wanted is None:
            yield f"expected no trait {path}, got {got!r}"
        elif not matches(wanted, got):
            yield f"expected {path} {wanted!r}, got {got!r}"
