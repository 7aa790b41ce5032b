"""The JSON Schema of the mapper document agrees with the reader: never stricter, and nearly as strict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from personakit_sdk.rules.operators import OPERATORS
from personakit_sdk.rules.plan import compile_mapper
from personakit_sdk.rules.schema import mapper_schema
from personakit_sdk.rules.yaml import load_yaml
from tests.unit.rules.mapper_cases import CASES, SHIPPED, listed, load, mapper, rule, small_mapper, spoilt

VALIDATOR = jsonschema.Draft202012Validator(mapper_schema())
BEYOND_A_SCHEMA = {
    "two rules of one id",
    "an unknown condition",
    "a condition that refers to itself",
    "conditions that refer to one another",
    "nine levels",
    "an unknown template",
    "a name that is no parameter",
    "an object in a text",
    "null in a text",
    "a default that cannot be transformed",
    "limits the wrong way round",
    "a test that expects an unknown rule",
    "a test without offset",
    "an unknown zone",
}
"""Refusals that need more than the shape of one value: what else the document has, or a list of zones that
also knows the old names."""


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(mapper_schema())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_mapper_meets_it_as_written_and_in_normal_form(path: Path) -> None:
    document = load_yaml(path.read_bytes())
    VALIDATOR.validate(document)
    VALIDATOR.validate(compile_mapper(document).document)


@pytest.mark.parametrize("case", load("forms"), ids=lambda case: case["sentence"])
def test_every_accepted_form_meets_it(case: dict[str, Any]) -> None:
    for conditions in (case["sent"], case["normal"]):
        VALIDATOR.validate(mapper(rule(conditions=conditions)))


def test_every_condition_of_the_cases_meets_it() -> None:
    conditions = [case["condition"] for name in ("conditions", "time") for _, case in listed(name, "cases")]
    assert len(conditions) > 70
    for condition in conditions:
        VALIDATOR.validate(mapper(rule(conditions=condition)))


def test_every_operator_with_every_value_of_the_cases_meets_it() -> None:
    seen: set[str] = set()
    for _, case in listed("operators", "comparisons"):
        check = {key: case[key] for key in ("operator", "value") if key in case}
        VALIDATOR.validate(mapper(rule(conditions={"trait_check": {"path": "a", **check}})))
        VALIDATOR.validate(mapper(rule(conditions={"type": "context_check", "field": "a", **check})))
        seen.add(case["operator"])
    assert seen == OPERATORS.keys()


@pytest.mark.parametrize("case", load("refusals"), ids=lambda case: case["sentence"])
def test_what_a_schema_can_refuse_is_refused(case: dict[str, Any]) -> None:
    document = spoilt(small_mapper(), case.get("set", {}), case.get("remove"))
    assert VALIDATOR.is_valid(document) == (case["sentence"] in BEYOND_A_SCHEMA)


def test_what_no_schema_can_refuse_is_still_among_the_cases() -> None:
    assert {case["sentence"] for case in load("refusals")} >= BEYOND_A_SCHEMA
    assert (CASES / "refusals.yaml").exists()


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("equals", {"from_trait": "a", "from_context": "b"}),
        ("in", [{"from_trait": "a"}]),
        ("equals", "x" * 1025),
        ("equals", list(range(257))),
    ],
)
def test_values_that_are_refused_are_refused(operator: str, value: Any) -> None:
    check = {"trait_check": {"path": "a", "operator": operator, "value": value}}
    assert not VALIDATOR.is_valid(mapper(rule(conditions=check)))
