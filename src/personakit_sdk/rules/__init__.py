"""The rule engine: a mapper document in, a plan; a plan and facts in, a decision. No I/O and no clock."""

from personakit_sdk.rules.checks import compile_condition
from personakit_sdk.rules.diff import DocumentDiff, diff_documents
from personakit_sdk.rules.evaluate import Decision, Suggestion, evaluate
from personakit_sdk.rules.facts import Facts, TraitFact
from personakit_sdk.rules.inline_tests import TestResult, run_tests
from personakit_sdk.rules.lint import lint
from personakit_sdk.rules.plan import Plan, compile_mapper

__all__ = [
    "Decision",
    "DocumentDiff",
    "Facts",
    "Plan",
    "Suggestion",
    "TestResult",
    "TraitFact",
    "compile_condition",
    "compile_mapper",
    "diff_documents",
    "evaluate",
    "lint",
    "run_tests",
]
